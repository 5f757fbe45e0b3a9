"""Portals to measure: with secrets and keys of their own, on a store that is gone afterwards."""

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from benchmarks.servers import CLIENT_CORE

HERE = Path(__file__).resolve().parent
NICENESS = 10  # as nice(1) counts: what the process has that stores the gate's calls
DATABASES = "keyportal_bench_"


def installation(data_dir: Path, url: str, *, keys: int) -> dict[str, str]:
    """A portal with so many accounts and keys, the latter in data_dir/keys.txt; the environment of its processes."""
    data_dir.mkdir()
    environment = secrets_of_its_own(data_dir, url)
    for command in (["migrate", "-v0"], ["seed_keys", str(keys), "--file", str(data_dir / "keys.txt")]):
        subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, "manage.py", *command],
            env={**os.environ, **environment},
            cwd=HERE.parent,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return environment


def secrets_of_its_own(data_dir: Path, url: str) -> dict[str, str]:
    """The environment of an installation in this directory, on this store."""
    ring = f"bench:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    return {
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_ENCRYPTION_KEYS": ring,
        "DIGEST_PEPPERS": ring,
        "LOG_LEVEL": "ERROR",
    }


def can_connect(postgresql: str) -> bool:
    try:
        psycopg.connect(f"{postgresql}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def database(postgresql: str, name: str) -> Iterator[str]:
    """A new database, dropped at the end."""
    name = f"{DATABASES}{name}_{os.getpid()}"
    with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{postgresql}/{name}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def move_backends(postgresql: str) -> None:
    """Hold the PostgreSQL server's processes that work for us to the clients' core, where they run here and we may.

    In operation the server has a machine of its own; here it takes what the clients leave of theirs, since clients that
    wait for it would tell their waiting as the answers' time.
    """
    if not can_connect(postgresql):
        return
    of_the_server = ["walwriter", "checkpointer", "background writer"]
    with psycopg.connect(f"{postgresql}/postgres") as server:
        found = server.execute(
            "SELECT pid FROM pg_stat_activity WHERE starts_with(datname, %s) OR backend_type = ANY(%s)",
            [DATABASES, of_the_server],
        ).fetchall()
    for (pid,) in found:
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "postgres\n":
                os.sched_setaffinity(pid, {CLIENT_CORE})
                os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
