"""What all gate processes of this machine have counted, for whichever is asked for it.

Counting itself is plain numbers of the process's own. Twice a second, and when it is asked itself, a process copies
them into a mapped file, DATA_DIR/gates/<its id>, which survives its death and which it holds locked while it lives.
What the dead counted is added up in DATA_DIR/gates/ended and their files deleted, so that totals never go back.
"""

import fcntl
import json
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings

ENDED, LOCK = "ended", "lock"
NOW = "now "  # begins the names of what is said of a living process alone; all others' numbers only rise
BYTES = 8  # a number, unsigned


class CountsFile:
    """This process's numbers, by name: a line of JSON names them, then they follow in that order."""

    def __init__(self, names: Sequence[str], numbers: Mapping[str, int]) -> None:
        """:param numbers: what is counted by now."""
        head = json.dumps(names).encode() + b"\n"
        head = head[:-1] + b" " * (-len(head) % BYTES) + b"\n"
        with _alone() as directory:  # nobody takes it for a dead one's before it is locked
            self._file = (directory / str(uuid4())).open("w+b")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._file.write(head + bytes(len(names) * BYTES))
            self._file.flush()
            self._map = mmap.mmap(self._file.fileno(), 0)
            self._all = memoryview(self._map)
            self._numbers = self._all[len(head) :].cast("Q")
            self._place = {name: place for place, name in enumerate(names)}
            self.set(numbers)

    def set(self, numbers: Mapping[str, int]) -> None:
        """Put down some of them."""
        for name, number in numbers.items():
            self._numbers[self._place[name]] = number

    def close(self) -> None:
        """Let go of it: from now on it is a dead one's."""
        self._numbers.release()
        self._all.release()
        self._map.close()
        self._file.close()


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine's processes have counted."""

    totals: Counter[str]  # of the living and the dead
    living: Sequence[Mapping[str, int]]

    def each(self, name: str) -> list[int]:
        """What each of the living says, if it knows of that: another release's may not."""
        return [numbers[name] for numbers in self.living if name in numbers]


def machine() -> Machine:
    """Add up, and put away what the dead have left."""
    with _alone() as directory:
        ended = _ended(directory)
        living, dead = [], []
        for path in _files(directory):
            numbers, lives = _read(path)
            if lives:
                living.append(numbers)
            else:
                dead.append(path)
                if path.name not in ended.put_away:
                    ended.totals.update(_totals(numbers))
        if dead:
            _put_away(directory, ended.totals, dead)
    return Machine(sum(map(_totals, living), ended.totals), living)


def _totals(numbers: Mapping[str, int]) -> Counter[str]:
    return Counter({name: number for name, number in numbers.items() if not name.startswith(NOW)})


@dataclass(frozen=True, slots=True)
class _Ended:
    totals: Counter[str]
    put_away: frozenset[str]  # whose files were to be deleted; one that is there still is not added again


def _ended(directory: Path) -> _Ended:
    path = directory / ENDED
    try:
        said = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):  # the latter after a loss of power: then counting begins anew
        return _Ended(Counter(), frozenset())
    return _Ended(Counter(said["totals"]), frozenset(said["put_away"]))


def _put_away(directory: Path, totals: Counter[str], dead: Sequence[Path]) -> None:
    """In one step, whatever happens between: the new totals, and whose numbers are in them."""
    new = directory / f"{ENDED}.new"
    new.write_text(json.dumps({"totals": totals, "put_away": [path.name for path in dead]}))
    new.replace(directory / ENDED)
    for path in dead:
        path.unlink()


def _read(path: Path) -> tuple[dict[str, int], bool]:
    """A process's numbers, none if a loss of power has left no more, and whether it lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            lives = False
        except BlockingIOError:
            lives = True
        head, _, numbers = file.read().partition(b"\n")
    try:
        return dict(zip(json.loads(head), memoryview(numbers).cast("Q"), strict=True)), lives
    except (TypeError, ValueError):
        return {}, lives


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.iterdir() if _is_id(path.name))


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True


@contextmanager
def _alone() -> Iterator[Path]:
    """The directory, held against all others."""
    directory = Path(settings.DATA_DIR) / "gates"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory
