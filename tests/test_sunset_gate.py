"""An announced end of API keys at the gate and at the account API: from when, for whom, and what answers say."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import partial
from itertools import product
from uuid import UUID

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.actors import SHELL
from accounts.models import Account
from accounts.revisions import CLOCK_RATE_ERROR, LEASE_SECONDS
from apikeys import secrets
from apikeys.gate import announced, app, changes, direct, known, store
from apikeys.gate.announced import Announced
from apikeys.gate.clock import database_ahead
from apikeys.gate.reasons import Reason
from apikeys.models import ApiKey, Sunset
from apikeys.operations import sunsets
from apikeys.secrets import Kind
from auditlog.models import Call
from tests.factories import AccountFactory, ApiKeyFactory, GroupedAccountFactory, SunsetFactory
from tests.gates import Answer, ThreadGate, ask, bearer

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
HOUR = 3_600.0
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)

Asks = Callable[..., Answer]  # (secret, …) as bearer, or as X-API-Key for header=


@pytest.fixture
def gate() -> Iterator[ThreadGate]:
    with ThreadGate() as running:
        yield running


@pytest.fixture(params=["gate", "account API"])
def call(request: pytest.FixtureRequest) -> Iterator[Asks]:
    """Make a call with a secret; what answers is the gate, or the web process's own check."""
    if request.param == "gate":
        with ThreadGate() as running:
            yield lambda secret, name="Authorization": ask(running.port, _header(secret, name))
        return
    yield lambda secret, name="Authorization": _directly(_header(secret, name))
    direct.close()


def _header(secret: str, name: str) -> tuple[str, str]:
    return bearer(secret) if name == "Authorization" else (name, secret)


def _directly(header: tuple[str, str]) -> Answer:
    asked = direct.ApiRequest(method="GET", target="/", headers=[header], address=None)
    decision = direct.decide(asked)
    direct.finish(decision, asked, status=decision.status, duration_us=1)
    headers = {name.lower(): value for name, value in decision.headers}
    return Answer(204 if decision.accepted else decision.status, headers, decision.body)


def a_key(**fields: object) -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, **fields)
    return secret


def ended(**fields: object) -> Sunset:
    """One whose end of calls has come a minute ago."""
    return SunsetFactory.create(authentication_ends_at=timezone.now() - timedelta(minutes=1), **fields)


def said(answer: Answer) -> dict[str, object]:
    """The answer's body without what differs from call to call."""
    body: dict[str, object] = json.loads(answer.body)
    UUID(str(body.pop("correlationId")))
    return body


def about_the_sunset(answer: Answer) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("deprecation", "sunset", "link") if name in answer.headers}


# --- What answers say ---------------------------------------------------------------------------------------------
def test_nothing_is_said_while_nothing_is_announced(call: Asks) -> None:
    assert about_the_sunset(call(a_key())) == {}


def test_from_the_announcement_on_answers_carry_when_calls_end_and_where_to_go(call: Asks, settings: Settings) -> None:
    settings.SITE_ORIGIN = "https://portal.example.com"
    SunsetFactory.create(announced_at=NOON, authentication_ends_at=datetime(2099, 11, 30, tzinfo=UTC))

    answer = call(a_key())

    assert answer.status == 204
    assert about_the_sunset(answer) == {
        "deprecation": "@1790856000",
        "sunset": "Mon, 30 Nov 2099 00:00:00 GMT",
        "link": '<https://portal.example.com/migrate/>; rel="sunset"',
    }


def test_where_only_the_creation_of_keys_ends_no_end_of_calls_is_said(call: Asks) -> None:
    SunsetFactory.create(authentication_ends_at=None, creation_ends_at=timezone.now() - DAY)

    answer = call(a_key())

    assert answer.status == 204
    assert about_the_sunset(answer).keys() == {"deprecation", "link"}


