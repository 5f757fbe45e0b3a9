"""What the gate has read and may still go by: the mechanism of G1, proved in `apikeys.gate`.

Everything kept belongs to the event loop's thread. Two other threads talk to the store: one polls for changes, one
reads what a call asked for and nobody had yet; both hand what they learnt to the loop.
"""

import asyncio
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import time
from typing import TYPE_CHECKING

import structlog
from django.db import connection

from accounts.revisions import LEASE_SECONDS
from apikeys.gate import kept
from apikeys.gate.changes import Poll, poll
from apikeys.gate.clock import boot_seconds, database_ahead
from apikeys.gate.kept import AllRights, Kept
from apikeys.gate.limits import Window
from apikeys.gate.packed import PackedCall, has_but_this
from apikeys.gate.protected_api import ProtectedApi
from apikeys.gate.store import NOTHING_SEEN, Credential, Read, StoreError, read_credentials
from apikeys.gate.windows import Windows, without_holes
from auditlog.connections import take_private_connection

if TYPE_CHECKING:
    from apikeys.gate.announced import Announced

POLL_SECONDS = 0.2
KEPT_LIMIT = 1_000_000  # credentials; less than 512 MiB with all else that a process needs
LOOKED_AT, LET_GO = 1_000, 200  # accounts: where there is no room, of so many the least lately used go
BEGINNING = slice(15)  # of a digest: enough to find it, in bytes objects of 48 bytes instead of 80
ROUNDS = 20  # of that, for one that is to be kept
UNKNOWN_LIMIT = 10_000  # well-formed secrets that the store does not know
WAITING_LIMIT = 10_000  # secrets asked for at once
STOP_SECONDS = 0.5  # a thread that hangs at the store longer ends with the process
READ_LIMIT = 200  # secrets a statement

Digests = tuple[bytes, ...]  # of one secret, under each pepper that may be in use, newest first

logger = structlog.get_logger(__name__)


Waiter = Callable[[], None]  # called once what it waits for is kept, known to be unknown, or cannot be had


