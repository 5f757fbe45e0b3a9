"""The gate as a process: what uvicorn starts and stops, and the hot path (its budget stands in `apikeys.gate`)."""

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import cache, partial
from threading import Lock
from time import time
from typing import Any

from django.conf import settings

from accounts.revisions import LEASE_SECONDS
from apikeys import secrets
from apikeys.gate import answers, pages, refusals
from apikeys.gate.announced import Announced
from apikeys.gate.asked import REPEATED, Asked, Fields, Peer, is_known_host
from apikeys.gate.clock import boot_seconds
from apikeys.gate.counts import CountsFile
from apikeys.gate.decide import judge
from apikeys.gate.kept import Kept
from apikeys.gate.known import Digests, Known
from apikeys.gate.limits import REMAINING
from apikeys.gate.presented import Presented, may_hold_secret, presented
from apikeys.gate.protected_api import ProtectedApi
from apikeys.gate.protocol import GateProtocol
from apikeys.gate.reasons import LIMITS, STATUS, Reason
from apikeys.gate.request_ids import RequestIds
from apikeys.gate.routes import PASSES, Ruling
from apikeys.gate.sharing.asker import Asker
from apikeys.gate.sharing.process import Sharing
from apikeys.gate.turns import Turns
from apikeys.gate.windows import Windows
from auditlog.call_process import ProcessStorage
from auditlog.call_storage import Storage
from auditlog.calls import NOBODY, CallWriter
from auditlog.connections import PATIENCE_SECONDS

__all__ = ["Gate", "GateProtocol", "lifespan"]

