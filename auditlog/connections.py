"""Connections for threads that must neither wait long for the store nor share a pool with requests."""

from django.db import DEFAULT_DB_ALIAS, connections

PATIENCE_SECONDS = 3  # a store that does not answer within this cannot be asked

# Batches touch thousands of pages, many of them again and again: keep them in memory (64 MiB instead of 2), and let the
# log grow to 64 MB instead of 4 before it is copied back into the database.
SQLITE_FOR_BATCHES = "PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=16000;"


def take_private_connection() -> None:
    """Make `django.db.connection` of the calling thread one of its own, that gives up on a store that hangs."""
    private = connections[DEFAULT_DB_ALIAS].copy()
    options = private.settings_dict["OPTIONS"]
    if private.vendor == "postgresql":
        options.pop("pool", None)
        given = options.get("options", "")
        options["options"] = f"{given} -c statement_timeout={PATIENCE_SECONDS}s".strip()
        options |= {"connect_timeout": PATIENCE_SECONDS, "tcp_user_timeout": PATIENCE_SECONDS * 1000}
    else:
        options["timeout"] = PATIENCE_SECONDS
        options["init_command"] = f"{options.get('init_command', '')} {SQLITE_FOR_BATCHES}".strip()
    connections[DEFAULT_DB_ALIAS] = private
