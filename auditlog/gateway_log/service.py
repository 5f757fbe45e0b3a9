"""The collecting process: takes lines in, completes calls about once a second, and ends cleanly."""

import asyncio
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from auditlog.connections import take_private_connection
from auditlog.gateway_log.collector import BAD, BATCH_LIMIT, DROPPED, OVERSIZE, UNTRUSTED, Collector
from auditlog.gateway_log.completions import Completions
from auditlog.gateway_log.listeners import Listener, listening
from auditlog.gateway_log.receiver import Receiver

PAUSE_SECONDS = 0.5  # between looks for what is due
STOP_SECONDS = 3.0  # for which the end waits for calls whose lines have come
COMPLAINT_SECONDS = 60.0
WRONG = (BAD, OVERSIZE, DROPPED, UNTRUSTED)

logger = structlog.get_logger(__name__)


class Service:
    """One process's. What listeners bring is taken on the loop; the store is asked in one other thread."""

    def __init__(self) -> None:
        self._collector = Collector()
        self._completions = Completions()
        self.counts = self._collector.counts
        self._store = ThreadPoolExecutor(1, thread_name_prefix="completions", initializer=take_private_connection)
        self._complained_at, self._complained_of = 0.0, 0

    # --- What listeners bring ---------------------------------------------------------------------------------------
    @property
    def has_room(self) -> bool:
        return self._collector.has_room

    def __len__(self) -> int:
        return len(self._collector)

    def take(self, line: bytes) -> bool:
        return self._collector.take(line, now=timezone.now(), clock=time.monotonic())

    def count(self, outcome: str) -> None:
        self.counts[outcome] += 1

    # --- Life -------------------------------------------------------------------------------------------------------
    async def run(self, listeners: Sequence[Listener], tokens: Sequence[str]) -> None:
        """Until SIGTERM or SIGINT.

        :raises BadListenerError: if an address cannot be had.
        """
        stopping = asyncio.Event()
        for ending in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(ending, stopping.set)
        async with listening(listeners, self, Receiver(self, tokens)):
            logger.info("access_log_collecting", listening=[str(one) for one in listeners])
            while not stopping.is_set():
                done = await self._complete()
                self._complain()
                if done < BATCH_LIMIT:
                    await _wait(stopping, PAUSE_SECONDS)
        await self._end()

    async def _complete(self, *, last: bool = False) -> int:
        """Look for what is due; how many those were."""
        due = self._collector.due(time.monotonic())
        if not due:
            return 0
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._store, self._completions.complete, due)
        except (OperationalError, InterfaceError) as failure:  # for as long as there is room
            logger.warning("access_log_waits", error=type(failure).__name__, held=len(self._collector))
            await asyncio.get_running_loop().run_in_executor(self._store, _close)
            return 0
        self._collector.settle(due, outcome, clock=time.monotonic(), last=last)
        return len(due)

    def _complain(self) -> None:
        """Say how many lines came to nothing, at most once a minute, and never what they held."""
        wrong = sum(self.counts[outcome] for outcome in WRONG)
        if wrong > self._complained_of and time.monotonic() - self._complained_at >= COMPLAINT_SECONDS:
            logger.warning("access_log_lines_left", **{outcome: self.counts[outcome] for outcome in WRONG})
            self._complained_at, self._complained_of = time.monotonic(), wrong

    async def _end(self) -> None:
        """Nothing comes in any more; calls that ended just now may still be on their way into the log."""
        deadline = time.monotonic() + STOP_SECONDS
        self._collector.all_due(time.monotonic())
        while len(self._collector) and time.monotonic() < deadline:
            if not await self._complete(last=True):
                await asyncio.sleep(PAUSE_SECONDS / 5)
        self._collector.give_up()
        await asyncio.get_running_loop().run_in_executor(self._store, _close)
        self._store.shutdown()


def _close() -> None:
    """The calling thread's own connection."""
    connection.close()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