class Known:
    """The kept reads, and how long they count."""

    def __init__(self, windows: Windows, api: ProtectedApi, *, look: Callable[[], None]) -> None:
        """:param look: makes sure, with each poll, that this process may still use what it holds of limits (G8)."""
        self.windows = windows
        self._api = api
        self._look = look
        self.rights = AllRights()
        self.kept: dict[bytes, Kept] = {}
        self.account_of: dict[bytes, int] = {}  # of all that is kept, packed or not, by the digests' beginnings
        self._gone = 0  # credentials that left holes in it
        self.unknown: set[bytes] = set()  # by the newest pepper's digest
        self.fresh_until = 0.0  # boot seconds: nothing counts from then on
        self.polled_at = 0.0  # t0 of the newest poll
        self.database_ahead = 0.0  # of boot seconds, by the newest poll
        self.sunset: Announced | None = None  # what counts for `unknown`
        self.set_back = False  # the store lacks a change that was seen: until a restart nothing counts
        self._base = NOTHING_SEEN  # by the newest poll
        self._of_account: dict[int, tuple[bytes, ...]] = {}  # digests of what is kept, mostly one
        self._waiting: dict[Digests, list[Waiter]] = {}
        self._doubtful: list[Digests] = []  # read from a store that lacked the base: for the next poll to judge
        self._asked: SimpleQueue[Digests | None] = SimpleQueue()
        self._stopping = Event()
        self._threads = [Thread(target=run, daemon=True) for run in (self._poll_on, self._read_on)]
        windows.credentials = self

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._asked.put(None)
        for thread in self._threads:
            thread.join(timeout=STOP_SECONDS)

    # --- On the loop ------------------------------------------------------------------------------------------------
    def ask(self, digests: Digests, waiter: Waiter) -> bool:
        """Have a secret read; False if too many are being read already."""
        waiting = self._waiting.get(digests)
        if waiting is not None:
            waiting.append(waiter)
        elif len(self._waiting) < WAITING_LIMIT:
            self._waiting[digests] = [waiter]
            self._asked.put(digests)
        else:
            return False
        return True

    def _polled(self, answer: Poll) -> None:
        """Drop what changed; what is left counts for a lease from before the poll was sent."""
        if self.set_back:
            return  # answered before the polling ended: of the other store, whose changes it has for its base
        if answer.set_back:
            logger.error("store_set_back", hint="restored or failed over: restart the gate once that is understood")
            self.set_back, self.fresh_until = True, 0.0
            self._drop_all()
            self._wake(list(self._waiting))
            return
        if answer.everything:
            self._drop_all()
        for account_id in answer.accounts:
            self.forget(account_id)
        if answer.seen != self._base:
            self.unknown.clear()
        self._base = answer.seen
        self.polled_at = answer.asked_at
        self.database_ahead = database_ahead(said=answer.said, asked_at=answer.asked_at)
        self.fresh_until = answer.asked_at + LEASE_SECONDS
        self._ask_again(self._doubtful)
        self._doubtful = []

    def _drop_all(self) -> None:
        self.kept.clear()
        self.account_of.clear()
        self.unknown.clear()
        self._of_account.clear()

    def _received(self, asked: list[Digests], read: Read) -> None:
        """Keep what was read, if the store had the newest change that a poll has seen; else it is read again.

        A poll may have seen one since. If not, the store was set back, or that change was pruned: the next poll says.
        """
        if self.set_back:
            return  # everybody who waited has been told
        if read.base != self._base:
            self._ask_again(asked)
            return
        if not read.has_base:
            self._doubtful += asked
            return
        self.sunset = read.sunset
        for digests in asked:
            found = next((digest for digest in digests if digest in read.credentials), None)
            if found is not None:
                self.keep(read.credentials[found])
            else:
                if len(self.unknown) >= UNKNOWN_LIMIT:
                    self.unknown.clear()
                self.unknown.add(digests[0])
        self._wake(asked)

    def find(self, digest: bytes) -> Kept | None:
        found = self.kept.get(digest)
        account_id = self.account_of.get(digest[BEGINNING]) if found is None else None
        if account_id is not None:
            self.windows.get(account_id)
            found = self.kept.get(digest)
        return found

    def packed_call(self, digest: bytes) -> PackedCall | Kept | None:
        """A call of a packed credential, to be counted."""
        account_id = self.account_of.get(digest[BEGINNING])
        if account_id is None:
            return None
        packed = self.windows.packed[account_id]
        return PackedCall(self, digest, account_id, packed) if has_but_this(packed, digest) else self.find(digest)

    def keep(self, credential: Credential) -> None:
        if len(self.account_of) >= KEPT_LIMIT:
            self._make_room()
        window = self.windows.of(credential, boot=boot_seconds(), wall=time())
        self.account_of[credential.digest[BEGINNING]] = credential.account_id
        self._keep(
            credential.digest,
            Kept(
                self.rights.of(credential, is_bounded=self._api.bounds(credential.scopes)),
                window,
                number=credential.account_number,
                slug=credential.account_slug.encode(),
                identity=credential.id.hex,
            ),
        )

    def _keep(self, digest: bytes, one: Kept) -> None:
        account_id = one.window.account_id
        others = self._of_account.get(account_id, ())
        self._of_account[account_id] = (*(other for other in others if other != digest), digest)
        self.kept[digest] = one

    def _make_room(self) -> None:
        """Let go of what was least lately used of some accounts; the next time it is others' turn."""
        for _ in range(ROUNDS):
            accounts = [one for one in self.windows.looked_at(LOOKED_AT) if self._keeps_of(one)]
            accounts.sort(key=self.windows.newest_tick)
            if sum(map(self.forget, accounts[:LET_GO])):
                return

    def _keeps_of(self, account_id: int) -> bool:
        return account_id in self._of_account or bool(self.windows.packed_credentials(account_id))

    # --- With the account's window ----------------------------------------------------------------------------------
    def pack(self, account_id: int) -> bytes | None:
        its_digests = self._of_account.get(account_id, ())
        if len(its_digests) > kept.PACKED_LIMIT:
            return None
        return kept.pack({digest: self.kept[digest] for digest in its_digests}, self.rights)

    def let_go(self, account_id: int) -> None:
        for digest in self._of_account.pop(account_id, ()):
            self.kept.pop(digest, None)

    def unpack(self, window: Window, packed: bytes) -> None:
        """What has been dropped meanwhile stays so."""
        for digest, one in kept.unpack(packed, self.rights, window):
            if self.account_of.get(digest[BEGINNING]) == window.account_id:
                self._keep(digest, one)

    def forget(self, account_id: int) -> int:
        """Drop the account's credentials; how many those were. What its window counts stays."""
        its_digests = (
            *self._of_account.get(account_id, ()),
            *kept.digests(self.windows.packed_credentials(account_id)),
        )
        self.let_go(account_id)
        self.windows.forget_credentials(account_id)
        before = len(self.account_of)
        for digest in its_digests:
            if self.account_of.get(digest[BEGINNING]) == account_id:
                del self.account_of[digest[BEGINNING]]
        dropped = before - len(self.account_of)
        self.account_of, self._gone = without_holes(self.account_of, self._gone + dropped)
        return dropped

    def _ask_again(self, asked: list[Digests]) -> None:
        for digests in asked:
            self._asked.put(digests)

    def _wake(self, asked: list[Digests]) -> None:
        for digests in asked:
            for waiter in self._waiting.pop(digests, ()):
                waiter()

    # --- In threads of their own ------------------------------------------------------------------------------------
    def _poll_on(self) -> None:
        take_private_connection()
        base = NOTHING_SEEN
        while not self._stopping.is_set() and not self.set_back:
            try:
                answer = poll(connection, base)
                base = answer.seen
                self._look()
            except StoreError as failure:
                logger.warning("poll_failed", error=type(failure).__name__)
                connection.close()
            else:
                self._hand_over(self._polled, answer)
            self._stopping.wait(POLL_SECONDS)
        connection.close()

    def _read_on(self) -> None:
        take_private_connection()
        while (first := self._asked.get()) is not None:
            asked, base = [first, *self._asked_too()], self._base
            try:
                read = read_credentials(connection, [digest for digests in asked for digest in digests], base)
            except StoreError as failure:
                logger.warning("read_failed", error=type(failure).__name__)
                connection.close()
                self._hand_over(self._wake, asked)
            else:
                self._hand_over(self._received, asked, read)
        connection.close()

    def _asked_too(self) -> list[Digests]:
        more: list[Digests] = []
        while len(more) < READ_LIMIT:
            try:
                digests = self._asked.get_nowait()
            except Empty:
                break
            if digests is None:
                self._asked.put(None)
                break
            more.append(digests)
        return more

    def _hand_over(self, what: Callable[..., None], *arguments: object) -> None:
        if not self._stopping.is_set():
            self._loop.call_soon_threadsafe(what, *arguments)
