"""Doors for the clock."""

import time
from typing import Any

from celery import shared_task
from django.utils import timezone

from accounts import revisions, sending
from keyportal import mail as mail_files

SENDS_FOR = 20.0  # seconds; then other jobs have their turn, and the next run goes on


@shared_task
def send_mails(**_newer: Any) -> None:
    """Send what is owed by now; a second run at the same time finds the rest."""
    ends_at = time.monotonic() + SENDS_FOR
    while sending.send_next(now=timezone.now()) and time.monotonic() < ends_at:
        pass


@shared_task
def prune_mails(**_newer: Any) -> None:
    """Forget mails that went out long ago; a second run finds none."""
    sending.prune(now=timezone.now())
    mail_files.prune(now=timezone.now())


@shared_task
def prune_changes(**_newer: Any) -> None:
    """Forget changes that no gate can still be behind of; a second run finds nothing."""
    revisions.prune(now=timezone.now())
