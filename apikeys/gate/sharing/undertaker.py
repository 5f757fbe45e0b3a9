"""Tells the dead from those that are only slow, and lets others have what the dead held once it must be spent."""

from uuid import UUID

import structlog

from apikeys.gate.clock import boot_seconds
from apikeys.gate.sharing import members
from apikeys.gate.sharing.bursts import SPENT_SECONDS, Counter

UNANSWERED_SECONDS = 2.0  # a suspicion that is not answered for so long is right
SUSPECT_SECONDS = 5.0  # between two suspicions of one process
TIDY_SECONDS = 1.0
END = -1  # in place of a suspicion's number

logger = structlog.get_logger(__name__)


class Undertaker:
    """Seconds are counted from when this process saw something first: no clock is compared with another's."""

    def __init__(self) -> None:
        self.is_alone = False  # nobody else counts, or has lately
        self.living = 1
        self.ended: set[UUID] = set()  # what they hold is spent: nobody waits for them
        self._suspected: dict[UUID, float] = {}  # by this process, when
        self._seen: dict[tuple[UUID, int], float] = {}  # a suspicion by its number, or an end; since when
        self._tidied_at = 0.0

    def suspect(self, processes: set[UUID]) -> None:
        """Ask those who hold what others need to show that they live."""
        now = boot_seconds()
        asked = {one for one in processes if now - self._suspected.get(one, -SUSPECT_SECONDS) >= SUSPECT_SECONDS}
        if asked:
            members.suspect(asked)
            self._suspected |= dict.fromkeys(asked, now)

    def suspect_all(self, process: UUID) -> None:
        self.suspect({one for one, row in members.everybody().items() if one != process and not row.has_ended})

    def tidy(self, process: UUID, counter: Counter) -> None:
        """Bury who has not answered, and free what the buried held.

        :raises CounterGoneError: as it says; and django.db.Error.
        """
        now = boot_seconds()
        if now - self._tidied_at < TIDY_SECONDS:
            return
        self._tidied_at = now
        everybody = members.everybody()
        self.is_alone = set(everybody) <= {process}
        self.ended = {one for one, row in everybody.items() if row.has_ended}
        self.living = len(everybody) - len(self.ended)
        states = {
            (one, END if row.has_ended else row.suspicions)
            for one, row in everybody.items()
            if row.has_ended or row.is_suspected
        }
        self._seen = {state: self._seen.get(state, now) for state in states}
        for (one, number), since in self._seen.items():
            if number != END and now - since > UNANSWERED_SECONDS and one != process:
                logger.warning("counting_process_ended", process=str(one), hint="it did not answer")
                members.bury(one, suspicions=number)
            elif number == END and now - since > SPENT_SECONDS:
                counter.free(one)
                members.forget(one)
