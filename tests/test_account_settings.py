"""An account's name and time zone, as its super admins set them; the day of the plan follows the zone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts import operations
from accounts.models import Account, Change, Member
from accounts.permissions import Role
from apikeys.gate.reasons import Reason
from apikeys.gate.sharing import days
from apikeys.gate.store import read_credentials
from apikeys.gate.windows import Windows
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import NOW, AccountFactory, ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.test_limits import NoOthers
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

PAGE = "accounts:settings"


@pytest.fixture
def ada() -> Member:
    return SuperAdminFactory.create(account=AccountFactory.create(name="Acme", slug="acme"), user__name="Ada")


def test_a_super_admin_changes_name_and_zone_and_the_entry_says_what_was_there_before(ada: Member) -> None:
    client = signed_in(ada)

    answer = client.post(path(PAGE, ada.account), {"name": " Acme Ltd ", "time_zone": "Asia/Tokyo"}, follow=True)

    account = Account.objects.get()
    assert (account.name, account.slug, account.time_zone) == ("Acme Ltd", "acme", "Asia/Tokyo")
    assert b"Saved." in answer.content
    entry = AuditEntry.objects.get(action=Action.ACCOUNT_SETTINGS_CHANGED)
    assert (entry.account_id, entry.actor_name) == (account.pk, "Ada")
    assert entry.details == {
        "before": {"name": "Acme", "time_zone": "UTC"},
        "after": {"name": "Acme Ltd", "time_zone": "Asia/Tokyo"},
    }
    shown = client.get(path("auditlog:audit-log-entry", account, entry.pk)).content.decode()
    assert "Asia/Tokyo, before: UTC" in shown


def test_gates_drop_what_they_keep_of_the_account_when_its_zone_is_another(ada: Member) -> None:
    before = Change.objects.count()

    operations.change_settings(account=ada.account, name="Acme Ltd", time_zone="UTC", by=ada, now=NOW)
    after_name = Change.objects.count()
    operations.change_settings(account=ada.account, name="Acme Ltd", time_zone="Asia/Tokyo", by=ada, now=NOW)

    assert after_name == before  # no gate keeps the name
    assert list(Change.objects.order_by("revision").values_list("account_id", flat=True))[before:] == [ada.account_id]


def test_saving_what_is_so_already_is_no_entry(ada: Member) -> None:
    operations.change_settings(account=ada.account, name="Acme", time_zone="UTC", by=ada, now=NOW)

    assert not AuditEntry.objects.exists()


def test_the_plans_day_is_the_new_zones_and_no_dates_number_grows(ada: Member) -> None:
    """At 20:00 UTC it is tomorrow in Tokyo. Going there and back lends from tomorrow; today's count stays."""
    evening = datetime(2026, 5, 4, 20, tzinfo=UTC).timestamp()
    Account.objects.update(daily_limit=2)
    key = ApiKeyFactory.create(account=ada.account, created_by=ada)
    windows = Windows(NoOthers())

    def take() -> tuple[str, Reason]:
        credential = read_credentials(connection, [bytes(key.digest)]).credentials[bytes(key.digest)]
        window = windows.of(credential, boot=evening, wall=evening)
        window.keep(credential.burst_limit)
        asked = days.DayAsk(ada.account_id, window.day, window.daily, back=0, want=1, is_urgent=True)
        window.lend(days.grant([asked])[0].calls)
        return window.day, window.take(evening, evening)

    here = [take() for _ in range(3)]
    operations.change_settings(account=ada.account, name="Acme", time_zone="Asia/Tokyo", by=ada, now=NOW)
    there = [take() for _ in range(3)]
    operations.change_settings(account=ada.account, name="Acme", time_zone="UTC", by=ada, now=NOW)
    back = take()

    accepted, refused = Reason.ACCEPTED, Reason.DAILY_LIMIT
    assert here == [("2026-05-04", accepted), ("2026-05-04", accepted), ("2026-05-04", refused)]
    assert there == [("2026-05-05", accepted), ("2026-05-05", accepted), ("2026-05-05", refused)]
    assert back == ("2026-05-04", refused)


@pytest.mark.parametrize(
    "typed",
    [
        {"name": ""},
        {"name": "Acme\u202e"},
        {"name": "A\x00cme"},
        {"name": "x" * 101},
        {"name": "kp_" + "A" * 43},
        {"time_zone": "Middle/Earth"},
        {"time_zone": ""},
        {"time_zone": "../../etc/passwd"},
    ],
)
def test_what_cannot_be_is_refused_and_nothing_kept(ada: Member, typed: dict[str, str]) -> None:
    answer = signed_in(ada).post(path(PAGE, ada.account), {"name": "Acme", "time_zone": "UTC"} | typed)

    assert answer.status_code == 400
    account = Account.objects.get()
    assert (account.name, account.time_zone) == ("Acme", "UTC")
    assert not AuditEntry.objects.filter(action=Action.ACCOUNT_SETTINGS_CHANGED).exists()


def test_the_operation_too_refuses_a_zone_that_is_none(ada: Member) -> None:
    with pytest.raises(ValidationError):
        operations.change_settings(account=ada.account, name="Acme", time_zone="Middle/Earth", by=ada, now=NOW)

    assert Account.objects.get().time_zone == "UTC"


def test_who_was_demoted_meanwhile_changes_nothing(ada: Member) -> None:
    late = SuperAdminFactory.create(account=ada.account)
    operations.change_role(member=Member.objects.get(pk=late.pk), role=Role.MEMBER, by=ada, now=timezone.now())

    with pytest.raises(operations.NotAllowedError):
        operations.change_settings(account=ada.account, name="Mine", time_zone="UTC", by=late, now=NOW)

    assert Account.objects.get().name == "Acme"


def test_a_lesser_role_that_tries_is_an_entry(ada: Member) -> None:
    developer = MemberFactory.create(account=ada.account, role=Role.DEVELOPER)

    answer = signed_in(developer).post(path(PAGE, ada.account), {"name": "Mine", "time_zone": "UTC"})

    assert answer.status_code == 403
    entry = AuditEntry.objects.get(action=Action.ACCOUNT_SETTINGS_CHANGED)
    assert (entry.outcome, entry.actor_email) == (Outcome.REFUSED, developer.user.email)


@pytest.mark.django_db(transaction=True)
def test_two_who_save_at_once_leave_one_of_both_whole(ada: Member) -> None:
    said = [("Acme One", "Asia/Tokyo"), ("Acme Two", "Europe/Berlin")]

    def save(name: str, zone: str) -> None:
        try:
            account = Account.objects.get()
            operations.change_settings(account=account, name=name, time_zone=zone, by=ada, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda both: save(*both), said))

    account = Account.objects.get()
    assert (account.name, account.time_zone) in said
    last = AuditEntry.objects.filter(action=Action.ACCOUNT_SETTINGS_CHANGED).latest("id")
    assert last.details["after"] == {"name": account.name, "time_zone": account.time_zone}