def test_refusals_that_know_the_key_say_it_too_and_those_that_must_not_tell_do_not(call: Asks) -> None:
    SunsetFactory.create()
    limited = a_key(account__burst_limit=1)
    call(limited)
    suspended = a_key(account__state=Account.State.SUSPENDED)
    rotated = a_key(deactivated_at=timezone.now(), end=ApiKey.End.ROTATED)

    told = {call(limited).status: call(limited), call(suspended).status: call(suspended)}
    untold = [call(one) for one in (rotated, secrets.generate(Kind.API_KEY), "kp_nonsense")]

    assert sorted(told) == [403, 429]
    assert all(about_the_sunset(answer).keys() == {"deprecation", "sunset", "link"} for answer in told.values())
    assert all(about_the_sunset(answer) == {} for answer in untold)
    assert [said(answer) for answer in untold] == [said(untold[0])] * 3


def test_a_key_in_the_query_has_one_deprecation_the_older_one(gate: ThreadGate, settings: Settings) -> None:
    settings.API_KEY_QUERY_PARAM = "hapikey"
    SunsetFactory.create()
    target = f"/contacts?hapikey={a_key()}"

    here = ask(gate.port, ("X-Original-URI", target))
    there = direct.decide(direct.ApiRequest(method="GET", target=target, headers=[], address=None))

    assert (here.status, here.headers["deprecation"], "sunset" in here.headers) == (204, "@1669766400", True)
    assert [value for name, value in there.headers if name == "Deprecation"] == ["@1669766400"]


# --- The end ------------------------------------------------------------------------------------------------------
def test_past_the_end_every_well_formed_key_gets_the_same_answer_known_or_not(call: Asks) -> None:
    sunset = ended()
    keys = {
        "active": a_key(),
        "rotated": a_key(deactivated_at=timezone.now(), end=ApiKey.End.ROTATED),
        "deactivated": a_key(deactivated_at=timezone.now(), end=ApiKey.End.DEACTIVATED),
        "of a suspended account": a_key(account__state=Account.State.SUSPENDED),
        "unknown": secrets.generate(Kind.API_KEY),
    }

    answers = [call(key, name) for key, name in product(keys.values(), ("Authorization", "X-API-Key"))]

    expected = {
        "status": "error",
        "message": "API keys are no longer accepted. Use the access token of a private app, or OAuth: "
        "the migration page says how.",
        "category": "INVALID_AUTHENTICATION",
        "links": {"api key": "http://localhost/", "migration": "http://localhost/migrate/"},
    }
    assert {answer.status for answer in answers} == {401}
    assert [said(answer) for answer in answers] == [expected] * len(answers)
    assert sunset.authentication_ends_at is not None
    for answer in answers:
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert answer.headers["sunset"] == formatdate(sunset.authentication_ends_at.timestamp(), usegmt=True)
        shown = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        assert shown == {name: value for name, value in answers[0].headers.items() if name != "x-request-id"}


def test_past_the_end_other_credentials_and_nonsense_are_answered_as_before(call: Asks) -> None:
    others = [secrets.generate(Kind.PRIVATE_APP), secrets.generate(Kind.CONNECTED_APP), "kp_nonsense"]
    before = [said(call(other)) for other in others]
    ended()

    after = [said(call(other)) for other in others]

    assert after == before


def test_calls_that_the_end_refuses_are_in_the_call_log_with_that_reason(gate: ThreadGate) -> None:
    ended()
    secret = a_key()
    key = ApiKey.objects.get()

    ask(gate.port, bearer(secret))
    ask(gate.port, bearer(secrets.generate(Kind.API_KEY)))
    gate.gate.writer.stop()

    logged = set(Call.objects.values_list("account_id", "status", "reason"))
    assert logged == {(key.account_id, 401, "sunset"), (None, 401, "sunset")}


