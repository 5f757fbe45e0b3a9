"""The operator's commands, run inside the test."""

import json
from io import StringIO
from typing import Any

from django.core.management import call_command


def run(*words: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def facts(*words: str) -> dict[str, Any]:
    """What it prints with --json."""
    answer: dict[str, Any] = json.loads(run(*words, "--json"))
    return answer
