"""What comes in during one turn of the event loop is judged together, then answered together.

An answer wakes the gateway's process, and waking it costs more than a decision does. Under load a turn brings tens of
requests; answered one after another, with a decision between each two, every answer finds the gateway asleep again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from apikeys.gate.protocol import GateProtocol

TOGETHER = 32  # so many decisions at most does an answer wait for


class Turns:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._came: list[tuple[GateProtocol, bytes]] = []

    def bring(self, protocol: GateProtocol, data: bytes) -> None:
        """Have the connection's bytes taken at the end of this turn, in the order in which they came."""
        if not self._came:
            self._loop.call_soon(self.end)
        self._came.append((protocol, data))

    def end(self) -> None:
        """Take what has come so far."""
        came = self._came.copy()
        self._came.clear()
        for start in range(0, len(came), TOGETHER):
            part = came[start : start + TOGETHER]
            for protocol, data in part:
                protocol.parse(data)
            for protocol, _ in part:
                protocol.send()
