"""The jobs process: a worker and its clock. What is due when stands in `beat_schedule`, in code."""

import os
import warnings

from celery import Celery
from celery.schedules import crontab
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")

TRANSPORT_ALIASES["sqla"] = "keyportal.broker:EmbeddedBroker"
# The danger that Celery means is pickled messages; ours are JSON. In a container everybody is root.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

app = Celery("keyportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "send-mails": {"task": "accounts.tasks.send_mails", "schedule": 5.0, "options": {"expires": 5.0}},
    "make-partitions": {"task": "auditlog.tasks.make_partitions", "schedule": crontab(minute="7")},
    "prune-calls": {"task": "auditlog.tasks.prune_calls", "schedule": crontab(minute="17")},
    "remind": {"task": "apikeys.tasks.remind", "schedule": crontab(minute="27")},
    "wake-plans": {"task": "apikeys.tasks.wake_plans", "schedule": 10.0, "options": {"expires": 10.0}},
    "tell-of-sunset": {"task": "apikeys.tasks.tell_of_sunset", "schedule": 60.0, "options": {"expires": 60.0}},
    "prune-mails": {"task": "accounts.tasks.prune_mails", "schedule": crontab(minute="37", hour="3")},
    "prune-changes": {"task": "accounts.tasks.prune_changes", "schedule": crontab(minute="47")},
    "prune-day-grants": {"task": "apikeys.tasks.prune_day_grants", "schedule": crontab(minute="57", hour="3")},
}