def test_what_the_end_refuses_counts_toward_no_limit(gate: ThreadGate) -> None:
    account = AccountFactory.create(burst_limit=1)
    secret = a_key(account=account)
    sunset = ended()
    refused = [ask(gate.port, bearer(secret)).status for _ in range(3)]
    sunsets.withdraw(sunset=sunset, reason="x", by=SHELL, now=timezone.now())
    _until_polled_anew(gate)

    assert refused == [401] * 3
    assert ask(gate.port, bearer(secret)).status == 204


# --- Groups -------------------------------------------------------------------------------------------------------
def test_what_is_announced_for_a_group_counts_for_its_accounts_alone(call: Asks) -> None:
    place = GroupedAccountFactory.create()
    theirs, other = a_key(account=place.account), a_key()
    rotated = a_key(account=place.account, generation=2, deactivated_at=timezone.now(), end=ApiKey.End.ROTATED)
    ended(group=place.group)

    answers = {key: call(key) for key in (theirs, other, rotated, secrets.generate(Kind.API_KEY))}

    assert [answer.status for answer in answers.values()] == [401, 204, 401, 401]
    assert "migration" in str(said(answers[theirs]))
    assert about_the_sunset(answers[other]) == {}
    # Whom these belonged to is not told: nothing tells them apart from one that never was.
    assert "migration" not in str(said(answers[rotated]))
    assert said(answers[rotated]) == said(list(answers.values())[-1])


def test_a_group_s_announcement_stands_in_place_of_that_for_all(call: Asks) -> None:
    place = GroupedAccountFactory.create()
    theirs, other = a_key(account=place.account), a_key()
    ended()
    later = SunsetFactory.create(group=place.group)

    answers = {key: call(key) for key in (theirs, other)}

    assert [answer.status for answer in answers.values()] == [204, 401]
    assert later.authentication_ends_at is not None
    assert answers[theirs].headers["sunset"] == formatdate(later.authentication_ends_at.timestamp(), usegmt=True)


def test_a_withdrawn_announcement_counts_for_nothing(call: Asks) -> None:
    ended(withdrawn_at=timezone.now())

    answers = [call(a_key()), call(secrets.generate(Kind.API_KEY))]

    assert [answer.status for answer in answers] == [204, 401]
    assert "migration" not in str(said(answers[1]))


