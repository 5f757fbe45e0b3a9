"""Doors for the clock."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from accounts import revisions, sending
from keyportal import mail as mail_files


@shared_task
def send_mails(**_newer: Any) -> None:
    """Send what is owed by now; a second run at the same time finds the rest."""
    while sending.send_next(now=timezone.now()):
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
