"""Doors for the clock."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from apikeys.gate.sharing import days
from apikeys.operations import handovers, reminders, rotation_plans, word_of_sunset

MAILS_A_SECOND = 10  # what every provider takes, and mail servers think nothing of


@shared_task
def remind(**_newer: Any) -> None:
    """Remind of keys that are due, by a notice and a mail; a second run finds everybody told."""
    reminders.remind(now=timezone.now(), mails_a_second=MAILS_A_SECOND)


@shared_task
def wake_plans(**_newer: Any) -> None:
    """Run planned rotations whose time has come, and tell of them; a second run finds it done."""
    rotation_plans.wake(now=timezone.now())
    handovers.close_void(now=timezone.now())


@shared_task
def tell_of_sunset(**_newer: Any) -> None:
    """Owe people the word that is due of an announced end of API keys; a second run finds everybody told."""
    word_of_sunset.tell(now=timezone.now(), mails_a_second=MAILS_A_SECOND)


@shared_task
def prune_day_grants(**_newer: Any) -> None:
    """Delete how many calls were lent on days that are over; a second run finds none."""
    days.prune(now=timezone.now())
