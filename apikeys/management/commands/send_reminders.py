"""`send_reminders [--now ISO]`."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts import sending
from apikeys.operations import reminders, word_of_sunset
from keyportal.shell import OperatorCommand, iso_instant


class Command(OperatorCommand):
    help = "Find whom to remind of an old key or of an end of keys, and send what is owed by now. Harmless to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--now", type=iso_instant, metavar="ISO", help="as of this instant instead of now")
        super().add_arguments(parser)

    def handle(self, *, now: datetime | None, json: bool, **_: Any) -> None:
        now = now or timezone.now()
        told, mails = reminders.remind(now=now) + word_of_sunset.tell(now=now), 0
        while sending.send_next(now=now):
            mails += 1
        facts = {"reminded": told, "mails": mails, "now": now}
        self.say(facts, f"Reminded {told:,} people; {mails:,} mails were due.", as_json=json)
