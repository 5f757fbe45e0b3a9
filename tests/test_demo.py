"""The demonstration: what `./portal up --demo` shows tells one consistent story."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.db.models import Count, Value
from django.db.models.functions import Concat
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoDbBlocker, Settings

from accounts.models import Account, Member, Notice, User
from apikeys import demonstration
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry, Call, DailyUsage, LastUse
from tests import removal

pytestmark = pytest.mark.django_db

PASSWORD = "for everybody in the demonstration"


def _fill() -> datetime:
    demonstration.fill(password=PASSWORD)
    return timezone.now()


@pytest.fixture(scope="module", autouse=True)
def filled_at(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[datetime]:
    with removal.made_once(_fill, django_db_blocker) as moment:
        yield moment


def test_acme_has_a_key_of_generation_two_that_is_203_days_old() -> None:
    key = Account.objects.get(slug="acme").api_keys.active().get()

    assert key.generation == 2
    assert key.age(now=timezone.now()).days == 203
    assert key.secret().endswith(key.last4)


def test_acme_was_called_by_five_callers_of_which_some_failed() -> None:
    calls = Call.objects.filter(account_id=Account.objects.get(slug="acme").pk)

    callers = calls.values("agent", "network").annotate(calls=Count("id"))
    reasons = set(calls.values_list("reason", flat=True))

    assert len(callers) == 5
    assert reasons == {"", "burst_limit", "rotated"}


def test_no_call_is_older_than_the_log_may_be_or_in_the_future(filled_at: datetime) -> None:
    log = filled_at - timedelta(days=7, minutes=1), filled_at

    assert not Call.objects.exclude(at__range=log).exists()


def test_acmes_old_key_is_behind_the_bells_of_its_super_admins() -> None:
    told = Notice.objects.filter(kind=Notice.Kind.KEY_OLD).values_list("user__email", flat=True)

    assert set(told) == {"superadmin@acme.example", "superadmin2@acme.example"}


def test_acme_has_connected_two_apps_and_says_since_when() -> None:
    acme = Account.objects.get(slug="acme")

    connected = {one.app.name: one for one in acme.connections.active()}

    assert set(connected) == {"Salesforce", "Lakeside Reports"}
    entries = AuditEntry.objects.filter(account_id=acme.pk, action=Action.CONNECTED_APP_CONNECTED)
    assert {entry.target_name: entry.at for entry in entries} == {
        name: one.connected_at for name, one in connected.items()
    }


def test_globex_has_no_key_yet() -> None:
    assert not Account.objects.get(slug="globex").api_keys.exists()


def test_initechs_deactivated_key_is_still_presented_and_refused() -> None:
    key = Account.objects.get(slug="initech").api_keys.get()

    since = Call.objects.filter(credential_id=key.pk, at__gte=key.deactivated_at)

    assert not key.is_active
    assert set(since.values_list("reason", "status")) == {("deactivated", 401)}
    assert since.values("agent").distinct().count() == 2


def test_usage_counts_the_accepted_calls_by_the_accounts_own_day() -> None:
    acme = Account.objects.get(slug="acme")
    accepted = Call.objects.filter(account_id=acme.pk, reason="").values_list("at", flat=True)

    for usage in DailyUsage.objects.filter(account_id=acme.pk):
        assert usage.calls == sum(at.astimezone(acme.zone).date() == usage.day for at in accepted)


def test_a_keys_last_use_is_its_last_accepted_call() -> None:
    key = Account.objects.get(slug="acme").api_keys.active().get()
    newest = Call.objects.filter(credential_id=key.pk, reason="").latest("at")

    assert LastUse.objects.get(credential_id=key.pk).at == newest.at


def test_the_audit_log_tells_who_did_what_from_where() -> None:
    acme = Account.objects.get(slug="acme")
    entries = AuditEntry.objects.filter(account_id=acme.pk, category="api_key")

    actions = set(entries.values_list("action", "outcome"))

    assert actions >= {(Action.API_KEY_ROTATED, Outcome.DONE), (Action.API_KEY_VIEWED, Outcome.REFUSED)}
    assert not entries.filter(address=None).exists()


def test_everybody_signs_in_with_the_one_password() -> None:
    assert Member.objects.count() == 7
    assert all(user.check_password(PASSWORD) for user in User.objects.all())


def test_a_later_start_adds_nothing_and_takes_the_password_of_the_day() -> None:
    calls = Call.objects.count()

    demonstration.fill(password="another password for today")

    assert Call.objects.count() == calls
    assert all(user.check_password("another password for today") for user in User.objects.all())


def test_a_database_of_other_people_is_left_alone() -> None:
    User.objects.update(email=Concat(Value("x"), "email"))

    with pytest.raises(demonstration.InUseError):
        demonstration.fill(password="another password")

    assert all(user.check_password(PASSWORD) for user in User.objects.all())


@pytest.mark.parametrize(
    ("who", "page"),
    [
        (None, "/auth/login/"),
        (None, "/nowhere/"),
        ("superadmin@acme.example", "/accounts/acme/api-key/"),
        ("superadmin@acme.example", "/notices/"),
        ("operator@portal.example", "/admin/"),
        ("operator@portal.example", "/admin/accounts/account/"),
    ],
)
def test_every_page_says_that_it_is_a_demonstration(
    settings: Settings, client: Client, who: str | None, page: str
) -> None:
    if who:
        client.force_login(User.objects.get(email=who))

    as_it_is = client.get(page).content.decode()
    settings.DEMO = True
    in_a_demonstration = client.get(page).content.decode()

    assert "the people, keys and calls here are made up" not in as_it_is
    assert "the people, keys and calls here are made up" in in_a_demonstration
