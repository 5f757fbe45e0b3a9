"""The portal's jobs, woken twice a second and with short leases: `celery --app tests.impatient`."""

from datetime import timedelta
from typing import Any

from celery import signals

from keyportal.celery import app

LEASE = timedelta(seconds=3)

app.conf.beat_schedule = {
    "remind": {"task": "apikeys.tasks.remind", "schedule": 0.5},
    "send-mails": {"task": "accounts.tasks.send_mails", "schedule": 0.5},
}


@signals.worker_init.connect
def _lease_for_a_moment(**_sent: Any) -> None:
    from accounts import sending  # noqa: PLC0415 -- models are there from now on

    sending.LEASE = LEASE
