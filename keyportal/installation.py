"""The first run's part of an installation: its directory, and the secrets in `DIR/.env`. Runs before the settings."""

import base64
import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

DATABASE = "keyportal.sqlite3"
LOCK = "running"  # held by the `./portal up` that runs here


class InstallationError(Exception):
    """The directory cannot be used as asked; the message says what to do."""


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Make the directory unless it is there, and keep every other `./portal up` out of it meanwhile.

    :raises InstallationError: if it cannot be made or written, or a portal runs in it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / LOCK).open("a")
    except OSError as failure:
        why = "is a file" if isinstance(failure, FileExistsError) else f"cannot be used ({failure.strerror})"
        raise InstallationError(f"{directory} {why}. Choose a directory: --data DIR.") from failure
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = f"A portal runs in {directory} already."
            raise InstallationError(f"{running} Stop it, or choose another directory: --data DIR.") from None
        yield


def prepare(directory: Path, *, demo: bool, environment: Mapping[str, str]) -> bool:
    """Make the directory and its `.env` (mode 0600) unless they are there; whether the installation is a demonstration.

    A secret that the environment sets is not made. The demonstration's password is kept wherever it came from: it must
    still be known when the environment no longer names it.

    :raises InstallationError: if secrets exist without the keys that open them, or a demonstration would
        fill a directory that is in use.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = directory / ".env"
    if kept.exists():
        holds_demo = "DEMO=on" in kept.read_text().splitlines()
        if demo and not holds_demo:
            raise InstallationError(f"{directory} is in use. The demonstration needs an empty one: --data DIR.")
        return holds_demo
    if (directory / DATABASE).exists():
        missing = f"{directory} holds a database but no .env, and without its keys no secret in it can be opened."
        raise InstallationError(f"{missing} Put the .env back from the backup, or choose another --data DIR.")
    made = {name: value for name, value in _secrets().items() if name not in environment}
    if demo:
        made |= {"DEMO": "on", "DEMO_PASSWORD": environment.get("DEMO_PASSWORD") or secrets.token_urlsafe(9)}
    _write_privately(kept, "".join(f"{name}={value}\n" for name, value in made.items()))
    return demo


def _secrets() -> dict[str, str]:
    return {"SECRET_KEY": secrets.token_urlsafe(50), "KEY_ENCRYPTION_KEYS": _ring("k1"), "DIGEST_PEPPERS": _ring("p1")}


def _ring(name: str) -> str:
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _write_privately(path: Path, text: str) -> None:
    """All of it or nothing, readable by nobody else at any moment."""
    unfinished = path.with_name(f".env-{secrets.token_hex(4)}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
