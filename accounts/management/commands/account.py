"""`account create` and `account plan`."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.models import User
from accounts.shell import account_named
from keyportal.shell import OperatorCommand, positive, refusal


class Command(OperatorCommand):
    help = "Open an account with its first super admin, or set an account's limits."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|plan")
        create = verbs.add_parser("create", help="open an account")
        create.add_argument("name")
        create.add_argument("--slug", required=True, help="its name in addresses: a-z, 0-9 and hyphens")
        create.add_argument("--super-admin", required=True, metavar="EMAIL", help="an existing person, or a new one")
        create.add_argument("--time-zone", default="UTC", help="IANA name, such as America/New_York")
        plan = verbs.add_parser("plan", help="set limits")
        plan.add_argument("account", help="slug")
        plan.add_argument("--burst", type=positive, metavar="N", help="calls in any 10 seconds")
        plan.add_argument("--daily", type=positive, metavar="N", help="calls a day")
        for verb in (create, plan):
            super().add_arguments(verb)

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            if verb == "create":
                self._create(**options)
            else:
                self._plan(**options)
        except ValidationError as error:
            raise refusal(error) from None

    @transaction.atomic
    def _create(self, *, name: str, slug: str, super_admin: str, time_zone: str, json: bool, **_: Any) -> None:
        user = User.objects.find_or_make(super_admin)
        now = timezone.now()
        account = operations.create_account(
            name=name, slug=slug, super_admin=user, time_zone=time_zone, by=SHELL, now=now
        )
        facts = {"account": slug, "number": account.number, "name": name, "super_admin": user.email}
        reset = f"{settings.SITE_ORIGIN}{reverse('account_reset_password')}"
        sign_in = "" if user.has_usable_password() else f" They choose a password at {reset}"
        self.say(facts, f"Opened “{name}” for {user.email}.{sign_in}", as_json=json)

    def _plan(self, *, account: str, burst: int | None, daily: int | None, json: bool, **_: Any) -> None:
        if burst is None and daily is None:
            raise CommandError("Name a limit: --burst, --daily or both.", returncode=2)
        its = account_named(account)
        operations.change_plan(account=its, burst_limit=burst, daily_limit=daily, by=SHELL, now=timezone.now())
        facts = {"account": account, "burst": its.burst_limit, "daily": its.daily_limit}
        sentence = f"“{its}” may now make {its.burst_limit:,} calls in any 10 seconds and {its.daily_limit:,} a day."
        self.say(facts, sentence, as_json=json)
