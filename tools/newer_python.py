"""A short trial on the newest Python here: the lock installs under it, and the portal starts, answers, stops.

All tests run on the Python of `.venv`; `python3.13 portal test` in another checkout runs them all on that one.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import which

NEWEST = 19  # minor version to look for first
SAY_VERSION = "import sys; print(sys.version.split()[0])"
NONE = "!!! NOT TRIED on a Python newer than this {}.{}: none is here that runs (PATH, pyenv)."


def main() -> int:
    found = newest()
    if found is None:
        print(NONE.format(*sys.version_info))
        return int("newer_python" in os.environ.get("REQUIRE", "").split(","))
    python, version = found
    print(f"On Python {version}, the start of the portal alone: tests/test_up.py")
    with tempfile.TemporaryDirectory(prefix="keyportal-python-") as directory:
        subprocess.run([python, "-m", "venv", directory], check=True)
        installed = f"{directory}/bin/python"
        options = ["--quiet", "--require-hashes", "--no-deps", "--no-compile", "--disable-pip-version-check"]
        subprocess.run([installed, "-m", "pip", "install", *options, "-r", "requirements.txt"], check=True)
        tests = [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/test_up.py", "-k", "answer or writes"]
        return subprocess.run(tests, env={**os.environ, "UP_PYTHON": installed}, check=False).returncode


def newest() -> tuple[str, str] | None:
    """The newest Python that is newer than this one, and its full version."""
    for minor in range(NEWEST, sys.version_info.minor, -1):
        for python in _candidates(minor):
            said = subprocess.run([python, "-c", SAY_VERSION], capture_output=True, text=True, check=False)
            if said.returncode == 0:
                return python, said.stdout.strip()
    return None


def _candidates(minor: int) -> Iterator[str]:
    if on_path := which(f"python3.{minor}"):
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, pyenv.glob(f"versions/3.{minor}.*/bin/python"))


if __name__ == "__main__":
    sys.exit(main())
