"""`python -m tests.faults.twisted_gate TWIST ...`: a gate with something wrong about it, its other words as for a gate.

Some twists are what may befall a gate, and it must keep G1 all the same. Others switch off what keeps G1, so that the
test of it can be seen to fail.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import django
import time_machine
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    from apikeys.gate.changes import Poll
    from apikeys.gate.store import Base

HOUR = 3600


def main() -> None:
    twist = TWISTS[sys.argv.pop(1)]
    django.setup()
    twist()

    from apikeys.gate.__main__ import main as run_gate  # noqa: PLC0415 -- needs the settings

    run_gate()


# --- What may befall it -----------------------------------------------------------------------------------------------
def _wall_clock_off(hours: int) -> None:
    time_machine.travel(time.time() + hours * HOUR, tick=True).start()


def _answers_come_late(seconds: float) -> None:
    """Polls are answered at once, but the answer is long on its way."""

    def late(answer: "Poll") -> "Poll":
        time.sleep(seconds)
        return answer

    _after_each_poll(late)


# --- What keeps G1, switched off --------------------------------------------------------------------------------------
def _asks_the_clock_late() -> None:
    """Takes t0 when the answer is there, rather than before the poll is sent."""
    from apikeys.gate.clock import boot_seconds  # noqa: PLC0415 -- needs the settings

    def late(answer: "Poll") -> "Poll":
        time.sleep(1.5)
        return replace(answer, asked_at=boot_seconds())

    _after_each_poll(late)


def _drops_nothing() -> None:
    """Neither what changed nor, since no revision is newer, what was unknown."""
    from apikeys.gate.store import NOTHING_SEEN  # noqa: PLC0415 -- needs the settings

    _after_each_poll(lambda answer: replace(answer, accounts=frozenset(), everything=False, seen=NOTHING_SEEN))


def _trusts_for_ever() -> None:
    """What a poll confirmed counts without end; the next one's answer is long enough on its way to let calls by."""

    def confirm(answer: "Poll") -> "Poll":
        time.sleep(0.5)
        return replace(answer, asked_at=answer.asked_at + 1000 * HOUR)

    _after_each_poll(confirm)


def _takes_any_store() -> None:
    """A store that lacks what was seen is read on, and is what reads are held to from then on."""
    _after_each_poll(lambda answer: replace(answer, set_back=False))


def _after_each_poll(then: "Callable[[Poll], Poll]") -> None:
    from apikeys.gate import changes, known  # noqa: PLC0415 -- needs the settings

    poll = changes.poll

    def poll_and_then(store: BaseDatabaseWrapper, base: "Base") -> "Poll":
        return then(poll(store, base))

    patch.object(known, "poll", poll_and_then).start()


# --- What keeps it small, switched off --------------------------------------------------------------------------------
def _keeps_what_it_was_sent() -> None:
    """All that ever came, with its connection."""
    from apikeys.gate.protocol import GateProtocol  # noqa: PLC0415 -- needs the settings

    kept = []
    receive = GateProtocol.data_received

    def receive_and_keep(self: "GateProtocol", data: bytes) -> None:
        kept.append((self, data * 10))
        receive(self, data)

    patch.object(GateProtocol, "data_received", receive_and_keep).start()


TWISTS: dict[str, Callable[[], None]] = {
    "an hour ahead": lambda: _wall_clock_off(1),
    "an hour behind": lambda: _wall_clock_off(-1),
    "answers come late": lambda: _answers_come_late(0.5),
    "asks the clock late": _asks_the_clock_late,
    "drops nothing": _drops_nothing,
    "trusts for ever": _trusts_for_ever,
    "takes any store": _takes_any_store,
    "keeps what it was sent": _keeps_what_it_was_sent,
}

if __name__ == "__main__":
    main()
