"""The gate's few pages: is it alive, is it ready, what has it counted."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import TYPE_CHECKING

from django.db import connection
from django.db.utils import Error as StoreError
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from apikeys.gate.answers import answer, json_answer
from apikeys.gate.asked import FORWARDED_PREFIX
from apikeys.gate.clock import boot_seconds
from apikeys.gate.counts import NOW, machine
from apikeys.gate.reasons import Reason
from apikeys.gate.turns import BOUNDS
from apikeys.secrets import Kind
from auditlog import call_counts, origin

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from apikeys.gate.app import Gate
    from apikeys.gate.asked import Fields, Peer

FORWARDING = (b"forwarded", b"x-real-ip")
NOT_SHARED = "the shared counter cannot be asked: each process keeps to its share"

KINDS, REASONS = ["", *map(str, Kind)], list(map(str, Reason))
DECISIONS, TURNS = "decisions ", "turns "  # followed by kind and reason; by the bound
TURN_BOUNDS = [*map(str, BOUNDS), "+Inf"]
TURN_MICROSECONDS = "turn microseconds"
KEPT, QUEUED, POLLED_AT, SHARED = (
    f"{NOW}kept",
    f"{NOW}queued",
    f"{NOW}polled at",
    f"{NOW}shared",
)  # the third: microseconds since boot
NAMES = [
    *(f"{DECISIONS}{kind} {reason}" for kind in KINDS for reason in REASONS),
    *(TURNS + bound for bound in TURN_BOUNDS),
    TURN_MICROSECONDS,
    KEPT,
    QUEUED,
    POLLED_AT,
    SHARED,
]


def counted(gate: Gate) -> dict[str, int]:
    """What this process has counted, by NAMES."""
    return {
        **{f"{DECISIONS}{kind} ": number for kind, number in gate.accepted.items()},
        **{f"{DECISIONS}{kind} {reason}": number for (kind, reason), number in gate.decisions.items()},
        **{TURNS + bound: number for bound, number in zip(TURN_BOUNDS, gate.turns.within, strict=True)},
        TURN_MICROSECONDS: int(gate.turns.seconds * 1e6),
        KEPT: len(gate.known.account_of),
        QUEUED: gate.writer.queued,
        POLLED_AT: int((gate.known.polled_at or gate.began) * 1e6),
        SHARED: int(gate.asker.is_shared),
    }


def page(
    gate: Gate, path: bytes, method: bytes, fields: Fields, peer: Peer, later: Callable[[bytes], None]
) -> bytes | None:
    """The page's answer; None if `later` gets it."""
    name, head = path.partition(b"?")[0], method == b"HEAD"
    if name not in {b"/livez", b"/readyz", b"/metrics"}:
        return json_answer(404, {"error": "There is nothing here. The gate answers /check."}, head=head)
    if method not in {b"GET", b"HEAD"}:
        return answer(405, [("Allow", "GET, HEAD")], b"")
    if name == b"/livez":
        return json_answer(200, {"status": "ok"}, head=head)
    if name == b"/readyz":
        return readiness(gate, head=head)
    if not may_read_metrics(fields, peer):
        return answer(
            403, [("Content-Type", "text/plain")], b"Metrics are for loopback and METRICS_ALLOW.\n", head=head
        )
    gate.counts.set(counted(gate))
    wait = asyncio.get_running_loop().run_in_executor(None, metrics, gate)
    wait.add_done_callback(lambda done: later(_metrics_answer(done, head=head)))
    return None


def readiness(gate: Gate, *, head: bool) -> bytes:
    """Whether calls can be decided; else which part is missing and why."""
    if gate.known.set_back:
        said = {"status": "unavailable", "store": "was set back: restart the gate once that is understood"}
    elif boot_seconds() >= gate.known.fresh_until:
        said = {"status": "unavailable", "store": "cannot be asked"}
    else:
        said = {"status": "ok", "store": "ok", "limits": "ok" if gate.asker.is_shared else NOT_SHARED}
    if gate.api.path is not None:
        broken = "has changed and is broken: the one before still holds, the log says why"
        said["api_document"] = broken if gate.api.trouble else "ok"
    return json_answer(200 if said["status"] == "ok" else 503, said, head=head)


