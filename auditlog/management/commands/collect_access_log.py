"""`collect_access_log [--listen ADDRESS …]`."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from auditlog.gateway_log.listeners import DEFAULT, BadListenerError, Listener
from auditlog.gateway_log.service import Service
from keyportal.shell import OperatorCommand

SHORTEST_TOKEN = 32  # characters


class Command(OperatorCommand):
    help = (
        "Take the gateways' access logs and complete the call log with status, duration and size, until stopped. "
        "Addresses: udp://HOST:PORT, unix:///PATH (nginx, syslog), tcp://HOST:PORT (Caddy), http://HOST:PORT (NDJSON)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        by_default = " ".join(settings.ACCESS_LOG_LISTEN or DEFAULT)
        parser.add_argument(
            "--listen", action="append", metavar="ADDRESS", help=f"several times for several; default: {by_default}"
        )
        super().add_arguments(parser)

    def handle(self, *, listen: list[str] | None, json: bool, **_: Any) -> None:
        service = Service()
        try:
            listeners = [Listener.of(text) for text in listen or settings.ACCESS_LOG_LISTEN or DEFAULT]
            if any(one.scheme == "http" for one in listeners):
                refuse_weak_tokens(settings.ACCESS_LOG_TOKENS)
            asyncio.run(service.run(listeners, settings.ACCESS_LOG_TOKENS))
        except BadListenerError as refusal:
            raise CommandError(str(refusal)) from None
        counted = ", ".join(f"{number:,} {outcome}" for outcome, number in service.counts.items() if number)
        self.say(dict(service.counts), f"Lines: {counted or 'none'}.", as_json=json)


def refuse_weak_tokens(tokens: list[str]) -> None:
    """:raises CommandError: if there is none, or one that could be guessed."""
    if not tokens or min(map(len, tokens)) < SHORTEST_TOKEN:
        raise CommandError(f"http:// needs ACCESS_LOG_TOKENS, of at least {SHORTEST_TOKEN} characters each.")
