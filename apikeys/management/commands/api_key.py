"""`api_key create|show|rotate|deactivate ACCOUNT`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.actors import SHELL
from accounts.models import Account
from accounts.sealing import UnsealError
from accounts.shell import account_named
from apikeys.models import ApiKey, RotationPlan
from apikeys.operations import api_keys
from auditlog.models import LastUse
from keyportal.shell import OperatorCommand


class Command(OperatorCommand):
    help = "Create, show, rotate or deactivate an account's API key. Each is an entry in the account's audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=list(_ACTS))
        parser.add_argument("account", help="slug")
        super().add_arguments(parser)

    def handle(self, *, verb: str, account: str, json: bool, **_: Any) -> None:
        its, now = account_named(account), timezone.now()
        plan = its.rotation_plans.open().first()
        try:
            issued = _ACTS[verb](its, now)
        except (api_keys.RefusedError, UnsealError) as error:
            raise CommandError(str(error)) from None
        if isinstance(issued, ApiKey):
            sentence = f"Deactivated generation {issued.generation} (…{issued.last4}). Calls with it are refused."
            self.say(facts_about(issued, now=now), sentence, as_json=json)
        else:
            self.say(facts_about(issued.key, now=now) | {"secret": issued.secret}, issued.secret, as_json=json)
        if plan is not None:
            self._say_if_off(plan)

    def _say_if_off(self, plan: RotationPlan) -> None:
        """Beside the answer, whose form scripts know: what was called off along with it."""
        plan.refresh_from_db()
        if plan.end in {RotationPlan.End.ROTATED, RotationPlan.End.DEACTIVATED}:
            when = f"{plan.planned_for:%Y-%m-%d %H:%M} UTC"
            self.stderr.write(f"The rotation planned for {when} is off: its prepared key (…{plan.last4}) never counts.")


def _create(account: Account, now: datetime) -> api_keys.IssuedKey:
    return api_keys.create_api_key(account=account, by=SHELL, now=now)


def _show(account: Account, now: datetime) -> api_keys.IssuedKey:
    return api_keys.show_api_key(account=account, by=SHELL, now=now)


def _rotate(account: Account, now: datetime) -> api_keys.IssuedKey:
    return api_keys.rotate_api_key(account=account, generation=None, by=SHELL, now=now)


def _deactivate(account: Account, now: datetime) -> ApiKey:
    return api_keys.deactivate_api_key(account=account, generation=None, by=SHELL, now=now)


_ACTS: dict[str, Callable[[Account, datetime], api_keys.IssuedKey | ApiKey]] = {
    "create": _create,
    "show": _show,
    "rotate": _rotate,
    "deactivate": _deactivate,
}


def facts_about(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    """What may be told of a key without its secret."""
    return {
        "account": key.account.slug,
        "generation": key.generation,
        "last4": key.last4,
        "created_at": key.created_at,
        "created_by": key.created_by.user.email if key.created_by else SHELL.actor.name,
        "age_days": key.age(now=now).days,
        "rotate_by": key.rotate_by,
        "rotation_planned_for": key.account.rotation_plans.open().values_list("planned_for", flat=True).first(),
        "last_used_at": LastUse.objects.filter(credential_id=key.pk).values_list("at", flat=True).first(),
    }
