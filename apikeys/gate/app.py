"""The gate as a process: what uvicorn starts and stops, and the hot path (its budget stands in `apikeys.gate`)."""

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from hashlib import blake2b
from time import time
from typing import Any

from django.conf import settings

from accounts.revisions import LEASE_SECONDS
from apikeys import secrets
from apikeys.gate import answers, pages
from apikeys.gate.asked import REPEATED, Asked, Fields, Peer
from apikeys.gate.clock import boot_seconds
from apikeys.gate.decide import judge
from apikeys.gate.known import Digests, Kept, Known
from apikeys.gate.limits import Windows
from apikeys.gate.presented import Presented, presented
from apikeys.gate.protocol import GateProtocol
from apikeys.gate.reasons import STATUS, Reason
from apikeys.gate.request_ids import RequestIds
from auditlog.calls import CallWriter, Usage, Who

__all__ = ["Gate", "GateProtocol", "lifespan"]

SWITCH_SECONDS = 0.0005  # how long the call writer may hold the interpreter while calls wait
TICK_SECONDS = 0.5
FIRST_POLL_SECONDS = 2.0
NOBODY: Who = (None, "", None)

Later = Callable[[bytes], None]


class Gate:
    """One process's gate. Everything but the threads of `known` and `writer` is of the event loop's thread."""

    def __init__(self) -> None:
        self.windows = Windows()
        self.known = Known(self.windows)
        self.writer = CallWriter(mask=secrets.mask, on_usage=self._stored)
        self.request_ids = RequestIds()
        self.decisions: Counter[tuple[str, str]] = Counter()  # by kind of credential and reason
        self.connections: set[GateProtocol] = set()
        self.pepper = next(iter(settings.DIGEST_PEPPERS.values()))
        self.date = b""

    # --- The hot path -----------------------------------------------------------------------------------------------
    def check(self, asked: Asked, later: Later, *, head: bool = False) -> bytes | None:
        """Decide on a call; the answer, or None if the store is asked first and `later` gets it then."""
        authorization = asked.authorization
        if (
            authorization is not None
            and authorization.startswith(b"Bearer ")
            and asked.api_key is None
            and b"?" not in asked.target
        ):
            digest = blake2b(authorization[7:], digest_size=32, key=self.pepper).digest()
            kept = self.known.kept.get(digest)
            if kept is not None:
                return self._decide(asked, self.request_ids.next_number(), kept, head=head)
        return self._check_text(asked, later, head=head)

    def _decide(self, asked: Asked, number: int, kept: Kept, *, head: bool, in_query: bool = False) -> bytes:
        boot = boot_seconds()  # after the request's last byte, and for this decision alone (G1)
        if boot >= self.known.fresh_until:
            return self._refuse(asked, number, Reason.STORE_UNAVAILABLE, head=head)
        window, wall = kept.window, time()
        reason = judge(kept.standing, window, boot=boot, wall=wall)
        if reason:
            return self._refuse(asked, number, reason, kept=kept, head=head)
        self.decisions[kept.kind, ""] += 1
        path = asked.target
        self.writer.put(
            (kept.who, wall, asked.method, path.partition(b"?")[0] if in_query or b"?" in path else path, 204, None, "",
             asked.user_agent, asked.address, self.request_ids.base + number, window.day)
        )  # fmt: skip
        return b"HTTP/1.1 204 No Content\r\n%b%b%b%bX-Request-Id: %b%012x\r\n\r\n" % (
            self.date,
            kept.head,
            window.remaining(boot),
            b"Deprecation: @1669766400\r\n" if in_query else b"",
            self.request_ids.prefix,
            number,
        )

    # --- What is rarer ----------------------------------------------------------------------------------------------
    def _check_text(self, asked: Asked, later: Later, *, head: bool) -> bytes | None:
        """The same for every transport and every mistake."""
        number = self.request_ids.next_number()
        shown = presented(
            authorization=_values(asked.authorization),
            api_key=_values(asked.api_key),
            query=asked.target.partition(b"?")[2].decode("latin-1"),
        )
        if shown.reason:
            return self._refuse(asked, number, shown.reason, shown=shown, head=head)
        digests = tuple(secrets.digests(shown.secret))
        found = self._from_known(digests)
        if found is None and boot_seconds() < self.known.fresh_until:
            return self._read_first(asked, number, digests, later, in_query=shown.in_query, head=head)
        return self._conclude(asked, number, found, in_query=shown.in_query, head=head)

    def _from_known(self, digests: Digests) -> Kept | Reason | None:
        for digest in digests:
            kept = self.known.kept.get(digest)
            if kept is not None:
                return kept
        return Reason.UNKNOWN if digests[0] in self.known.unknown else None

    def _conclude(self, asked: Asked, number: int, found: Kept | Reason | None, *, in_query: bool, head: bool) -> bytes:
        if isinstance(found, Kept):
            return self._decide(asked, number, found, in_query=in_query, head=head)
        if found is None or boot_seconds() >= self.known.fresh_until:
            found = Reason.STORE_UNAVAILABLE
        return self._refuse(asked, number, found, head=head)

    def _read_first(
        self,
        asked: Asked,
        number: int,
        digests: Digests,
        later: Later,
        *,
        in_query: bool,
        head: bool,
    ) -> bytes | None:
        """Have the store asked; the call is decided when it has answered, or refused when that takes too long."""

        def conclude() -> None:
            if not timeout.cancelled():
                timeout.cancel()
                later(self._conclude(asked, number, self._from_known(digests), in_query=in_query, head=head))

        timeout = asyncio.get_running_loop().call_later(LEASE_SECONDS, conclude)
        if self.known.ask(digests, conclude):
            return None
        timeout.cancel()
        return self._conclude(asked, number, None, in_query=in_query, head=head)

    def _refuse(
        self,
        asked: Asked,
        number: int,
        reason: Reason,
        *,
        head: bool,
        kept: Kept | None = None,
        shown: Presented | None = None,
    ) -> bytes:
        boot, wall = boot_seconds(), time()
        self.decisions[kept.kind if kept else "", reason.value] += 1
        path = asked.target.partition(b"?")[0]
        answer = partial(answers.refusal, reason, asked, self.request_ids.text(number), head=head)
        if kept and reason in {Reason.BURST_LIMIT, Reason.DAILY_LIMIT}:
            window = kept.window
            limits = window.headers + window.remaining(boot)
            retry_after = window.retry_after(reason, boot=boot, wall=wall)
            answer = partial(answer, limits=limits, retry_after=retry_after)
        self.writer.put(
            (kept.who if kept else NOBODY, wall, asked.method, path, STATUS[reason], None, reason.value,
             asked.user_agent, asked.address, self.request_ids.base + number, None)
        )  # fmt: skip
        slug = kept.account_slug if kept and reason not in {Reason.ROTATED, Reason.DEACTIVATED} else ""
        return answer(kind=shown.kind if shown else None, slug=slug)

    def page(self, path: bytes, method: bytes, fields: Fields, peer: Peer, later: Later) -> bytes | None:
        """What is not a call: health and metrics."""
        return pages.page(self, path, method, fields, peer, later)

    def new_request_id(self) -> str:
        return self.request_ids.text(self.request_ids.next_number()).decode()

    # --- Life -------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.writer.start()
        self.known.start(self.loop)
        self._tick()
        until = boot_seconds() + FIRST_POLL_SECONDS
        while not self.known.fresh_until and boot_seconds() < until:  # noqa: ASYNC110 -- once: nobody comes too early
            await asyncio.sleep(0.01)
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.collect()
        gc.freeze()

    async def stop(self) -> None:
        """Write out the queued calls, and let go of the store."""
        self._next_tick.cancel()
        await asyncio.to_thread(self.writer.stop)
        await asyncio.to_thread(self.known.stop)

    def _tick(self) -> None:
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        now = boot_seconds()
        for connection in list(self.connections):
            connection.expire(now)
        self._next_tick = self.loop.call_later(TICK_SECONDS, self._tick)

    def _stored(self, usage: Usage) -> None:
        """In the writer's thread: bring the days' totals to the loop."""
        if usage and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.windows.learn, usage)


def _values(field: bytes | None) -> list[str]:
    return field.decode("latin-1").split(REPEATED.decode()) if field is not None else []


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The part of the gate that uvicorn takes for an ASGI application: it only starts and stops."""
    if scope["type"] != "lifespan":
        return
    await receive()
    gate = scope["state"]["gate"] = Gate()
    await gate.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await gate.stop()
    await send({"type": "lifespan.shutdown.complete"})
