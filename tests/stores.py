"""Which store the tests run on: SQLite, or a PostgreSQL that is found or started (STORE=postgresql)."""

import os
from pathlib import Path

import psycopg

LOCAL_POSTGRESQL = "postgres://postgres@127.0.0.1:5432"


def database_url(data_dir: Path) -> str:
    if os.environ.get("STORE", "sqlite") == "sqlite":
        return f"sqlite:///{data_dir / 'keyportal.sqlite3'}"
    return f"{_postgresql()}/keyportal_{os.getpid()}"


def _postgresql() -> str:
    """Address of a PostgreSQL server that accepts connections without a password."""
    with psycopg.connect(f"{LOCAL_POSTGRESQL}/postgres", connect_timeout=3):
        return LOCAL_POSTGRESQL
