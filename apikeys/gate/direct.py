"""The check for a process that keeps nothing: the web process, which serves the account API behind it.

It reads the credential for each call, so what G1 promises holds without a lease. It shares limits with the gates, like
one of them (`apikeys.gate.sharing`).
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from uuid import UUID

from django.db import connection

from apikeys import secrets
from apikeys.gate import refusals
from apikeys.gate.announced import Announced
from apikeys.gate.clock import boot_seconds, database_ahead
from apikeys.gate.decide import judge, standing
from apikeys.gate.limits import Window
from apikeys.gate.presented import Presented, presented
from apikeys.gate.reasons import LIMITS, STATUS, Reason
from apikeys.gate.request_ids import RequestIds
from apikeys.gate.routes import EVERYTHING, PASSES, UNKNOWN, Ruling, Scopes
from apikeys.gate.sharing.asker import Asker
from apikeys.gate.sharing.process import Sharing
from apikeys.gate.store import Credential, Read, StoreError, read_credentials, read_usage
from apikeys.gate.windows import Windows
from apikeys.models import ApiKey
from auditlog.call_storage import LocalStorage
from auditlog.calls import NOBODY, STOP_SECONDS, CallWriter, Usage, Who
from auditlog.connections import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A call as it came in."""

    method: str
    target: str = field(repr=False)  # path?query as received
    headers: Sequence[tuple[str, str]] = field(repr=False)
    address: str | None  # the caller's, proxies of ours left out


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the call may pass, and what to answer if not."""

    accepted: bool
    status: int  # 200 when accepted: the endpoint's own counts then
    reason: Reason  # empty when accepted
    headers: list[tuple[str, str]]
    body: bytes  # empty when accepted
    request_id: UUID
    account_id: int | None
    credential: Credential | None
    usage: int  # the account's calls today, this one included if it was accepted
    daily_limit: int
    at: float  # Unix time
    day: str | None  # the account's day that an accepted call counts for


class _Process:
    """What this process counts and writes; made anew in a forked child."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = Lock()
        self.windows = Windows()
        self.sharing = Sharing(self.windows, self._as_owner)
        self.asker = Asker(self.sharing)
        self.request_ids = RequestIds()
        self.writer = CallWriter(LocalStorage(secrets.mask), on_usage=self.learn)

    def start(self) -> None:
        self.writer.start()
        self.asker.start()

    def stop(self, patience: float) -> None:
        self.asker.stop()
        self.writer.stop(patience=patience)

    def learn(self, usage: Usage) -> None:
        """Hear from the call writer: (account, day, calls in the batch, the day's total)."""
        with self.lock:
            for account_id, day, settled, stored in usage:
                window = self.windows.get(account_id)
                if window is not None:
                    window.learn(day=day, stored=stored, settled=settled)

    def _as_owner(self, what: Callable[[], None]) -> None:
        with self.lock:
            what()


_process: _Process | None = None
_making = Lock()


def _this_process() -> _Process:
    global _process  # noqa: PLW0603 -- one of its kind in a process
    if _process is None or _process.pid != os.getpid():
        with _making:
            if _process is None or _process.pid != os.getpid():
                _process = _Process()
                _process.start()
    return _process


Rule = Callable[[Scopes, bytes, bytes], Ruling]  # of scopes, method, and path without its query


def nothing_for_apps(scopes: Scopes, *_call: bytes) -> Ruling:
    return PASSES if scopes is EVERYTHING else UNKNOWN


def decide(request: ApiRequest, *, rule: Rule = nothing_for_apps) -> Decision:
    """Judge one call. Whatever it carries, this answers; where the store cannot be asked, with a 503.

    :param rule: which calls scopes open, of whatever is served here: not what API_SPEC describes.
    """
    process = _this_process()
    number = process.request_ids.next_number()
    shown = _presented(request)
    if shown.reason:
        return _refusal(process, number, shown.reason, kind=shown.kind)
    credential = None
    try:
        read, credential = _find(shown.secret)
        if credential is None:
            return _unknown(process, number, read, kind=shown.kind)
        path = request.target.partition("?")[0].encode(errors="replace")
        ruling = rule(credential.scopes, request.method.encode(errors="replace"), path)
        return _judged(process, number, read, credential, ruling, in_query=shown.in_query)
    except StoreError:
        return _refusal(process, number, Reason.STORE_UNAVAILABLE, credential=credential)


def close(*, patience: float = STOP_SECONDS) -> None:
    """Write out what is queued and give back what is held; the next call begins anew."""
    global _process  # noqa: PLW0603 -- one of its kind in a process
    if _process is not None and _process.pid == os.getpid():
        _process.stop(patience)
    _process = None


def finish(decision: Decision, request: ApiRequest, *, status: int, duration_us: int) -> None:
    """Put the call into the call log; never waits for the store."""
    process = _this_process()
    credential = decision.credential
    call = (
        who(credential) if credential else NOBODY,
        decision.at,
        request.method.encode(errors="replace"),
        request.target.partition("?")[0].encode(errors="replace"),
        status,
        duration_us,
        decision.reason,
        _header(request, "user-agent").encode(errors="replace"),
        request.address,
        decision.request_id.int,
        decision.day,
    )
    with process.lock:
        process.writer.put(call)


def limits_are_shared() -> bool:
    """False while the shared counter cannot be asked, and each process keeps to its share."""
    return _process is None or _process.asker.is_shared


def is_refused(api_key: ApiKey) -> bool:
    """Whether a call that presents this key now would be refused whatever the limits; the check is not logged.

    :raises StoreError: if the store cannot be asked.
    """
    digest = bytes(api_key.digest)
    credential = read_credentials(connection, [digest]).credentials.get(digest)
    return credential is None or bool(standing(credential))


