"""The jobs process: a worker and its clock. What is due when stands in `beat_schedule`, in code."""

import os

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")

app = Celery("keyportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "prune-calls": {"task": "auditlog.tasks.prune_calls", "schedule": crontab(minute="17")},
    "prune-changes": {"task": "accounts.tasks.prune_changes", "schedule": crontab(minute="47")},
}
