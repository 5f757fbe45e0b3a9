"""A planned rotation runs once and is told of once, although what runs it is killed at one of its commits."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import OutgoingMail
from apikeys.models import RotationPlan
from apikeys.operations import rotation_plans
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import ApiKeyFactory
from tests.visitors import admin_of

pytestmark = pytest.mark.django_db(transaction=True)

WAKE = """
import os, signal, sys
import django
django.setup()
from datetime import datetime
from django.db.backends.base.base import BaseDatabaseWrapper
from apikeys.operations import rotation_plans

now, which, when = sys.argv[1:]
commit, commits = BaseDatabaseWrapper._commit, []

def die_around_commit(self):
    commits.append(1)
    if len(commits) == int(which) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self)
    if len(commits) == int(which) and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)

BaseDatabaseWrapper._commit = die_around_commit
rotation_plans.wake(now=datetime.fromisoformat(now))
"""


def wake_and_die(now: str, *, which: int, when: str) -> int:
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    done = subprocess.run(
        [sys.executable, "-c", WAKE, now, str(which), when],
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"DATABASE_URL": url},
    )
    return done.returncode


# Its first commit rotates, its second says to whom that is told.
@pytest.mark.parametrize(("which", "when", "has_run"), [(1, "before", False), (1, "after", True), (2, "before", True)])
def test_the_next_waking_goes_on_where_a_killed_one_stopped(which: int, when: str, has_run: bool) -> None:  # noqa: FBT001 -- pytest passes it
    key, now = ApiKeyFactory.create(), timezone.now()
    due = now + timedelta(hours=1)
    plan = rotation_plans.plan_rotation(account=key.account, generation=1, planned_for=due, by=admin_of(key), now=now)
    RotationPlan.objects.update(told_soon_at=now)

    status = wake_and_die(due.isoformat(), which=which, when=when)
    between = list(key.account.api_keys.active().values_list("generation", flat=True))
    told_between = OutgoingMail.objects.filter(kind=rotation_plans.RUN_MAIL).count()
    rotation_plans.wake(now=due)
    rotation_plans.wake(now=due)

    assert status == -signal.SIGKILL
    assert between == [2 if has_run else 1]
    assert told_between == 0
    assert key.account.api_keys.active().get().pk == plan.pk
    assert AuditEntry.objects.filter(action=Action.API_KEY_ROTATED).count() == 1
    assert OutgoingMail.objects.filter(kind=rotation_plans.RUN_MAIL).count() == 1
