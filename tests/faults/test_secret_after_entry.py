"""No secret leaves before its audit entry is durable (G3): the process dies, or the disk fails, at each step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from accounts.actors import SHELL
from apikeys.operations import api_keys
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db(transaction=True)

SHOW = """
import os, signal, sys
import django
django.setup()
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from accounts.actors import SHELL
from accounts.models import Account
from apikeys.models import ApiKey
from apikeys.operations import api_keys

step, order = sys.argv[1:]
commit = BaseDatabaseWrapper._commit

def die_around_commit(self):
    if step == "dies before commit":
        os.kill(os.getpid(), signal.SIGKILL)
    if step == "disk fails at commit":
        raise OSError("Input/output error")
    commit(self)
    if step == "dies after commit":
        os.kill(os.getpid(), signal.SIGKILL)

BaseDatabaseWrapper._commit = die_around_commit
account = Account.objects.get()
if order == "secret before entry":  # the mechanism switched off
    print(account.api_keys.get().secret(), flush=True)
print(api_keys.show_api_key(account=account, by=SHELL, now=timezone.now()).secret, flush=True)
"""
STEPS = ["dies before commit", "disk fails at commit", "dies after commit", "nothing happens"]


def received_and_written_down(step: str, order: str) -> tuple[int, int]:
    """How many secrets a client received, and how many showings are on disk."""
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    done = subprocess.run(
        [sys.executable, "-c", SHOW, step, order],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"DATABASE_URL": url},
        text=True,
    )
    return len(done.stdout.split()), AuditEntry.objects.filter(action=Action.API_KEY_VIEWED).count()


@pytest.mark.parametrize("step", STEPS)
def test_whoever_received_a_secret_is_in_the_log(step: str) -> None:
    api_keys.create_api_key(account=AccountFactory.create(), by=SHELL, now=AccountFactory.build().created_at)

    received, written_down = received_and_written_down(step, "entry before secret")

    assert received <= written_down
    assert (received == 1) == (step == "nothing happens")


def test_the_attack_finds_a_secret_without_its_entry_where_the_order_is_reversed() -> None:
    api_keys.create_api_key(account=AccountFactory.create(), by=SHELL, now=AccountFactory.build().created_at)

    received, written_down = received_and_written_down("dies before commit", "secret before entry")

    assert received > written_down