def may_read_metrics(fields: Fields, peer: Peer) -> bool:
    if any(name in FORWARDING or name.startswith(FORWARDED_PREFIX) for name in fields):
        return False
    return origin.may_read_metrics(peer.address)


class _Counts(Collector):
    """What this machine's gate processes decided, and the call log's counts of every process that it has had."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterator[Metric]:
        here = machine()
        yield self._decisions(here.totals)
        yield from self._api_document()
        yield self._turns(here.totals)
        yield GaugeMetricFamily(
            "keyportal_credentials_kept",
            "Credentials in memory, by the process on this machine that keeps most.",
            max(here.each(KEPT)),
        )
        queued = sum(here.each(QUEUED))
        yield GaugeMetricFamily("keyportal_calls_queued", "Calls that gates on this machine have yet to store.", queued)
        yield GaugeMetricFamily(
            "keyportal_last_poll_age_seconds",
            "Since the newest answered poll was sent, by the process on this machine that has waited longest.",
            boot_seconds() - min(here.each(POLLED_AT)) / 1e6,
        )
        yield GaugeMetricFamily(
            "keyportal_limits_shared",
            "1: limits are shared by all processes; 0: the shared counter is gone, each keeps to its share.",
            min(here.each(SHARED)),
        )
        try:
            totals = call_counts.totals()
        except StoreError:  # /readyz says so; the other metrics are still true
            return
        finally:
            connection.close()
        yield CounterMetricFamily("keyportal_calls_issued", "Calls decided on, on this machine.", totals.issued)
        yield CounterMetricFamily("keyportal_calls_stored", "Calls written into the call log.", totals.stored)
        yield GaugeMetricFamily("keyportal_calls_waiting", "Calls on the disk, for the store to take.", totals.waiting)
        yield CounterMetricFamily("keyportal_calls_lost", "Calls that will never be in the call log.", totals.lost)

    @staticmethod
    def _decisions(totals: Counter[str]) -> Metric:
        """Accepted calls of each kind; of refused ones what there were."""
        found = CounterMetricFamily(
            "keyportal_decisions",
            "Calls decided on, on this machine, by kind of credential and reason of refusal (empty: accepted).",
            labels=["kind", "reason"],
        )
        for kind in KINDS[1:]:
            found.add_metric((kind, ""), totals[f"{DECISIONS}{kind} "])
        for name, number in totals.items():
            kind, _, reason = name.removeprefix(DECISIONS).partition(" ")
            if name.startswith(DECISIONS) and reason:
                found.add_metric((kind, reason), number)
        return found

    @staticmethod
    def _turns(totals: Counter[str]) -> Metric:
        """Answered within a turn of the loop; what waits for the store or comes in parts takes longer."""
        summed = accumulate(totals[TURNS + bound] for bound in TURN_BOUNDS)
        said = "From a turn's first bytes until its last answer was handed over, for each message in it."
        return HistogramMetricFamily(
            "keyportal_turn_seconds",
            said,
            buckets=list(zip(TURN_BOUNDS, summed, strict=True)),
            sum_value=totals[TURN_MICROSECONDS] / 1e6,
        )

    def _api_document(self) -> Iterator[Metric]:
        api = self._gate.api
        if api.path is not None:
            yield GaugeMetricFamily("keyportal_api_document_operations", "That calls are judged by.", api.operations)
            broken = "1: the file has changed and is not understood; the one before still holds."
            yield GaugeMetricFamily("keyportal_api_document_broken", broken, float(bool(api.trouble)))


def metrics(gate: Gate) -> bytes:
    """Prometheus text format; asks the store, so not for the loop's thread."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Counts(gate))
    return generate_latest(registry)


def _metrics_answer(done: asyncio.Future[bytes], *, head: bool) -> bytes:
    return answer(200, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)], done.result(), head=head)
