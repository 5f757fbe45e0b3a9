"""`account_group create`, `add`, `remove`, `delete` and `list`."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db.models import Count
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.models import AccountGroup
from accounts.shell import group_named
from keyportal.shell import OperatorCommand, refusal


class Command(OperatorCommand):
    help = "Group accounts, so that something can be announced for some of them. An account is in one group at most."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|add|remove|delete|list")
        create = verbs.add_parser("create", help="make an empty group")
        add = verbs.add_parser("add", help="put accounts into a group, out of the one that they are in")
        remove = verbs.add_parser("remove", help="take accounts out of a group")
        delete = verbs.add_parser("delete", help="forget an empty group")
        every = verbs.add_parser("list", help="name all groups")
        for verb in (create, add, remove, delete):
            verb.add_argument("name")
        for verb in (add, remove):
            verb.add_argument("accounts", nargs="+", metavar="ACCOUNT", help="slugs")
        for verb in (create, add, remove, delete, every):
            super().add_arguments(verb)

    def handle(self, *, verb: str, json: bool, **options: Any) -> None:
        try:
            if verb == "list":
                self._list(json=json)
            elif verb == "create":
                made = operations.create_group(name=options["name"], by=SHELL, now=timezone.now())
                self.say({"group": made.name, "accounts": 0}, f"Made the group “{made}”.", as_json=json)
            elif verb == "delete":
                gone = group_named(options["name"])
                operations.delete_group(group=gone, by=SHELL, now=timezone.now())
                self.say({"group": gone.name}, f"Deleted the group “{gone}”.", as_json=json)
            else:
                self._move(**options, into=verb == "add", json=json)
        except ValidationError as error:
            raise refusal(error) from None
        except operations.GroupError as error:
            raise CommandError(str(error)) from None

    def _move(self, *, name: str, accounts: list[str], into: bool, json: bool, **_: Any) -> None:
        group, found = group_named(name), operations.accounts_named(accounts)
        if not into:
            found = [account for account in found if operations.group_of(account) == group]
        moved = operations.move_accounts(accounts=found, group=group if into else None, by=SHELL, now=timezone.now())
        facts = {"group": group.name, "moved": moved, "accounts": group.places.count()}
        self.say(facts, f"Moved {moved:,}. The group “{group}” holds {facts['accounts']:,} accounts.", as_json=json)

    def _list(self, *, json: bool) -> None:
        rows = AccountGroup.objects.annotate(size=Count("places")).order_by("name").values_list("name", "size")
        found = [{"group": name, "accounts": size} for name, size in rows]
        self.say({"groups": found}, "\n".join(f"{name}  {size:,}" for name, size in rows), as_json=json)
