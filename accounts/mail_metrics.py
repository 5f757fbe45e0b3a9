"""What Prometheus is told about mails that are owed: a mail server that takes nothing shows here first."""

from collections.abc import Iterator

from django.db import Error as StoreError
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from accounts.models import OutgoingMail

registry = CollectorRegistry()


class OwedMails(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        owed = OutgoingMail.objects.filter(sent_at__isnull=True, dropped_at__isnull=True)
        try:
            found = owed.aggregate(number=Count("pk"), since=Min("created_at"))
        except StoreError:  # /readyz says so; the other metrics are still true
            return
        waits = (timezone.now() - found["since"]).total_seconds() if found["since"] else 0
        yield GaugeMetricFamily("keyportal_mails_owed", "Mails that are owed and not sent yet.", found["number"])
        yield GaugeMetricFamily("keyportal_mails_owed_seconds", "For how long the oldest of them is owed.", waits)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing, so that registering does not ask the store."""
        yield from ()


registry.register(OwedMails())
