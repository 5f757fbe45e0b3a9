"""Files of others that the pages are served with, kept in the repository so that a clone needs no npm.

`python -m keyportal.vendored` checks them against `static/vendor/vendor.lock.json`; `--update` fetches them anew with
`npm pack`, in the versions named here.
"""

import argparse
import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "static" / "vendor"
LOCK = VENDOR / "vendor.lock.json"

TABLER = ("@tabler/core", "1.6.1")
ICONS = ("@tabler/icons", "3.51.0")
ICON_NAMES = (
    *("activity", "alert-triangle", "arrow-left", "bell", "building", "check", "chevron-down", "chevron-right"),
    *("circle", "circle-check", "clock", "copy", "download", "eye", "eye-off", "file-search", "filter"),
    *("info-circle", "key", "key-off", "lock", "logout", "mail", "moon", "player-pause", "player-play"),
    *("plug-connected", "plus", "power", "refresh", "search", "selector", "settings", "shield-check", "shield-lock"),
    *("sun", "sun-moon", "terminal-2", "user", "users", "x"),
)  # fmt: skip
SOURCE_MAP = re.compile(
    rb"\n?/\*# sourceMappingURL=[^*]*\*/\n?"
)  # the map is not vendored, and its absence is an error


def changed() -> list[str]:
    """What differs from the lock file, one sentence a file."""
    locked = {name: digest for package in json.loads(LOCK.read_text()) for name, digest in package["files"].items()}
    there = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()} - {LOCK.name}
    return [
        *(f"{name} is missing." for name in sorted(locked.keys() - there)),
        *(f"{name} is not in the lock file." for name in sorted(there - locked.keys())),
        *(f"{name} was altered." for name in sorted(there & locked.keys()) if _digest(VENDOR / name) != locked[name]),
    ]


def update() -> None:
    """Fetch the packages and write the lock file."""
    core, icons = _packed(*TABLER), _packed(*ICONS)
    licence = icons["package/LICENSE"]  # the tarball of @tabler/core lacks it; same authors, same licence
    files = {
        TABLER: {
            "tabler/tabler.min.css": SOURCE_MAP.sub(b"\n", core["package/dist/css/tabler.min.css"]),
            "tabler/LICENSE": licence.replace(b"2020-2026", b"2018-2026"),
        },
        ICONS: {"tabler-icons/sprite.svg": _sprite(icons), "tabler-icons/LICENSE": licence},
    }
    for name, content in (item for package in files.values() for item in package.items()):
        (VENDOR / name).parent.mkdir(parents=True, exist_ok=True)
        (VENDOR / name).write_bytes(content)
    lock = [
        {"name": name, "version": version, "files": {file: _digest(VENDOR / file) for file in package}}
        for (name, version), package in files.items()
    ]
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")


def _digest(path: Path) -> str:
    """As in a page's `integrity` attribute (W3C Subresource Integrity)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()


def _packed(name: str, version: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        command = ["npm", "pack", "--silent", "--pack-destination", directory, f"{name}@{version}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 -- constants, run by developers
        (archive,) = Path(directory).iterdir()
        content = io.BytesIO(archive.read_bytes())
    with tarfile.open(fileobj=content) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}


def _sprite(icons: dict[str, bytes]) -> bytes:
    symbols = []
    for name in ICON_NAMES:
        drawing = icons[f"package/icons/outline/{name}.svg"].decode()
        shapes = re.findall(r"<(?:path|circle|line|rect)[^>]*/>", drawing)
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{"".join(shapes)}</symbol>')
    return ('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n").encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="fetch the files anew; needs npm")
    if parser.parse_args().update:
        update()
    differences = changed()
    sys.stderr.writelines(f"static/vendor: {line}\n" for line in differences)
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
