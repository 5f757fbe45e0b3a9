"""What comes in during one turn of the event loop is judged together, then answered together.

An answer wakes the gateway's process, and waking it costs more than a decision does. Under load a turn brings tens of
requests; answered one after another, with a decision between each two, every answer finds the gateway asleep again.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from apikeys.gate.clock import boot_seconds

if TYPE_CHECKING:
    import asyncio

    from apikeys.gate.protocol import GateProtocol

TOGETHER = 32  # so many decisions at most does an answer wait for
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)  # seconds


class Turns:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.came: list[tuple[GateProtocol, bytes]] = []  # in this turn, in order; always this very list
        self.within = [0] * (len(BOUNDS) + 1)  # messages by the seconds from the turn's begin to its end; last: longer
        self.seconds = 0.0  # of all messages

    def begin(self) -> None:
        """Have what comes from now on taken at the end of this turn."""
        self._began = boot_seconds()
        self._loop.call_soon(self.end)

    def end(self) -> None:
        """Take what has come so far."""
        came = self.came.copy()
        self.came.clear()
        for start in range(0, len(came), TOGETHER):
            part = came[start : start + TOGETHER]
            for protocol, data in part:
                protocol.parse(data)
            for protocol, _ in part:
                answers = protocol.answers
                if len(answers) == 1 and not protocol.closing:
                    protocol.transport.write(answers.pop())
                else:
                    protocol.flush()
        if came:
            lasted = boot_seconds() - self._began
            self.within[bisect_left(BOUNDS, lasted)] += len(came)
            self.seconds += lasted * len(came)
