"""`account create`, `account list`, `account plan`, `account suspend`, `account close` and `account reopen`."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.forms import ReasonForm
from accounts.models import Account, User
from accounts.shell import account_named, how_to_sign_in
from keyportal.shell import OperatorCommand, positive, refusal

CHANGES: dict[str, tuple[operations.ChangesState, str, str]] = {
    "suspend": (operations.suspend_account, "refuse all of its calls until it is reopened", "is suspended"),
    "close": (operations.close_account, "refuse all of its calls for good", "is closed"),
    "reopen": (operations.reopen_account, "let the credentials of a suspended or closed account pass", "is open"),
}


class Command(OperatorCommand):
    help = "Open an account with its first super admin, list accounts, set limits, suspend, close or reopen one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|plan|suspend|close|reopen")
        create = verbs.add_parser("create", help="open an account")
        create.add_argument("name")
        create.add_argument("--slug", required=True, help="its name in addresses: a-z, 0-9 and hyphens")
        create.add_argument("--super-admin", required=True, metavar="EMAIL", help="an existing person, or a new one")
        create.add_argument("--time-zone", default="UTC", help="IANA name, such as America/New_York")
        every = verbs.add_parser("list", help="name all accounts")
        plan = verbs.add_parser("plan", help="set limits")
        plan.add_argument("account", help="slug")
        plan.add_argument("--burst", type=positive, metavar="N", help="calls in any 10 seconds")
        plan.add_argument("--daily", type=positive, metavar="N", help="calls a day")
        changes = [verbs.add_parser(verb, help=does) for verb, (_, does, _) in CHANGES.items()]
        for change in changes:
            change.add_argument("account", help="slug")
            change.add_argument("--reason", required=True, help="who may read the account's audit log reads it there")
        for verb in (create, every, plan, *changes):
            super().add_arguments(verb)

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            if verb == "create":
                self._create(**options)
            elif verb == "list":
                self._list(**options)
            elif verb == "plan":
                self._plan(**options)
            else:
                self._change(verb, **options)
        except ValidationError as error:
            raise refusal(error) from None

    @transaction.atomic
    def _create(self, *, name: str, slug: str, super_admin: str, time_zone: str, json: bool, **_: Any) -> None:
        user = User.objects.find_or_make(super_admin)
        account = operations.create_account(
            name=name, slug=slug, super_admin=user, time_zone=time_zone, by=SHELL, now=timezone.now()
        )
        facts = {"account": slug, "number": account.number, "name": name, "super_admin": user.email}
        self.say(facts, f"Opened “{name}” for {user.email}.{how_to_sign_in(user)}", as_json=json)

    def _list(self, *, json: bool, **_: Any) -> None:
        found = [facts_about(account) for account in Account.objects.order_by("slug")]
        lines = [f"{one['account']}  {one['state']}  {one['name']}" for one in found]
        self.say({"accounts": found}, "\n".join(lines), as_json=json)

    def _plan(self, *, account: str, burst: int | None, daily: int | None, json: bool, **_: Any) -> None:
        if burst is None and daily is None:
            raise CommandError("Name a limit: --burst, --daily or both.", returncode=2)
        its = account_named(account)
        operations.change_plan(account=its, burst_limit=burst, daily_limit=daily, by=SHELL, now=timezone.now())
        facts = {"account": account, "burst": its.burst_limit, "daily": its.daily_limit}
        sentence = f"“{its}” may now make {its.burst_limit:,} calls in any 10 seconds and {its.daily_limit:,} a day."
        self.say(facts, sentence, as_json=json)

    def _change(self, verb: str, *, account: str, reason: str, json: bool, **_: Any) -> None:
        its = account_named(account)
        form = ReasonForm({"reason": reason})
        if not form.is_valid():
            raise CommandError(f"reason: {form.errors['reason'][0]}")
        run, _does, done = CHANGES[verb]
        try:
            run(account=its, by=SHELL, now=timezone.now(), **form.cleaned_data)
        except operations.StateError as error:
            raise CommandError(str(error)) from None
        self.say({"account": account, "state": its.state}, f"“{its}” {done}.", as_json=json)


def facts_about(account: Account) -> dict[str, Any]:
    return {
        "account": account.slug,
        "number": account.number,
        "name": account.name,
        "state": account.state,
        "burst": account.burst_limit,
        "daily": account.daily_limit,
        "created_at": account.created_at,
    }
