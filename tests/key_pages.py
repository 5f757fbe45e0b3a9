"""The pages of the account API key, by the names of their addresses, and what tests read there."""

from datetime import timedelta

from django.test import Client

from accounts.models import Account
from accounts.permissions import Role
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.visitors import path

DAY = timedelta(days=1)
PAGE, SHOW, CREATE = "apikeys:api-key", "apikeys:api-key-show", "apikeys:api-key-create"
ROTATE, DEACTIVATE, PREVIOUS = "apikeys:api-key-rotate", "apikeys:api-key-deactivate", "apikeys:api-key-previous"
NOT_SUPER_ADMIN = [Role.DEVELOPER, Role.AUDITOR, Role.MEMBER]


def text_of(client: Client, name: str, account: Account) -> str:
    answer = client.get(path(name, account))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def entries(action: Action) -> list[str]:
    """The outcomes of its entries."""
    return list(AuditEntry.objects.filter(action=action).values_list("outcome", flat=True))
