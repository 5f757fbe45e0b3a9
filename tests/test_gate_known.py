"""How the gate learns that something changed, or that the store is not the one it read (G1)."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from pytest_django import Settings

from accounts import operations, revisions
from accounts.actors import SHELL
from accounts.models import Account, Change, Revision
from apikeys import secrets
from apikeys.gate import app, changes, known, limits
from apikeys.gate.changes import Poll, poll
from apikeys.gate.clock import boot_seconds
from apikeys.gate.store import NOTHING_SEEN, Base
from apikeys.secrets import Kind
from auditlog.models import Call
from tests.factories import NOW, AccountFactory, ApiKeyFactory
from tests.gates import Answer, Connection, ThreadGate, ask, bearer, request
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gate() -> Iterator[ThreadGate]:
    with ThreadGate() as running:
        yield running


def change(account: Account | None = None, *, now: datetime = NOW) -> int:
    with transaction.atomic():
        return revisions.take(account=account, now=now)


def test_the_first_poll_takes_the_newest_revision_as_its_base() -> None:
    change()
    number = change()

    answer = poll(connection, NOTHING_SEEN)

    assert (answer.seen.revision, answer.set_back) == (number, False)
    assert answer.seen.mark == Change.objects.get(revision=number).mark


def test_a_poll_names_the_accounts_that_changed_since() -> None:
    one, other = AccountFactory.create(), AccountFactory.create()
    change(one)
    base = poll(connection, NOTHING_SEEN).seen
    change(one)
    change(other)

    answer = poll(connection, base)
    nothing_new = poll(connection, answer.seen)

    assert (answer.accounts, answer.everything) == (frozenset({one.pk, other.pk}), False)
    assert (nothing_new.accounts, nothing_new.everything) == (frozenset(), False)


def test_a_change_of_every_account_drops_everything() -> None:
    base = poll(connection, NOTHING_SEEN).seen
    change(None)

    answer = poll(connection, base)

    assert answer.everything


def test_more_changes_than_a_poll_brings_drop_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "CHANGES_LIMIT", 3)
    account = AccountFactory.create()
    change(account)
    base = poll(connection, NOTHING_SEEN).seen
    numbers = [change(account) for _ in range(4)]

    answer = poll(connection, base)
    after = poll(connection, answer.seen)

    assert (answer.everything, answer.seen.revision) == (True, numbers[-1])
    assert answer.seen.mark == Change.objects.get(revision=numbers[-1]).mark
    assert (after.everything, after.set_back) == (False, False)


def test_a_pruned_base_drops_everything() -> None:
    change()
    base = poll(connection, NOTHING_SEEN).seen
    Change.objects.all().delete()
    change(AccountFactory.create())

    answer = poll(connection, base)

    assert (answer.everything, answer.set_back) == (True, False)


def test_a_store_that_lacks_what_was_seen_is_set_back() -> None:
    change()
    number = change()
    base = poll(connection, NOTHING_SEEN).seen
    Change.objects.filter(revision=number).delete()
    Revision.objects.update(number=number - 1)

    answer = poll(connection, base)

    assert answer.set_back


def test_a_store_that_has_gone_another_way_since_is_set_back() -> None:
    number = change()
    base = poll(connection, NOTHING_SEEN).seen
    Change.objects.filter(revision=number).delete()
    Revision.objects.update(number=number - 1)
    assert change() == number

    answer = poll(connection, base)

    assert answer.set_back


def test_a_gate_on_a_store_that_was_set_back_answers_503_from_then_on(gate: ThreadGate) -> None:
    secret = secrets.generate(Kind.API_KEY)
    key = ApiKeyFactory.create(secret=secret)
    number = change(key.account)
    until(lambda: gate.gate.known.polled_at > 0 and gate.gate.known._base.revision == number)  # noqa: SLF001 -- what it saw
    before = ask(gate.port, bearer(secret)).status
    Change.objects.filter(revision=number).delete()
    Revision.objects.update(number=number - 1)

    until(lambda: gate.gate.known.set_back)

    assert before == 204
    assert ask(gate.port, bearer(secret)).status == 503
    assert ask(gate.port, target="/readyz").status == 503
    change(key.account)
    assert ask(gate.port, bearer(secret)).status == 503


def test_a_poll_that_was_answered_before_the_gate_took_in_that_the_store_was_set_back_counts_for_nothing(
    gate: ThreadGate,
) -> None:
    """On a busy loop two answers may wait: the second has the other store for its base and finds no fault."""
    first = Poll(boot_seconds(), said=0.0, seen=Base(1, 1), everything=True, accounts=frozenset(), set_back=True)
    taken_in = threading.Event()

    for answer in (first, replace(first, set_back=False)):
        gate.gate.loop.call_soon_threadsafe(gate.gate.known._polled, answer)  # noqa: SLF001 -- as its thread does
    gate.gate.loop.call_soon_threadsafe(taken_in.set)

    assert taken_in.wait(5)
    assert gate.gate.known.fresh_until == 0.0


class Held:
    """Polls that wait, once it is told so, and then go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._may_go_on, self._waits = threading.Event(), threading.Event()
        self.go_on()
        monkeypatch.setattr(known, "poll", self._poll)

    def hold(self) -> None:
        """No poll is answered from then on."""
        self._waits.clear()
        self._may_go_on.clear()
        assert self._waits.wait(5)

    def go_on(self) -> None:
        self._may_go_on.set()

    def _poll(self, store: BaseDatabaseWrapper, base: Base) -> Poll:
        if not self._may_go_on.is_set():
            self._waits.set()
            self._may_go_on.wait()
        return poll(store, base)


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


