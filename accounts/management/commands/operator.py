"""`operator add`, `operator remove` and `operator list`."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import operators
from accounts.actors import SHELL
from accounts.models import User
from accounts.shell import how_to_sign_in
from keyportal.shell import OperatorCommand, refusal


class Command(OperatorCommand):
    help = "Say who is an operator: staff of the company, who look after all accounts in /admin/."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|remove|list")
        add = verbs.add_parser("add", help="make a person an operator")
        add.add_argument("email", help="of an existing person, or of a new one")
        remove = verbs.add_parser("remove", help="make an operator an ordinary person")
        remove.add_argument("email")
        everybody = verbs.add_parser("list", help="name all operators")
        for verb in (add, remove, everybody):
            super().add_arguments(verb)

    def handle(self, *, verb: str, json: bool, email: str = "", **_: Any) -> None:
        try:
            if verb == "add":
                self._add(email, json=json)
            elif verb == "remove":
                self._remove(email, json=json)
            else:
                self._list(json=json)
        except ValidationError as error:
            raise refusal(error) from None
        except operators.OperatorError as error:
            raise CommandError(str(error)) from None

    def _add(self, email: str, *, json: bool) -> None:
        person = operators.add_operator(email=email, by=SHELL, now=timezone.now())
        sentence = f"{person.email} is an operator now.{how_to_sign_in(person)}"
        self.say({"operator": person.email}, sentence, as_json=json)

    def _remove(self, email: str, *, json: bool) -> None:
        person = operators.remove_operator(email=email, by=SHELL, now=timezone.now())
        self.say({"operator": person.email}, f"{person.email} is no operator any more.", as_json=json)

    def _list(self, *, json: bool) -> None:
        found = list(User.objects.filter(is_staff=True).order_by("email"))
        facts = [{"email": one.email, "name": one.name, "active": one.is_active} for one in found]
        lines = [one.email if one.is_active else f"{one.email}  (sign-in switched off)" for one in found]
        self.say({"operators": facts}, "\n".join(lines), as_json=json)
