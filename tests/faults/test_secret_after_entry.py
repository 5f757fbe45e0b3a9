"""No secret leaves before its audit entry is durable (G3): the process dies, or the disk fails, at each step."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import SHELL
from accounts.models import Account
from apikeys.operations import api_keys, rotation_plans
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import AccountFactory, ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)

ISSUE = """
import os, signal, sys
import django
django.setup()
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from accounts.actors import SHELL
from accounts.models import Account
from apikeys.models import ApiKey
from apikeys.operations import api_keys, rotation_plans

verb, step, order = sys.argv[1:]
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
whose = {"account": account, "by": SHELL, "now": timezone.now()}
if verb == "create":
    issued = api_keys.create_api_key(**whose)
elif verb == "rotate":
    issued = api_keys.rotate_api_key(generation=1, **whose)
elif verb == "show prepared":
    issued = rotation_plans.show_prepared_key(**whose)
else:
    issued = api_keys.show_api_key(**whose)
print(issued.secret, flush=True)
"""
ENTRY = {
    "create": Action.API_KEY_CREATED,
    "rotate": Action.API_KEY_ROTATED,
    "show": Action.API_KEY_VIEWED,
    "show prepared": Action.PREPARED_KEY_VIEWED,
}
STEPS = ["dies before commit", "disk fails at commit", "dies after commit", "nothing happens"]


def an_account(*, with_a_key: bool) -> Account:
    account = AccountFactory.create()
    if with_a_key:
        ApiKeyFactory.create(account=account)
    return account


def received_and_written_down(verb: str, step: str, order: str) -> tuple[int, int]:
    """How many secrets a client received, and how many entries that say so are on disk."""
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    done = subprocess.run(
        [sys.executable, "-c", ISSUE, verb, step, order],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"DATABASE_URL": url},
        text=True,
    )
    return len(done.stdout.split()), AuditEntry.objects.filter(action=ENTRY[verb], outcome=Outcome.DONE).count()


@pytest.mark.parametrize("verb", ENTRY)
@pytest.mark.parametrize("step", STEPS)
def test_whoever_received_a_secret_is_in_the_log(verb: str, step: str) -> None:
    account = an_account(with_a_key=verb != "create")
    if verb == "show prepared":
        now, admin = timezone.now(), account.super_admins().get()
        at = now + timedelta(days=1)
        rotation_plans.plan_rotation(account=account, generation=1, planned_for=at, by=admin, now=now)

    received, written_down = received_and_written_down(verb, step, "entry before secret")

    assert received <= written_down
    assert (received == 1) == (step == "nothing happens")


def test_the_attack_finds_a_secret_without_its_entry_where_the_order_is_reversed() -> None:
    an_account(with_a_key=True)

    received, written_down = received_and_written_down("show", "dies before commit", "secret before entry")

    assert received > written_down


def test_a_rotation_that_dies_between_insert_and_commit_leaves_the_one_key_that_there_was() -> None:
    account = an_account(with_a_key=True)

    received_and_written_down("rotate", "dies before commit", "entry before secret")

    assert list(account.api_keys.values_list("generation", "end")) == [(1, "")]
    assert api_keys.rotate_api_key(account=account, generation=1, by=SHELL, now=timezone.now()).key.generation == 2


def test_a_commit_is_on_disk_when_it_returns() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous")
            assert cursor.fetchone() == (2,)  # FULL
            cursor.execute("PRAGMA journal_mode")
            assert cursor.fetchone() == ("wal",)
        else:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)
