"""How the operator's commands speak: a sentence or, with --json, one JSON object; exit 0 done, 1 refused, 2 misused."""

import json
from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime


class OperatorCommand(BaseCommand):
    """Acts as "operator (shell)". Refusals are raised as CommandError: exit 1, the reason on stderr."""

    requires_migrations_checks = True
    suppressed_base_arguments = {  # noqa: RUF012 -- Django's own attribute
        "--version",
        "--pythonpath",
        "--settings",
        "--no-color",
        "--force-color",
    }

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def say(self, facts: dict[str, Any], sentence: str, *, as_json: bool) -> None:
        self.stdout.write(json.dumps(facts, default=_jsonable) if as_json else sentence)


def refusal(error: ValidationError) -> CommandError:
    """A validation error as one line: "slug: Account with this slug already exists."."""
    if not hasattr(error, "message_dict"):
        return CommandError(" ".join(error.messages))
    return CommandError(" ".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items()))


def positive(text: str) -> int:
    """Argument type: a whole number from 1 up."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"“{text}” is not a whole number from 1 up.")
    return number


def iso_instant(text: str) -> datetime:
    """Argument type: an instant with its offset, such as 2026-05-04T09:30:00Z (ISO 8601)."""
    try:
        instant = parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ArgumentTypeError(f"“{text}” is not an instant with its offset, such as 2026-05-04T09:30:00Z.")
    return instant


def instant_or_now(text: str) -> datetime:
    """Argument type: as `iso_instant`, or the word now."""
    return timezone.now() if text == "now" else iso_instant(text)


def _jsonable(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form here.")
