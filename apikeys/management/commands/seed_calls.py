"""`seed_calls N [--days 7]`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.actors import SHELL
from apikeys.operations import seeding_calls
from auditlog.usage import CALLS_KEPT_FOR
from keyportal.shell import OperatorCommand, positive


class Command(OperatorCommand):
    help = "Store N calls of the accounts that have a key, over the last days, for measurements."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=positive, metavar="N")
        parser.add_argument("--days", type=positive, default=CALLS_KEPT_FOR.days, help="over so many days (default: 7)")
        super().add_arguments(parser)

    def handle(self, *, count: int, days: int, json: bool, **_: Any) -> None:
        if days > CALLS_KEPT_FOR.days:
            raise CommandError(f"Calls are kept for {CALLS_KEPT_FOR.days} days; --days cannot be more.", returncode=2)

        def progress(done: int) -> None:
            if self.stderr.isatty():
                self.stderr.write(f"\r{done:,} of {count:,}", ending="")

        try:
            seeding_calls.seed_calls(count, days=days, by=SHELL, now=timezone.now(), progress=progress)
        except seeding_calls.NoKeysError:
            raise CommandError("No account has a key. Make some first: seed_keys.") from None
        self.say({"calls": count, "days": days}, f"Stored {count:,} calls over {days} days.", as_json=json)
