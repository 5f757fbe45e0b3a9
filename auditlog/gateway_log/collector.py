"""Holds what gateways told until the call's row is there, and counts what became of each line.

A gateway often logs a call before the gate has stored it, which takes about a second, and longer while the store is
away. So what finds no row is tried again, less and less often, for about a minute. How much is held is bounded.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditlog.gateway_log.completions import Outcome
from auditlog.gateway_log.lines import LINE_LIMIT, BadLineError, Completion, completion

HELD_LIMIT = 100_000  # completions; about 50 MB
BATCH_LIMIT = 5_000
WAITS = (1.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds before each try

# What becomes of a line.
COMPLETED = "completed"
REPEATED = "repeated"  # of a call that was complete
UNKNOWN = "unknown"  # no row came for it, or none for as long as there was room to wait
NOT_ASKED = "not_asked"  # of a call that the gate was not asked about
BAD = "bad"
OVERSIZE = "oversize"
DROPPED = "dropped"  # more came than the store takes
UNTRUSTED = "untrusted"  # sent by somebody who is none of TRUSTED_PROXIES
OUTCOMES = (COMPLETED, REPEATED, UNKNOWN, NOT_ASKED, BAD, OVERSIZE, DROPPED, UNTRUSTED)


@dataclass(slots=True)
class _Held:
    told: Completion
    due: float
    tries: int = 0


class Collector:
    """Of one thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._held: dict[UUID, _Held] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._held)

    @property
    def has_room(self) -> bool:
        return len(self._held) < HELD_LIMIT

    def take(self, line: bytes, *, now: datetime, clock: float) -> bool:
        """Take one line in; whether it told of a call and is held.

        :param clock: seconds of a clock that never goes back.
        """
        if len(line) > LINE_LIMIT:
            self.counts[OVERSIZE] += 1
            return False
        try:
            told = completion(line, now=now)
        except BadLineError:
            self.counts[BAD] += 1
            return False
        if told is None:
            self.counts[NOT_ASKED] += 1
            return False
        if told.request_id in self._held:
            self.counts[REPEATED] += 1
            return False
        if not self.has_room and not self._let_go():
            self.counts[DROPPED] += 1
            return False
        self._held[told.request_id] = _Held(told, clock + WAITS[0])
        return True

    def _let_go(self) -> bool:
        """Make room by what has been tried before: many lines of unknown calls keep no others out."""
        oldest = next(iter(self._held))
        if not self._held[oldest].tries:
            return False
        del self._held[oldest]
        self.counts[UNKNOWN] += 1
        return True

    def due(self, clock: float) -> Sequence[Completion]:
        """What to look for now."""
        found = []
        for held in self._held.values():
            if held.due <= clock:
                found.append(held.told)
                if len(found) == BATCH_LIMIT:
                    break
        return found

    def all_due(self, clock: float) -> None:
        """Nothing waits any longer: the process is about to end."""
        for held in self._held.values():
            held.due = clock

    def settle(self, tried: Sequence[Completion], outcome: Outcome, *, clock: float, last: bool = False) -> None:
        """Hear what became of completions that were tried.

        :param last: there is no time to try again but at once.
        """
        for one in tried:
            held = self._held.get(one.request_id)
            if held is None:  # let go meanwhile
                continue
            if one.request_id in outcome.completed:
                self._end(one.request_id, COMPLETED)
            elif one.request_id in outcome.repeated:
                self._end(one.request_id, REPEATED)
            else:
                held.tries += 1
                if held.tries == len(WAITS):
                    self._end(one.request_id, UNKNOWN)
                else:
                    held.due = clock + (WAITS[0] / 4 if last else WAITS[held.tries])

    def _end(self, request_id: UUID, outcome: str) -> None:
        del self._held[request_id]
        self.counts[outcome] += 1

    def give_up(self) -> None:
        """Count what is held as unknown: the process ends."""
        self.counts[UNKNOWN] += len(self._held)
        self._held.clear()
