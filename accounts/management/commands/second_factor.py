"""`second_factor remove`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.models import User
from keyportal.shell import OperatorCommand


class Command(OperatorCommand):
    help = "Take away the second factors of a person who lost them and the recovery codes; be sure who is asking."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="remove")
        remove = verbs.add_parser("remove", help="authenticator app, passkeys and recovery codes")
        remove.add_argument("email")
        super().add_arguments(remove)

    def handle(self, *, email: str, json: bool, **_options: Any) -> None:
        user = User.objects.with_address(email).first()
        if user is None:
            raise CommandError("Nobody signs in with this address.")
        removed = operations.remove_second_factors(user=user, by=SHELL, now=timezone.now())
        if not removed:
            raise CommandError(f"{user.email} has no second factor.")
        sentence = f"{user.email} signs in with the password alone until they add a second factor."
        self.say({"email": user.email, "removed": removed}, sentence, as_json=json)
