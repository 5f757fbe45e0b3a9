"""Who may do what: people, accounts, members and their roles."""
