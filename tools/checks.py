"""`./portal check`: all that CI checks, one step after another to the end; fails if any failed. `--fast`: no tests."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from keyportal import installation

BIN = Path(sys.executable).parent
APPS = ["accounts", "apikeys", "auditlog", "keyportal"]

STEPS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy", "portal", "manage.py", *APPS, "tests", "tools", "benchmarks"],
    "imports": ["lint-imports", "--no-cache", "--no-logo"],
    "templates": ["djlint", "templates", "--lint", "--quiet"],
    "template format": ["djade", "--check", *map(str, Path("templates").rglob("*.html"))],
    "locks": ["python", "-m", "tools.locks"],
    "vendored files": ["python", "-m", "keyportal.vendored"],
    "migrations": ["python", "manage.py", "makemigrations", "--check", "--dry-run"],
    "deployment": ["python", "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
    "static files": ["python", "manage.py", "collectstatic", "--noinput", "--verbosity", "0"],
    "newer Python": ["python", "-m", "tools.newer_python"],
    "tests": ["python", "-m", "tools.tests"],
}
SLOW = {"newer Python", "tests"}


def main(arguments: list[str]) -> int:
    chosen = [name for name in STEPS if not (name in SLOW and "--fast" in arguments)]
    with tempfile.TemporaryDirectory(prefix="keyportal-check-") as directory:
        environment = production(Path(directory))
        results = {name: run(name, os.environ if name in SLOW else environment) for name in chosen}
    width = max(map(len, chosen))
    print("\n=== Summary ===")
    for name, (passed, seconds) in results.items():
        print(f"{'ok    ' if passed else 'FAILED'}  {name:<{width}}  {seconds:5.1f} s")
    return 0 if all(passed for passed, _ in results.values()) else 1


def run(name: str, environment: Mapping[str, str]) -> tuple[bool, float]:
    """Whether the step passed, and the seconds it took."""
    print(f"\n=== {name} ===", flush=True)
    began = time.monotonic()
    program, *rest = STEPS[name]
    status = subprocess.run([str(BIN / program), *rest], env=environment, check=False).returncode
    return status == 0, time.monotonic() - began


def production(directory: Path) -> dict[str, str]:
    """The environment of an installation behind https, with secrets of its own."""
    own = ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "SECRET_KEY", "KEY_ENCRYPTION_KEYS", "DIGEST_PEPPERS", "DEMO")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    installation.prepare(directory, demo=False, environment={})
    provider = {"OIDC_ISSUER": "https://login.example.com", "OIDC_CLIENT_ID": "portal", "OIDC_CLIENT_SECRET": "secret"}
    return environment | provider | {"DATA_DIR": str(directory), "SITE_ORIGIN": "https://portal.example.com"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
