"""What this web process counts for Prometheus about the calls that came in by the door."""

from collections.abc import Iterator

from django.db import Error as StoreError
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from apikeys.gate import direct
from auditlog import call_counts

registry = CollectorRegistry()
decisions = Counter(
    "keyportal_decisions",
    "Calls that this process decided on, by kind of credential and reason of refusal (empty: accepted).",
    ["kind", "reason"],
    registry=registry,
)

limits_shared = Gauge(
    "keyportal_limits_shared",
    "1: limits are shared by all processes; 0: the shared counter is gone, each keeps to its share.",
    registry=registry,
)
limits_shared.set_function(lambda: float(direct.limits_are_shared()))


class CallCounts(Collector):
    """Issued, stored and lost calls (G7): of every process that this machine has had, not of this one alone."""

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        try:
            totals = call_counts.totals()
        except StoreError:  # /readyz says so; the other metrics are still true
            return
        yield CounterMetricFamily("keyportal_calls_issued", "Calls decided on, on this machine.", totals.issued)
        yield CounterMetricFamily("keyportal_calls_stored", "Calls written into the call log.", totals.stored)
        yield GaugeMetricFamily("keyportal_calls_waiting", "Calls on the disk, for the store to take.", totals.waiting)
        yield CounterMetricFamily("keyportal_calls_lost", "Calls that will never be in the call log.", totals.lost)

    def describe(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Nothing, so that registering does not ask the store."""
        yield from ()


registry.register(CallCounts())
