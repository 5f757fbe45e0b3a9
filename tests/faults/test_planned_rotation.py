"""A planned rotation at the gates: the prepared key opens nothing before, the old one nothing once that is announced.

Callers present both to two gates while the plan runs; one clock orders everything. Without the wait for the gates,
and without the judgement that a prepared key is none, the same test must find accepts: so it is seen to see.
"""

import threading
import time
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts import revisions
from apikeys.gate import decide, known
from apikeys.gate.reasons import Reason
from apikeys.gate.store import Credential
from apikeys.models import RotationPlan
from apikeys.operations import api_keys, rotation_plans
from auditlog.models import Call
from tests.factories import SuperAdminFactory
from tests.gates import Connection, ThreadGate, bearer, request

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.settles]

OUT_OF_THE_WAY = 10**9
CALLERS = 4
BEFORE_SECONDS, AFTER_SECONDS = 0.5, 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    key: str  # old | new
    started: float
    ended: float
    status: int


@dataclass(frozen=True, slots=True)
class Outcome:
    seen: list[Seen]
    woken: float  # when the plan began to run
    announced: float  # when everybody had been told

    def accepted_early(self) -> list[Seen]:
        return [one for one in self.seen if (one.key, one.status) == ("new", 204) and one.ended < self.woken]

    def accepted_late(self) -> list[Seen]:
        return [one for one in self.seen if (one.key, one.status) == ("old", 204) and one.started > self.announced]

    def refused_late(self) -> list[Seen]:
        return [one for one in self.seen if (one.key, one.status) == ("new", 401) and one.started > self.announced]

    def refused_early(self) -> list[Seen]:
        return [one for one in self.seen if (one.key, one.status) == ("old", 401) and one.ended < self.woken]


def run() -> Outcome:
    admin = SuperAdminFactory.create(account__burst_limit=OUT_OF_THE_WAY, account__daily_limit=OUT_OF_THE_WAY)
    now = timezone.now()
    old = api_keys.create_api_key(account=admin.account, by=admin, now=now).secret
    due = now + timedelta(hours=1)
    rotation_plans.plan_rotation(account=admin.account, generation=1, planned_for=due, by=admin, now=now)
    new = rotation_plans.show_prepared_key(account=admin.account, by=admin, now=now).secret
    seen: list[Seen] = []
    ended = threading.Event()

    def call_on(port: int) -> None:
        with Connection(port) as gate:
            while not ended.is_set():
                for key, secret in (("old", old), ("new", new)):
                    started = time.monotonic()
                    status = gate.ask(request(bearer(secret))).status
                    seen.append(Seen(key, started, time.monotonic(), status))

    with ThreadGate() as one, ThreadGate() as other:
        callers = [threading.Thread(target=call_on, args=(gate.port,)) for gate in [one, other] * (CALLERS // 2)]
        for thread in callers:
            thread.start()
        time.sleep(BEFORE_SECONDS)
        woken = time.monotonic()
        rotation_plans.wake(now=due)
        announced = time.monotonic()
        time.sleep(AFTER_SECONDS)
        ended.set()
        for thread in callers:
            thread.join()
    connection.close()
    return Outcome(seen, woken, announced)


def test_neither_is_the_prepared_key_accepted_before_nor_the_old_one_after() -> None:
    outcome = run()

    assert RotationPlan.objects.get().told_end_at is not None
    assert [one for one in outcome.seen if one.key == "new" and one.status == 204]
    assert not outcome.accepted_early()
    assert not outcome.accepted_late()
    assert not outcome.refused_late()
    assert not outcome.refused_early()


def test_without_the_wait_for_the_gates_the_old_key_is_accepted_after_the_announcement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revisions, "settle", lambda: None)
    monkeypatch.setattr(known, "POLL_SECONDS", 0.9)  # below the lease: what a gate has read still counts

    assert any(run().accepted_late() for _ in range(3))


def test_without_the_judgement_that_it_is_none_a_prepared_key_is_accepted_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = decide.standing

    def lax(credential: Credential) -> Reason:
        return Reason.ACCEPTED if credential.end == Reason.PREPARED else real(credential)

    monkeypatch.setattr("apikeys.gate.kept.standing", lax)

    assert run().accepted_early()


def test_a_prepared_key_is_refused_with_the_bytes_of_an_unknown_one_and_logged_with_its_reason() -> None:
    admin = SuperAdminFactory.create()
    now = timezone.now()
    api_keys.create_api_key(account=admin.account, by=admin, now=now)
    plan = rotation_plans.plan_rotation(
        account=admin.account, generation=1, planned_for=now + timedelta(hours=1), by=admin, now=now
    )
    secret = plan.key(at=now).secret()
    unknown = "kp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"

    with ThreadGate() as gate, Connection(gate.port) as caller:
        answers = [caller.ask(request(bearer(one))) for one in (secret, unknown, secret, unknown)]

    bare = [
        (one.status, one.body.replace(one.headers["x-request-id"].encode(), b""), {**one.headers, "x-request-id": ""})
        for one in answers
    ]
    assert bare[0] == bare[1] == bare[2] == bare[3]
    assert bare[0][0] == 401
    logged = Call.objects.filter(credential_id=plan.id)
    assert list(logged.values_list("reason", "account_id", "status")) == [("prepared", admin.account_id, 401)] * 2


def test_a_key_whose_plan_was_cancelled_is_unknown_to_a_gate_that_had_seen_it() -> None:
    admin = SuperAdminFactory.create()
    now = timezone.now()
    api_keys.create_api_key(account=admin.account, by=admin, now=now)
    plan = rotation_plans.plan_rotation(
        account=admin.account, generation=1, planned_for=now + timedelta(hours=1), by=admin, now=now
    )
    secret = plan.key(at=now).secret()

    with ThreadGate() as gate, Connection(gate.port) as caller:
        before = caller.ask(request(bearer(secret))).status
        rotation_plans.cancel_plan(account=admin.account, plan_id=plan.id, by=admin, now=now)
        revisions.settle()
        after = caller.ask(request(bearer(secret))).status

    assert (before, after) == (401, 401)
    assert sorted(Call.objects.values_list("reason", flat=True)) == ["prepared", "unknown"]
