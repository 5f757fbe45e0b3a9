"""Connections for threads that must neither wait long for the store nor share a pool with requests."""

from django.db import DEFAULT_DB_ALIAS, connections

PATIENCE_SECONDS = 3  # a store that does not answer within this cannot be asked


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
    connections[DEFAULT_DB_ALIAS] = private
