"""`prune_calls [--now ISO]`."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from auditlog import retention
from keyportal.shell import OperatorCommand, iso_instant


class Command(OperatorCommand):
    help = "Remove calls that are older than seven days."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--now", type=iso_instant, metavar="ISO", help="as if it were this instant")
        super().add_arguments(parser)

    def handle(self, *, now: datetime | None, json: bool, **_: Any) -> None:
        removed = retention.prune_calls(now=now or timezone.now())
        self.say({"removed": removed}, f"Removed {removed:,} calls.", as_json=json)
