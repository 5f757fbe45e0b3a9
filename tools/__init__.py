"""What `./portal test` and `./portal check` run. For people who work on KeyPortal; nothing that runs imports it."""