# --- Clocks -------------------------------------------------------------------------------------------------------
@pytest.fixture
def database_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put the database's clock so many seconds forward."""
    real = store.unix_time

    def put(seconds: float) -> None:
        def later(of: BaseDatabaseWrapper) -> str:
            return f"{real(of)} + {seconds}"

        for module in (store, changes):
            monkeypatch.setattr(module, "unix_time", later)

    return put


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put the gate's wall clock so many seconds forward; the database's stays."""
    real = time.time

    def put(seconds: float) -> None:
        for module in (app, known):
            monkeypatch.setattr(module, "time", lambda: real() + seconds)
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return put


@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
def test_a_wrong_wall_clock_neither_lets_a_key_in_after_the_end_nor_ends_it_before(
    gate: ThreadGate, wall_clock: Callable[[float], None], wrong: float
) -> None:
    wall_clock(wrong)
    gone, place = ended(), GroupedAccountFactory.create()
    soon = SunsetFactory.create(group=place.group, authentication_ends_at=timezone.now() + timedelta(minutes=30))
    past_it, before_it = a_key(), a_key(account=place.account)

    at_the_gate = [_judged(partial(ask, gate.port), one) for one in (past_it, before_it, past_it, before_it)]
    at_the_api = [_judged(_directly, one) for one in (past_it, before_it)]
    direct.close()

    assert gone.authentication_ends_at is not None
    assert soon.authentication_ends_at is not None
    assert at_the_gate == [401, 204, 401, 204]
    assert at_the_api == [401, 204]


def _judged(asked: Callable[[tuple[str, str]], Answer], secret: str, patience: int = 100) -> int:
    """The verdict; asked again where a busy machine lets a poll come too late, which is 503 and none."""
    for _ in range(patience):
        status = asked(bearer(secret)).status
        if status != 503:
            return status
        time.sleep(0.1)
    return 503


def test_judged_by_the_wall_clock_a_key_would_pass_after_its_end_so_this_would_be_noticed(
    gate: ThreadGate, wall_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wall_clock(-HOUR)
    monkeypatch.setattr(known, "database_ahead", lambda *, said, asked_at: time.time() - asked_at)  # noqa: ARG005 -- that is the point
    ended()
    _until_polled_anew(gate)

    assert ask(gate.port, bearer(a_key())).status == 204


def _until_polled_anew(gate: ThreadGate) -> None:
    """Two polls: the first may have been under way already."""
    for _ in range(2):
        polled = gate.gate.known.polled_at
        while gate.gate.known.polled_at == polled:
            threading.Event().wait(0.01)


def test_a_kept_key_is_refused_when_its_time_comes_and_passes_again_after_a_brownout(
    gate: ThreadGate, database_clock: Callable[[float], None]
) -> None:
    start = timezone.now().replace(microsecond=0) + timedelta(minutes=10)
    rehearsals = [[start.isoformat(), (start + timedelta(minutes=5)).isoformat()]]
    SunsetFactory.create(brownouts=rehearsals, authentication_ends_at=start + timedelta(hours=1))
    keys = [a_key(), secrets.generate(Kind.API_KEY)]

    seen = []
    for minutes in (0, 9, 11, 14, 16, 60, 71):
        database_clock(minutes * 60)
        _until_polled_anew(gate)
        seen.append([ask(gate.port, bearer(one)) for one in keys])

    assert [known_one.status for known_one, _ in seen] == [204, 204, 401, 401, 204, 204, 401]
    rehearsed = [["rehearse" in str(said(one)) if one.status == 401 else None for one in both] for both in seen]
    assert rehearsed == [[None, False]] * 2 + [[True, True]] * 2 + [[None, False]] * 2 + [[False, False]]


@given(
    asked_at=st.floats(0, 1e6),
    way=st.floats(0, LEASE_SECONDS),
    waited=st.floats(0, LEASE_SECONDS),
    here=st.floats(1 - CLOCK_RATE_ERROR, 1 + CLOCK_RATE_ERROR),
    there=st.floats(1 - CLOCK_RATE_ERROR, 1 + CLOCK_RATE_ERROR),
)
@pytest.mark.once("asks no store")
def test_an_end_is_never_judged_late_whatever_the_rates_of_both_clocks(
    asked_at: float, way: float, waited: float, here: float, there: float
) -> None:
    """The database looks at its clock `way` after the question; the call comes `waited` after that, in true seconds."""
    if (way + waited) * here >= LEASE_SECONDS:
        return  # no accept: the lease is over
    said_then = 1.8e9
    true_then = said_then + waited * there

    boot = asked_at + (way + waited) * here
    judged = boot + database_ahead(said=said_then, asked_at=asked_at)

    assert judged >= true_then - 1e-6


@pytest.mark.once("asks no store")
@given(st.floats(0, 1_000), st.lists(st.tuples(st.integers(0, 900), st.integers(1, 50)), max_size=5))
def test_the_next_refusal_is_never_after_a_refused_moment(at: float, starts: list[tuple[int, int]]) -> None:
    windows: list[tuple[float, float]] = []
    for start, lasts in sorted(starts):
        if not windows or start >= windows[-1][1]:
            windows.append((float(start), float(start + lasts)))
    sunset = Announced(0.0, 950.0, tuple(windows))

    assert (sunset.next_refusal(at) <= at) == (sunset.refuses(at) is not Reason.ACCEPTED)


@pytest.mark.once("asks no store")
def test_times_are_read_alike_from_both_stores() -> None:
    at = datetime(2026, 10, 1, 12, tzinfo=UTC)

    assert announced.announced("2026-10-01 12:00:00", None, "[]") == announced.announced(at, None, "[]")