def answer_after_a_doubtful_read(gate: ThreadGate, polls: Held, secret: str) -> Answer:
    """Of a call with a secret that is read while no poll is answered; polls go on once it was."""
    its = gate.gate.known
    with Connection(gate.port) as one:
        one.send(request(bearer(secret)))
        until(lambda: bool(its._doubtful or its.kept))  # noqa: SLF001 -- what became of the read
        polls.go_on()
        answer = one.answer()
    assert answer is not None
    return answer


@pytest.mark.parametrize("further", [0, 1], ids=["exactly as far", "further"])
def test_what_was_read_from_a_store_that_was_set_back_and_went_on_before_the_next_poll_is_not_accepted(
    polls: Held, gate: ThreadGate, further: int
) -> None:
    """By number alone such a read is no older than the newest poll."""
    secret = secrets.generate(Kind.API_KEY)
    number = change()
    until(lambda: gate.gate.known._base.revision == number)  # noqa: SLF001 -- what it saw
    polls.hold()

    Change.objects.filter(revision=number).delete()
    Revision.objects.update(number=number - 1)
    ApiKeyFactory.create(secret=secret)
    assert [change() for _ in range(1 + further)][-1] == number + further
    answer = answer_after_a_doubtful_read(gate, polls, secret)

    assert answer.status == 503
    assert gate.gate.known.set_back


def test_a_read_whose_base_was_pruned_waits_for_the_next_poll(polls: Held, gate: ThreadGate) -> None:
    secret = secrets.generate(Kind.API_KEY)
    key = ApiKeyFactory.create(secret=secret)
    number = change(key.account)
    until(lambda: gate.gate.known._base.revision == number)  # noqa: SLF001 -- what it saw
    polls.hold()

    change()
    Change.objects.filter(revision=number).delete()
    answer = answer_after_a_doubtful_read(gate, polls, secret)

    assert answer.status == 204


def test_nothing_kept_counts_once_the_lease_is_over(gate: ThreadGate) -> None:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret)
    before = ask(gate.port, bearer(secret)).status
    gate.gate.known._stopping.set()  # noqa: SLF001 -- no poll is answered any more

    until(lambda: boot_seconds() > gate.gate.known.fresh_until)
    answer = ask(gate.port, bearer(secret))

    assert before == 204
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert ask(gate.port, bearer("garbage")).status == 401


def test_a_call_that_no_store_could_be_asked_about_is_in_the_log_of_whose_it_was_as_far_as_the_gate_knows(
    gate: ThreadGate,
) -> None:
    """Its answer is that of anybody: by then the credential may have ended."""
    known_secret, secret = secrets.generate(Kind.API_KEY), secrets.generate(Kind.API_KEY)
    key = ApiKeyFactory.create(secret=known_secret)
    ask(gate.port, bearer(known_secret))
    gate.gate.known._stopping.set()  # noqa: SLF001 -- no poll is answered any more
    until(lambda: boot_seconds() > gate.gate.known.fresh_until)

    answers = [ask(gate.port, bearer(known_secret)), ask(gate.port, bearer(secret))]

    until(lambda: Call.objects.filter(status=503).count() == 2)
    logged = {call.request_id: call for call in Call.objects.filter(status=503, reason="store_unavailable")}
    its, nobodys = (logged[UUID(answer.headers["x-request-id"])] for answer in answers)
    assert (its.account_id, its.credential_kind, its.credential_id) == (key.account_id, "api_key", key.id)
    assert (nobodys.account_id, nobodys.credential_kind, nobodys.credential_id) == (None, "", None)
    assert key.account.slug.encode() not in answers[0].body


