"""`./portal check`: all that CI checks, to the end; fails if any step failed. `--fast`: no tests.

The steps before the tests run beside one another, as many as there are cores; each says at its end what it found.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from keyportal import installation
from tools import tests

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
}
SLOW = {"newer Python"}


def main(arguments: list[str]) -> int:
    fast = "--fast" in arguments
    chosen = [name for name in STEPS if not (name in SLOW and fast)]
    with tempfile.TemporaryDirectory(prefix="keyportal-check-") as directory, ThreadPoolExecutor(tests.CORES) as cores:
        environment = production(Path(directory))
        found = cores.map(lambda name: run(name, os.environ if name in SLOW else environment), chosen)
        results = dict(zip(chosen, found, strict=True))
    if not fast:
        results["tests"] = test()
    width = max(map(len, results))
    print("\n=== Summary ===")
    for name, (passed, seconds) in results.items():
        print(f"{'ok    ' if passed else 'FAILED'}  {name:<{width}}  {seconds:5.1f} s")
    return 0 if all(passed for passed, _ in results.values()) else 1


def run(name: str, environment: Mapping[str, str]) -> tuple[bool, float]:
    """Whether the step passed, and the seconds it took."""
    began = time.monotonic()
    program, *rest = STEPS[name]
    command, output = [str(BIN / program), *rest], subprocess.PIPE
    done = subprocess.run(command, env=environment, check=False, stdout=output, stderr=subprocess.STDOUT, text=True)
    print(f"\n=== {name} ===\n{done.stdout}", end="", flush=True)
    return done.returncode == 0, time.monotonic() - began


def test() -> tuple[bool, float]:
    """Likewise; they say themselves how far they are."""
    began = time.monotonic()
    return tests.main([]) == 0, time.monotonic() - began


def production(directory: Path) -> dict[str, str]:
    """The environment of an installation behind https, with secrets of its own."""
    own = ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "SECRET_KEY", "KEY_ENCRYPTION_KEYS", "DIGEST_PEPPERS", "DEMO")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    installation.prepare(directory, demo=False, environment={})
    provider = {"OIDC_ISSUER": "https://login.example.com", "OIDC_CLIENT_ID": "portal", "OIDC_CLIENT_SECRET": "secret"}
    return environment | provider | {"DATA_DIR": str(directory), "SITE_ORIGIN": "https://portal.example.com"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
