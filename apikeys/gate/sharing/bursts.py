"""What a shared counter of burst limits is asked, whichever keeps the numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from accounts.revisions import SETTLE_SECONDS

WINDOW_SECONDS = 10.1  # the last call of a tick has left the window by then
SLACK_SECONDS = 0.3  # a mode is followed with the next tick, and clocks' rates differ

# After this it is certain that calls which an ended process may have accepted, or one that had not heard yet that it
# may accept fewer, count no more.
SPENT_SECONDS = SETTLE_SECONDS + WINDOW_SECONDS * 1.05 + SLACK_SECONDS


class BurstAsk(NamedTuple):
    """One limit: what I keep of it, and what I want besides. Asked twice, it is as if it was asked once."""

    key: str
    limit: int
    keep: int  # what I hold is lowered to that
    want: int
    is_urgent: bool  # a call waits for it: ask the others if there is none
    number: int = 0  # of the others' being asked, once they are
    answers: int = 0  # the number of a want to which I say that I have nothing left


class BurstGranted(NamedTuple):
    allotted: int  # what I hold now
    others: Sequence[UUID] = ()  # where there is none to have: who holds some and has not said that it is all used
    number: int = 0  # under which these were asked


class Wanted(NamedTuple):
    """A limit that I hold some of and others have run out of."""

    key: str
    number: int


class CounterGoneError(Exception):
    """The counter cannot be asked."""


class CounterEmptyError(Exception):
    """The counter does not know what I hold: it was emptied, restarted or begun anew. Say it by `check_in`."""


class EndedError(Exception):
    """Others have declared this process dead."""


class Counter(Protocol):
    """Used by one thread."""

    is_complete: bool  # nobody's part is missing from what it knows, so that it may hand out more

    def exchange(self, process: UUID, asks: Sequence[BurstAsk]) -> list[BurstGranted]:
        """Give back and receive, atomically.

        :raises CounterGoneError, CounterEmptyError, EndedError: as they say.
        """

    def wanted(self, process: UUID) -> list[Wanted]:
        """What others want, and this one has not said that it has none left of; raises like `exchange`."""

    def check_in(self, process: UUID, held: Mapping[str, int]) -> None:
        """Say what I hold, to a counter that does not know."""

    def free(self, process: UUID) -> None:
        """Let others have what a dead process held."""

    def is_ready(self, process: UUID) -> bool:
        """Whether everybody reaches the counter, this one included, so that equal shares may end."""

    def close(self) -> None: ...
