"""`seed_keys N --file FILE`."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.actors import SHELL
from apikeys.operations import seeding
from keyportal.shell import OperatorCommand, positive


class Command(OperatorCommand):
    help = "Make N accounts with a key each, out of the limits' way, for measurements."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=positive, metavar="N")
        parser.add_argument("--file", type=Path, required=True, help="gets the secrets, one a line; mode 0600")
        super().add_arguments(parser)

    def handle(self, *, count: int, file: Path, json: bool, **_: Any) -> None:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
        with os.fdopen(descriptor, "w") as lines:
            os.fchmod(descriptor, 0o600)
            lines.writelines(f"{secret}\n" for secret in seeding.seed_keys(count, by=SHELL, now=timezone.now()))
        facts = {"accounts": count, "file": str(file)}
        self.say(facts, f"Made {count:,} accounts with a key each; their secrets are in {file}.", as_json=json)