SWITCH_SECONDS = 0.0005  # how long the call writer may hold the interpreter while calls wait
GC_THRESHOLDS = (50_000, 20, 100)  # the queue holds many records and no cycles; going through it finds nothing
TICK_SECONDS = 0.5
FIRST_POLL_SECONDS = 2.0
USUAL_METHODS = frozenset((b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"))
QUERY_DEPRECATION = "{}: {}\r\n".format(*refusals.QUERY_DEPRECATION).encode()
ACCEPTED = b"HTTP/1.1 204 No Content\r\n%b%b%b" + REMAINING + b"X-Request-Id: %b%012x\r\n\r\n"

call_storage = partial(ProcessStorage, (sys.executable, "-m", "apikeys.gate.call_storage"))

Later = Callable[[bytes], None]


class Gate:
    """One process's gate. Everything but the threads of `known` and `writer` is of the event loop's thread."""

    def __init__(self, storage: Storage) -> None:
        self.loop = asyncio.get_running_loop()
        self.windows = Windows()
        self.sharing = Sharing(self.windows, self._hand_over)
        self.asker = Asker(self.sharing, at_once=True)
        self.api = ProtectedApi()
        self.known = Known(self.windows, self.api, look=self.asker.look)
        self.writer = CallWriter(storage)
        self.request_ids = RequestIds()
        self.decisions: Counter[tuple[str, str]] = Counter()  # refused calls by kind of credential and reason
        self.accepted = dict.fromkeys((kind.value for kind in secrets.Kind), 0)
        self.began = boot_seconds()
        self.now = self.began  # as of the last tick: enough to tell idle connections
        self.connections: set[GateProtocol] = set()
        self.turns = Turns(self.loop)
        self._after_the_loop = Lock()  # two threads may outlive it
        self.new_hasher = secrets.keyed_hasher(next(iter(settings.DIGEST_PEPPERS.values()))).copy
        self.date = b""
        self.may_hold_secret = may_hold_secret(settings.API_KEY_QUERY_PARAM)
        self.is_garbage = secrets.garbage_test()
        self.refusal_of_anybody = cache(answers.refusal_of_anybody)
        self.garbage = [self.refusal_of_anybody(Reason.MALFORMED, nginx=nginx) for nginx in (False, True)]
        # What the hot path reaches for, one step away.
        self.kept, self.put = self.known.kept, self.writer.put
        self.next_number = self.request_ids.next_number
        self.id_base, self.id_prefix = self.request_ids.base, self.request_ids.prefix

    # --- The hot path -----------------------------------------------------------------------------------------------
    def check_plain(self, said: Sequence[bytes | None], peer: Peer) -> bytes | None:
        """Decide on the usual call: a bearer token that is known, or garbage, and no other; None for the rest: `check`.

        That the digest is a kept one says that the token is well-formed, so nothing else of the text is looked at.

        :param said: the fields of a `Usual`; not made one, which costs as much as reading two headers.
        """
        (own_method, own_path, host, token, user_agent, original_uri, original_method, forwarded_uri, forwarded_method,
         forwarded_for, gateway, _) = said  # fmt: skip
        target, method = original_uri or forwarded_uri, original_method or forwarded_method or b"GET"
        if target is None:
            target, method = own_path or b"/", own_method or b"GET"
        if token is None or host is None or not is_known_host(host) or method not in USUAL_METHODS:
            return None
        path, _, query = target.partition(b"?")
        if query and self.may_hold_secret(query):
            return None
        hasher = self.new_hasher()
        hasher.update(token)
        digest = hasher.digest()
        kept = self.kept.get(digest) or self.known.packed_call(digest)
        boot, known = boot_seconds(), self.known  # after the request's last byte, and for this decision alone (G1)
        if kept is None and self.is_garbage(token):
            return self._refuse_garbage(method, path, user_agent, peer.caller(forwarded_for), gateway)
        if kept is None or boot >= known.fresh_until or boot + known.database_ahead >= kept.rights.ends_at:
            return None
        wall, window, rights = time(), kept.window, kept.rights
        is_barred = rights.is_bounded and self.api.rule(rights.scopes, method, path).reason
        if is_barred or judge(rights.standing, window, boot, wall):
            return None
        address = peer.address if forwarded_for is None else peer.caller(forwarded_for)
        number = self.next_number()
        self.put(
            (kept.who, wall, method, path, 204, None, "", user_agent or b"", address,
             self.id_base + number, window.day)
        )  # fmt: skip
        self.accepted[rights.kind] += 1
        left = window.left  # in place what `left_now` says of a call that was just counted
        return ACCEPTED % (
            self.date, window.headers, kept.head, window.left_today + window.beyond, left, left, window.room,
            self.id_prefix, number
        )  # fmt: skip

    def _refuse_garbage(
        self, method: bytes, path: bytes, user_agent: bytes | None, address: str | None, gateway: bytes | None
    ) -> bytes:
        """The answer to what no store need be asked about: it must not be a cheap way to keep a gate busy."""
        number = self.next_number()
        self.decisions["", "malformed"] += 1
        self.put(
            (NOBODY, time(), method, path, 401, None, "malformed", user_agent or b"", address,
             self.id_base + number, None)
        )  # fmt: skip
        answer = self.garbage[gateway == b"nginx"]
        return answer.replace(answers.ANY_REQUEST_ID, self.request_ids.text(number))

    # --- What is rarer ----------------------------------------------------------------------------------------------
    def check(self, asked: Asked, later: Later, *, head: bool) -> bytes | None:
        """Decide on any call; the answer, or None if the store is asked first and `later` gets it then."""
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
            return self._read_first(asked, number, digests, later, shown=shown, head=head)
        return self._conclude(asked, number, found, later, shown=shown, head=head)

    def _decide(
        self, asked: Asked, number: int, kept: Kept, later: Later, *, head: bool, in_query: bool
    ) -> bytes | None:
        boot, wall = boot_seconds(), time()
        if boot >= self.known.fresh_until:
            return self._refuse(asked, number, Reason.STORE_UNAVAILABLE, of=kept, head=head)
        path, at = asked.target.partition(b"?")[0], boot + self.known.database_ahead
        rights = kept.rights
        judged_by_path = rights.is_bounded and not rights.standing
        ruling = self.api.rule(rights.scopes, asked.method, path) if judged_by_path else PASSES
        window = kept.window = self.windows.current(kept.window)
        reason = rights.refused(at) or ruling.reason or judge(rights.standing, window, boot, wall)
        if reason in LIMITS and window.may_get(reason):
            self._ask_others(asked, number, kept, later, in_query=in_query, head=head)
            return None
        if reason in LIMITS and window.is_cut_off:
            reason = Reason.STORE_UNAVAILABLE
        if reason:
            return self._refuse(asked, number, reason, kept=kept, ruling=ruling, head=head)
        self.writer.put(
            (kept.who, wall, asked.method, path, 204, None, "", asked.user_agent, asked.address,
             self.id_base + number, kept.window.day)
        )  # fmt: skip
        self.accepted[rights.kind] += 1
        about = _with_query_deprecation(kept) if in_query else kept.head
        left_today, left, seconds = kept.window.left_now()
        return ACCEPTED % (
            self.date, kept.window.headers, about, left_today, left, left, seconds, self.id_prefix, number
        )  # fmt: skip

    def _ask_others(self, asked: Asked, number: int, kept: Kept, later: Later, *, in_query: bool, head: bool) -> None:
        """Have the shared counter asked for what the limits lack here; the call is decided then."""

        def conclude(*, waited_long: bool = False) -> None:
            if timeout.cancelled():
                return
            timeout.cancel()
            if waited_long:
                answer: bytes | None = self._refuse(asked, number, Reason.STORE_UNAVAILABLE, of=kept, head=head)
            else:
                answer = self._decide(asked, number, kept, later, in_query=in_query, head=head)
            if answer is not None:
                later(answer)

        timeout = self.loop.call_later(PATIENCE_SECONDS, partial(conclude, waited_long=True))
        self.sharing.wait(kept.window, conclude)

    def _from_known(self, digests: Digests) -> Kept | Reason | None:
        for digest in digests:
            kept = self.known.find(digest)
            if kept is not None:
                return kept
        return Reason.UNKNOWN if digests[0] in self.known.unknown else None

    def _conclude(
        self,
        asked: Asked,
        number: int,
        found: Kept | Reason | None,
        later: Later,
        *,
        shown: Presented,
        head: bool,
    ) -> bytes | None:
        if isinstance(found, Kept):
            return self._decide(asked, number, found, later, in_query=shown.in_query, head=head)
        boot, known = boot_seconds(), self.known
        if found is None or boot >= known.fresh_until:
            return self._refuse(asked, number, Reason.STORE_UNAVAILABLE, head=head)
        sunset = known.sunset if shown.kind is secrets.Kind.API_KEY else None
        ended = sunset.refuses(boot + known.database_ahead) if sunset else Reason.ACCEPTED
        return self._refuse(asked, number, ended or found, head=head, sunset=sunset)

    def _read_first(
        self,
        asked: Asked,
        number: int,
        digests: Digests,
        later: Later,
        *,
        shown: Presented,
        head: bool,
    ) -> bytes | None:
        """Have the store asked; the call is decided when it has answered, or refused when that takes too long."""

        def conclude() -> None:
            if not timeout.cancelled():
                timeout.cancel()
                found = self._from_known(digests)
                answer = self._conclude(asked, number, found, later, shown=shown, head=head)
                if answer is not None:
                    later(answer)

        timeout = asyncio.get_running_loop().call_later(LEASE_SECONDS, conclude)
        if self.known.ask(digests, conclude):
            return None
        timeout.cancel()
        return self._conclude(asked, number, None, later, shown=shown, head=head)

    def _refuse(
        self,
        asked: Asked,
        number: int,
        reason: Reason,
        *,
        head: bool,
        kept: Kept | None = None,
        of: Kept | None = None,
        shown: Presented | None = None,
        ruling: Ruling = PASSES,
        sunset: Announced | None = None,
    ) -> bytes:
        """Count and log a refusal; its answer.

        :param kept: whose call it is, so far as it is proved; `of`: the same for the log alone, where it was proved
            once: the answer is that of anybody.
        """
        boot, wall = boot_seconds(), time()
        whose = kept or of
        self.decisions[whose.rights.kind if whose else "", reason.value] += 1
        self.put(
            (whose.who if whose else NOBODY, wall, asked.method, asked.target.partition(b"?")[0], STATUS[reason], None,
             reason.value, asked.user_agent, asked.address, self.id_base + number, None)
        )  # fmt: skip
        request_id, nginx = self.request_ids.text(number), asked.nginx
        lines = refusals.sunset_lines(reason, kept.rights.sunset if kept else sunset)
        if kept is None and not lines:
            kind = shown.kind if shown else None
            answer = self.refusal_of_anybody(reason, kind=kind, nginx=nginx, head=head)
            return answer.replace(answers.ANY_REQUEST_ID, request_id)
        refusal = partial(answers.refusal, reason, request_id, ruling=ruling, nginx=nginx, head=head)
        if kept is None:
            return refusal(lines=lines, kind=shown.kind if shown else None)
        if reason in LIMITS:
            window = kept.window
            lines += window.headers + window.remaining()
            refusal = partial(refusal, retry_after=window.retry_after(reason, boot=boot, wall=wall))
        slug = kept.slug.decode() if reason not in refusals.SAME_FOR_ALL else ""
        return refusal(lines=lines, kind=secrets.Kind(kept.rights.kind), slug=slug)

    def page(self, path: bytes, method: bytes, fields: Fields, peer: Peer, later: Later) -> bytes | None:
        """What is not a call: health and metrics."""
        return pages.page(self, path, method, fields, peer, later)

    def new_request_id(self) -> str:
        return self.request_ids.text(self.request_ids.next_number()).decode()

    # --- Life -------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        self.writer.start()
        self.asker.start()
        self.known.start(self.loop)
        self.api.start()
        self.counts = CountsFile(pages.NAMES, pages.counted(self))
        self._tick()
        until = boot_seconds() + FIRST_POLL_SECONDS
        while not self.known.fresh_until and boot_seconds() < until:  # noqa: ASYNC110 -- once: nobody comes too early
            await asyncio.sleep(0.01)
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def stop(self) -> None:
        """Write out the queued calls, and let go of the store."""
        self._next_tick.cancel()
        self.api.stop()
        await asyncio.gather(asyncio.to_thread(self.asker.stop), asyncio.to_thread(self.writer.stop))
        await asyncio.to_thread(self.known.stop)
        self.counts.set(pages.counted(self))
        self.counts.close()

    def _tick(self) -> None:
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        self.now = boot_seconds()
        self.turns.end()  # who has just sent something is not idle
        for connection in list(self.connections):
            connection.expire(self.now)
        self.counts.set(pages.counted(self))
        self._next_tick = self.loop.call_later(TICK_SECONDS, self._tick)

    def _hand_over(self, what: Callable[[], None]) -> None:
        """From a thread: have something done on the loop; once that has ended, here."""
        try:
            self.loop.call_soon_threadsafe(what)
        except RuntimeError:
            with self._after_the_loop:
                what()


def _with_query_deprecation(kept: Kept) -> bytes:
    """A key in the query was deprecated before any sunset, and the field comes once (RFC 9745, 2)."""
    sunset = kept.rights.sunset
    return QUERY_DEPRECATION + (kept.head.replace(sunset.deprecation, b"") if sunset else kept.head)


def _values(field: bytes | None) -> list[str]:
    return field.decode("latin-1").split(REPEATED.decode()) if field is not None else []


async def lifespan(
    scope: dict[str, Any], receive: Any, send: Any, *, storage: Callable[[], Storage] = call_storage
) -> None:
    """The part of the gate that uvicorn takes for an ASGI application: it only starts and stops."""
    if scope["type"] != "lifespan":
        return
    await receive()
    gate = scope["state"]["gate"] = Gate(storage())
    await gate.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await gate.stop()
    await send({"type": "lifespan.shutdown.complete"})