def test_a_call_that_waited_in_vain_for_its_limit_is_in_the_log_of_whose_it_was(
    gate: ThreadGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PATIENCE_SECONDS", 0.2)
    secret = secrets.generate(Kind.API_KEY)
    key = ApiKeyFactory.create(secret=secret)
    gate.gate.asker.stop()

    status = ask(gate.port, bearer(secret)).status

    until(Call.objects.exists)
    call = Call.objects.get()
    assert (status, call.reason) == (503, "store_unavailable")
    assert (call.account_id, call.credential_kind, call.credential_id) == (key.account_id, "api_key", key.id)


def test_a_secret_that_was_unknown_is_known_once_its_key_is_there(gate: ThreadGate) -> None:
    secret = secrets.generate(Kind.API_KEY)
    before = [ask(gate.port, bearer(secret)).status for _ in range(2)]
    key = ApiKeyFactory.create(secret=secret)
    number = change(key.account, now=timezone.now())

    until(lambda: (gate.gate.known._base.revision or 0) >= number)  # noqa: SLF001 -- what it saw

    assert before == [401, 401]
    assert ask(gate.port, bearer(secret)).status == 204


def test_a_new_plan_reaches_the_gate_without_a_restart(gate: ThreadGate) -> None:
    secret = secrets.generate(Kind.API_KEY)
    key = ApiKeyFactory.create(secret=secret)
    before = ask(gate.port, bearer(secret)).headers["x-hubspot-ratelimit-max"]
    operations.change_plan(account=key.account, burst_limit=190, daily_limit=625_000, by=SHELL, now=NOW)
    number = Revision.objects.get().number

    until(lambda: (gate.gate.known._base.revision or 0) >= number)  # noqa: SLF001 -- what it saw

    headers = ask(gate.port, bearer(secret)).headers
    assert before == "100"
    assert (headers["x-hubspot-ratelimit-max"], headers["x-hubspot-ratelimit-remaining"]) == ("190", "188")


def test_memory_is_bounded(gate: ThreadGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "UNKNOWN_LIMIT", 3)
    monkeypatch.setattr(known, "KEPT_LIMIT", 100)
    keys = [ApiKeyFactory.create() for _ in range(101)]

    accepted = [ask(gate.port, bearer(key.secret())).status for key in keys]
    unknown = [ask(gate.port, bearer(secrets.generate(Kind.API_KEY))).status for _ in range(5)]

    assert (set(accepted), set(unknown)) == ({204}, {401})
    assert len(gate.gate.known.account_of) <= 100
    assert len(gate.gate.known.unknown) <= 3


def test_where_there_is_no_room_the_least_lately_used_goes(gate: ThreadGate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in {"KEPT_LIMIT": 3, "LOOKED_AT": 3, "LET_GO": 1}.items():
        monkeypatch.setattr(known, name, number)
    first, second, third, fourth = (ApiKeyFactory.create() for _ in range(4))

    for key in (first, second, third, first, fourth):
        ask(gate.port, bearer(key.secret()))
        time.sleep(1.5 / limits.TICKS_PER_SECOND)

    its = gate.gate.known
    found = [its.find(secrets.newest_digest(key.secret())) is not None for key in (first, second, third, fourth)]
    assert found == [True, False, True, True]
    assert second.account_id not in its._of_account  # noqa: SLF001 -- else it would grow for ever


def test_a_key_digested_under_an_older_pepper_is_still_found(settings: Settings) -> None:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret)
    settings.DIGEST_PEPPERS = {"newer": b"n" * 32, **settings.DIGEST_PEPPERS}

    with ThreadGate() as gate:
        statuses = [ask(gate.port, bearer(secret)).status for _ in range(2)]

    assert statuses == [204, 204]
