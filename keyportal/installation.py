"""The first run's part of an installation: its directory, and the secrets in `DIR/.env`. Runs before the settings."""

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

DATABASE = "keyportal.sqlite3"


class InstallationError(Exception):
    """The directory cannot be used as asked; the message says what to do."""


def prepare(directory: Path, *, demo: bool, environment: Mapping[str, str]) -> bool:
    """Make the directory and its `.env` (mode 0600) unless they are there; whether the installation is a demonstration.

    What the environment sets already is not made again.

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
    made = {name: value for name, value in _secrets(demo=demo).items() if name not in environment}
    _write_privately(kept, "".join(f"{name}={value}\n" for name, value in made.items()))
    return demo


def _secrets(*, demo: bool) -> dict[str, str]:
    made = {"SECRET_KEY": secrets.token_urlsafe(50), "KEY_ENCRYPTION_KEYS": _ring("k1"), "DIGEST_PEPPERS": _ring("p1")}
    if demo:
        made |= {"DEMO": "on", "DEMO_PASSWORD": secrets.token_urlsafe(9)}
    return made


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
