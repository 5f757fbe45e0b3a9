"""The jobs process: a worker and its clock. What is due when stands in `beat_schedule`, in code."""

import os
import warnings

from celery import Celery
from celery.schedules import crontab
from kombu.transport import sqlalchemy as embedded_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")

# A stop waits for the poll that it falls into; create_engine() takes the broker's options, so this cannot be one.
embedded_broker.Transport.polling_interval = 0.25  # seconds
# The danger that Celery means is pickled messages; ours are JSON. In a container everybody is root.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

app = Celery("keyportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "prune-calls": {"task": "auditlog.tasks.prune_calls", "schedule": crontab(minute="17")},
    "prune-changes": {"task": "accounts.tasks.prune_changes", "schedule": crontab(minute="47")},
}
