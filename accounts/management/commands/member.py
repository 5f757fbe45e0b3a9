"""`member list`, `member add`, `member role` and `member remove`."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.models import Account, Member
from accounts.permissions import Role
from accounts.shell import account_named, how_to_sign_in, member_named
from keyportal.shell import OperatorCommand, refusal


class Command(OperatorCommand):
    help = "Say who is in an account, and in which role. Each change is an entry in the account's audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|add|role|remove")
        everybody = verbs.add_parser("list", help="name all members")
        add = verbs.add_parser("add", help="give a place without an invitation")
        role = verbs.add_parser("role", help="give another role, from the next request on")
        remove = verbs.add_parser("remove", help="end a place, from the next request on")
        for verb in (everybody, add, role, remove):
            verb.add_argument("account", help="slug")
        add.add_argument("email", help="of an existing person, or of a new one")
        add.add_argument("--role", choices=Role.values, default=Role.MEMBER.value)
        role.add_argument("email")
        role.add_argument("role", choices=Role.values)
        remove.add_argument("email")
        for verb in (everybody, add, role, remove):
            super().add_arguments(verb)

    def handle(self, *, verb: str, account: str, json: bool, email: str = "", role: str = "", **_: Any) -> None:
        its = account_named(account)
        try:
            if verb == "list":
                self._list(its, json=json)
            elif verb == "add":
                self._add(its, email, Role(role), json=json)
            elif verb == "role":
                self._role(its, email, Role(role), json=json)
            else:
                self._remove(its, email, json=json)
        except ValidationError as error:
            raise refusal(error) from None
        except operations.PeopleError as error:
            raise CommandError(str(error)) from None

    def _list(self, account: Account, *, json: bool) -> None:
        found = account.members.active().select_related("user").order_by("user__email")
        members = [{**facts_about(one), "name": one.user.name, "joined_at": one.joined_at} for one in found]
        lines = [f"{one['email']}  {one['role']}" for one in members]
        self.say({"account": account.slug, "members": members}, "\n".join(lines), as_json=json)

    def _add(self, account: Account, email: str, role: Role, *, json: bool) -> None:
        member = operations.add_member(account=account, email=email, role=role, by=SHELL, now=timezone.now())
        sentence = f"{member.user.email} is in “{account}” now. Role: {role.label}.{how_to_sign_in(member.user)}"
        self.say({"account": account.slug, **facts_about(member)}, sentence, as_json=json)

    def _role(self, account: Account, email: str, role: Role, *, json: bool) -> None:
        member = member_named(account, email)
        changed = operations.change_role(member=member, role=role, by=SHELL, now=timezone.now())
        sentence = f"{changed.user.email} now has the role: {role.label}."
        self.say({"account": account.slug, **facts_about(changed)}, sentence, as_json=json)

    def _remove(self, account: Account, email: str, *, json: bool) -> None:
        member = member_named(account, email)
        operations.remove(member=member, by=SHELL, now=timezone.now())
        sentence = f"{member.user.email} is in “{account}” no more."
        self.say({"account": account.slug, "email": member.user.email}, sentence, as_json=json)


def facts_about(member: Member) -> dict[str, str]:
    return {"email": member.user.email, "role": member.role}
