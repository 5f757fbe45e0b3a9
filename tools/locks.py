"""Whether the locks still hold what pyproject.toml asks for; how to make them anew stands in docs/operating.md."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def main() -> int:
    project = tomllib.loads(Path("pyproject.toml").read_text())
    runtime = pins(Path("requirements.txt"))
    development = pins(Path("requirements-dev.txt"))
    wrong = unmet(project["project"]["dependencies"], runtime, "requirements.txt")
    wrong += unmet(project["dependency-groups"]["dev"], development, "requirements-dev.txt")
    wrong += [f"requirements-dev.txt has another {name}" for name in runtime if development.get(name) != runtime[name]]
    print("\n".join(wrong) or f"{len(development)} packages, all as pyproject.toml asks")
    return 1 if wrong else 0


def pins(lock: Path) -> dict[str, Version]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(pinned) for name, pinned in found}


def unmet(asked: list[str], pinned: dict[str, Version], lock: str) -> list[str]:
    wrong = []
    for requirement in map(Requirement, asked):
        got = pinned.get(canonicalize_name(requirement.name))
        if got is None or not requirement.specifier.contains(got, prereleases=True):
            wrong.append(f"{lock} has {got or 'nothing'} for {requirement}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