def who(credential: Credential) -> Who:
    return (credential.account_id, credential.kind.value, credential.id.hex)


def _presented(request: ApiRequest) -> Presented:
    return presented(
        authorization=[value for name, value in request.headers if name.lower() == "authorization"],
        api_key=[value for name, value in request.headers if name.lower() == "x-api-key"],
        query=request.target.partition("?")[2],
    )


def _header(request: ApiRequest, wanted: str) -> str:
    return next((value for name, value in request.headers if name.lower() == wanted), "")


def _find(secret: str) -> tuple[Read, Credential | None]:
    digests = list(secrets.digests(secret))
    read = read_credentials(connection, digests)
    return read, next((read.credentials[digest] for digest in digests if digest in read.credentials), None)


def _ended(sunset: Announced | None, read: Read, *, boot: float) -> Reason:
    """Why an announced end refuses a call that began at `boot`, if it does."""
    ahead = database_ahead(said=read.said, asked_at=read.asked_at)
    return sunset.refuses(boot + ahead) if sunset else Reason.ACCEPTED


def _unknown(process: _Process, number: int, read: Read, *, kind: secrets.Kind | None) -> Decision:
    sunset = read.sunset if kind is secrets.Kind.API_KEY else None
    ended = _ended(sunset, read, boot=boot_seconds())
    return _refusal(process, number, ended or Reason.UNKNOWN, sunset=sunset)


def _judged(
    process: _Process, number: int, read: Read, credential: Credential, ruling: Ruling, *, in_query: bool
) -> Decision:
    its_standing = standing(credential) or ruling.reason  # as the gate: a dead token is not told what it lacks
    process.asker.look()
    boot, wall = boot_seconds(), time.time()
    with process.lock:
        window = process.windows.of(credential, boot=boot, wall=wall)
    today = (credential.account_id, window.day)
    usage = read_usage(connection, [today])
    with process.lock:
        window = process.windows.current(window)
        window.learn(day=today[1], stored=usage.get(today, 0))
    patience = boot + PATIENCE_SECONDS
    while True:
        more = Event()
        if not process.asker.is_fresh:
            process.asker.look()
        with process.lock:
            boot, wall, window = boot_seconds(), time.time(), process.windows.current(window)
            fresh = process.asker.is_fresh and boot < patience
            ended = _ended(credential.sunset, read, boot=boot)
            reason = ended or (judge(its_standing, window, boot, wall) if fresh else Reason.STORE_UNAVAILABLE)
            if reason not in LIMITS or not window.may_get(reason):
                return _limited(process, number, reason, credential, window, ruling, in_query=in_query)
            process.sharing.wait(window, more.set)
        more.wait(max(patience - boot_seconds(), 0))


def _limited(
    process: _Process,
    number: int,
    reason: Reason,
    credential: Credential,
    window: Window,
    ruling: Ruling,
    *,
    in_query: bool,
) -> Decision:
    """The decision that the limits leave; made while the lock is still held, so that its headers are of this call."""
    if reason in LIMITS and window.is_cut_off:
        reason = Reason.STORE_UNAVAILABLE
    if reason:
        return _refusal(process, number, reason, credential=credential, window=window, ruling=ruling)
    headers = _lines(window.headers + window.remaining())
    if credential.sunset:
        headers += _lines(credential.sunset.headers)
    if in_query:  # a field that comes once (RFC 9745, 2): keys in a query were deprecated first
        headers = [(name, value) for name, value in headers if name != "Deprecation"]
        headers.append(refusals.QUERY_DEPRECATION)
    return _decision(process, number, Reason.ACCEPTED, 200, headers, b"", credential, window)


def _refusal(
    process: _Process,
    number: int,
    reason: Reason,
    *,
    kind: secrets.Kind | None = None,
    credential: Credential | None = None,
    window: Window | None = None,
    sunset: Announced | None = None,
    ruling: Ruling = PASSES,
) -> Decision:
    over_limit = window is not None and reason in LIMITS
    boot, retry_after = boot_seconds(), refusals.STORE_RETRY_SECONDS
    headers: list[tuple[str, str]] = []
    if window is not None and over_limit:
        retry_after = window.retry_after(reason, boot=boot, wall=time.time())
        headers = _lines(window.headers + window.remaining())
    headers += refusals.headers(reason, retry_after=retry_after, scopes=ruling.scopes)
    headers += _lines(refusals.sunset_lines(reason, credential.sunset if credential else sunset))
    slug = credential.account_slug if credential and reason not in refusals.SAME_FOR_ALL else ""
    kind = credential.kind if credential else kind
    body = refusals.body(reason, process.request_ids.text(number), kind=kind, slug=slug, ruling=ruling)
    return _decision(process, number, reason, STATUS[reason], headers, body, credential, window)


def _decision(
    process: _Process,
    number: int,
    reason: Reason,
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
    credential: Credential | None,
    window: Window | None,
) -> Decision:
    request_id = process.request_ids.uuid(number)
    return Decision(
        accepted=not reason,
        status=status,
        reason=reason,
        headers=[*headers, ("X-Request-Id", str(request_id))],
        body=body,
        request_id=request_id,
        account_id=credential.account_id if credential else None,
        credential=credential,
        usage=window.used_today if window else 0,
        daily_limit=window.daily if window else 0,
        at=time.time(),
        day=window.day if window and not reason else None,
    )


def _lines(block: bytes) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition(": ") for line in block.decode().splitlines())]
