"""`prune_calls [--now ISO]`."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts.actors import SHELL
from auditlog import journal, retention
from auditlog.actions import Action
from keyportal.shell import OperatorCommand, iso_instant


class Command(OperatorCommand):
    help = "Remove calls that are older than seven days. The run is an entry in the audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--now", type=iso_instant, metavar="ISO", help="as if it were this instant")
        super().add_arguments(parser)

    def handle(self, *, now: datetime | None, json: bool, **_: Any) -> None:
        today = timezone.now()
        as_of = now or today
        if as_of > today:
            raise CommandError("--now lies ahead: calls would go that are younger than seven days.", returncode=2)
        removed = retention.prune_calls(now=as_of)
        with transaction.atomic():
            journal.record(Action.CALLS_PRUNED, of=None, by=SHELL, at=today, removed=removed, as_of=as_of.isoformat())
        self.say({"removed": removed}, f"Removed {removed:,} calls.", as_json=json)
