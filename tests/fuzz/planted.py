"""Mistakes to make in a gate, for the fuzzer to find: what does not find these finds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apikeys.gate import asked, protocol
from apikeys.gate.app import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apikeys.gate.asked import Peer


def plant(name: str) -> None:
    MISTAKES[name]()


def _bound() -> None:
    protocol.HEADERS_LIMIT = 1_000


def _host() -> None:
    module: Any = asked
    module._ONCE = tuple(one for one in module._ONCE if one != b"host")  # noqa: SLF001 -- a mistake, made on purpose
    right = module.is_known_host
    module.is_known_host = lambda host: right(host.partition(asked.REPEATED)[0])


def _rare_header() -> None:
    """Something that raises, far from what is usual."""
    right = protocol.GateProtocol.on_header

    def on_header(self: protocol.GateProtocol, name: bytes, value: bytes) -> None:
        if name == b"Upgrade" and len(value) > 3:
            raise ValueError
        right(self, name, value)

    protocol.GateProtocol.on_header = on_header  # type: ignore[method-assign] # a mistake, made on purpose


def _second_way() -> None:
    """The hot path lets a second credential through, in the query."""
    right = Gate.check_plain

    def check_plain(self: Gate, said: Sequence[bytes | None], peer: Peer) -> bytes | None:
        self.may_hold_secret = lambda _: False
        return right(self, said, peer)

    Gate.check_plain = check_plain  # type: ignore[method-assign] # a mistake, made on purpose


MISTAKES: dict[str, Callable[[], None]] = {
    "bound": _bound,
    "host": _host,
    "rare header": _rare_header,
    "second way": _second_way,
}
