"""`single_sign_on disconnect`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import single_sign_on
from accounts.actors import SHELL
from accounts.models import User
from keyportal.shell import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Forget whom the provider of single sign-on knows a person as, so that their next sign-in there connects anew."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="disconnect")
        disconnect = verbs.add_parser("disconnect", help="for who is somebody else at the provider now")
        disconnect.add_argument("email")
        super().add_arguments(disconnect)

    def handle(self, *, email: str, json: bool, **_options: Any) -> None:
        user = User.objects.with_address(email).first()
        if user is None:
            raise CommandError("Nobody signs in with this address.")
        if not single_sign_on.unlink(user=user, by=SHELL, now=timezone.now()):
            raise CommandError(f"{user.email} is not connected.")
        sentence = f"{user.email} connects anew with the next sign-in through the provider."
        self.say({"email": user.email}, sentence, as_json=json)
