"""Announcing an end of API keys: what can be announced, what it does to creating keys, and who reads of it where."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL, NoOperatorError, Operator
from accounts.models import Account, AccountGroup, Change
from apikeys.models import ApiKey, Sunset
from apikeys.models.sunset import Brownout
from apikeys.operations import api_keys, sunsets
from auditlog.models import AuditEntry
from tests.factories import (
    NOW,
    AccountFactory,
    AccountGroupFactory,
    ApiKeyFactory,
    GroupedAccountFactory,
    SunsetFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
END = NOW + 180 * DAY


def announce(
    group: AccountGroup | None = None,
    *,
    creation: datetime | None = None,
    authentication: datetime | None = END,
    brownouts: Sequence[Brownout] = (),
    by: Operator = SHELL,
) -> Sunset:
    return sunsets.announce(
        group=group, creation=creation, authentication=authentication, brownouts=brownouts, by=by, now=NOW
    )


def change(sunset: Sunset, **dates: Any) -> Sunset:
    said = {"creation": None, "authentication": END, **dates}
    return sunsets.change(sunset=sunset, by=SHELL, now=NOW + DAY, **said)


def brownout(start: datetime, minutes: int = 10) -> Brownout:
    return Brownout(start, start + minutes * MINUTE)


# --- What can be announced ----------------------------------------------------------------------------------------
def test_what_is_announced_is_kept_to_the_second_with_brownouts_in_order() -> None:
    late, early = brownout(END - DAY), brownout(END - 2 * DAY)

    announce(creation=NOW + DAY, authentication=END + timedelta(microseconds=5), brownouts=[late, early])

    sunset = Sunset.objects.get()
    assert (sunset.creation_ends_at, sunset.authentication_ends_at) == (NOW + DAY, END)
    assert sunset.rehearsals == [early, late]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"authentication": None}, "authentication_ends_at"),
        ({"creation": END + MINUTE}, "creation_ends_at"),
        ({"authentication": NOW - DAY}, "authentication_ends_at"),
        ({"creation": NOW - DAY}, "creation_ends_at"),
        ({"brownouts": [brownout(NOW - DAY)]}, "brownouts"),
        ({"brownouts": [brownout(END - MINUTE)]}, "brownouts"),
        ({"brownouts": [brownout(NOW + DAY, 0)]}, "brownouts"),
        ({"brownouts": [brownout(NOW + DAY, 24 * 60 + 1)]}, "brownouts"),
        ({"brownouts": [brownout(NOW + DAY), brownout(NOW + DAY + 9 * MINUTE)]}, "brownouts"),
        ({"brownouts": [brownout(NOW + n * DAY) for n in range(1, 52)]}, "brownouts"),
        ({"authentication": None, "creation": NOW, "brownouts": [brownout(NOW + DAY)]}, "brownouts"),
    ],
)
def test_what_contradicts_itself_or_lies_in_the_past_is_refused(said: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        announce(**said)

    assert list(refusal.value.message_dict) == [field]
    assert (Sunset.objects.count(), AuditEntry.objects.count(), Change.objects.count()) == (0, 0, 0)


def test_an_end_at_once_can_be_announced() -> None:
    assert announce(authentication=NOW).authentication_ends_at == NOW


def test_there_is_one_in_force_for_all_and_one_for_each_group() -> None:
    group = AccountGroupFactory.create()
    first = [announce(), announce(group)]

    for again in (None, group):
        with pytest.raises(sunsets.SunsetError):
            announce(again)
    for sunset in first:
        sunsets.withdraw(sunset=sunset, reason="Too early", by=SHELL, now=NOW)

    assert announce().pk
    assert announce(group).pk


def test_the_database_itself_keeps_a_second_one_out() -> None:
    SunsetFactory.create()

    with pytest.raises(IntegrityError), transaction.atomic():
        SunsetFactory.create()


# --- Changing -----------------------------------------------------------------------------------------------------
def test_a_change_makes_a_new_edition_and_what_changes_nothing_makes_none() -> None:
    sunset = announce()

    same = change(sunset)
    changes = Change.objects.count()
    moved = change(sunset, authentication=END - DAY)

    assert (same.edition, moved.edition, moved.changed_at, moved.announced_at) == (1, 2, NOW + DAY, NOW)
    assert Change.objects.count() == changes + 1


def test_dates_that_have_passed_may_stay_while_others_change() -> None:
    sunset = announce(creation=NOW, brownouts=[brownout(NOW)])

    later = sunsets.change(
        sunset=sunset,
        creation=NOW,
        authentication=END + DAY,
        brownouts=[brownout(NOW)],
        by=SHELL,
        now=NOW + 30 * DAY,
    )

    assert later.authentication_ends_at == END + DAY


def test_what_was_withdrawn_can_be_neither_changed_nor_withdrawn_again() -> None:
    sunset = announce()
    sunsets.withdraw(sunset=sunset, reason="x", by=SHELL, now=NOW)

    with pytest.raises(sunsets.SunsetError):
        change(sunset, authentication=END + DAY)
    with pytest.raises(sunsets.SunsetError):
        sunsets.withdraw(sunset=sunset, reason="x", by=SHELL, now=NOW)


def test_each_takes_a_revision_of_all_accounts_and_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[int] = []
    monkeypatch.setattr("accounts.revisions.settle", lambda: settled.append(Change.objects.count()))

    sunset = announce()
    change(sunset, authentication=END - DAY)
    sunsets.withdraw(sunset=sunset, reason="x", by=SHELL, now=NOW)

    assert settled == [1, 2, 3]
    assert set(Change.objects.values_list("account_id", flat=True)) == {None}


def test_who_is_no_operator_any_more_announces_nothing() -> None:
    with pytest.raises(NoOperatorError):
        announce(by=Operator(UserFactory.create(is_staff=False)))

    assert not Sunset.objects.exists()


# --- Entries ------------------------------------------------------------------------------------------------------
def test_each_is_an_entry_and_one_in_the_log_of_each_account_with_a_key() -> None:
    with_key = ApiKeyFactory.create().account
    AccountFactory.create()
    ApiKeyFactory.create(deactivated_at=NOW, end=ApiKey.End.DEACTIVATED)
    sunset = announce()
    change(sunset, authentication=END - DAY)
    sunsets.withdraw(sunset=sunset, reason="Not this year", by=SHELL, now=NOW)

    entries = list(AuditEntry.objects.order_by("pk").values_list("action", "account_id", "reason"))

    assert entries == [
        (f"sunset.{deed}", account_id, reason)
        for deed, reason in (("announced", ""), ("changed", ""), ("withdrawn", "Not this year"))
        for account_id in (None, with_key.pk)
    ]


def test_entries_say_what_was_announced_and_what_before() -> None:
    sunset = announce(brownouts=[brownout(datetime(2026, 6, 1, 14, tzinfo=UTC))])
    change(sunset, authentication=datetime(2026, 12, 1, tzinfo=UTC))

    first, second = AuditEntry.objects.order_by("pk").values_list("details", flat=True)

    assert first == {
        "creation_ends_at": "–",
        "authentication_ends_at": "2026-10-31T09:30:00Z",
        "brownouts": "2026-06-01T14:00:00Z (10 min)",
    }
    assert second["before"] == first
    assert second["after"]["authentication_ends_at"] == "2026-12-01T00:00:00Z"


def test_only_the_accounts_concerned_have_the_entry() -> None:
    place = GroupedAccountFactory.create()
    theirs, other = ApiKeyFactory.create(account=place.account).account, ApiKeyFactory.create().account

    announce(place.group)
    announce()

    of_groups, of_alls = Sunset.objects.order_by("pk")
    told = AuditEntry.objects.filter(account_id__isnull=False).values_list("account_id", "target_id")
    assert set(told) == {(theirs.pk, str(of_groups.pk)), (other.pk, str(of_alls.pk))}


# --- Creating keys ------------------------------------------------------------------------------------------------
def create(account: Account) -> api_keys.IssuedKey:
    return api_keys.create_api_key(account=account, by=SHELL, now=timezone.now())


def test_from_the_creation_end_on_accounts_without_a_key_get_none_and_the_attempt_is_an_entry() -> None:
    SunsetFactory.create(creation_ends_at=timezone.now() - MINUTE)
    account = AccountFactory.create()

    with pytest.raises(api_keys.CreationEndedError):
        create(account)

    refused = AuditEntry.objects.get()
    assert (refused.action, refused.outcome) == ("api_key.created", "refused")
    assert not ApiKey.objects.exists()


def test_an_account_that_has_a_key_still_rotates_it() -> None:
    SunsetFactory.create(creation_ends_at=timezone.now() - MINUTE)
    key = ApiKeyFactory.create()

    issued = api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now())

    assert issued.key.generation == 2


def test_who_deactivates_after_the_creation_end_gets_no_other_key() -> None:
    SunsetFactory.create(creation_ends_at=timezone.now() - MINUTE)
    key = ApiKeyFactory.create()
    api_keys.deactivate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now())

    with pytest.raises(api_keys.CreationEndedError):
        create(key.account)


@pytest.mark.parametrize("creation", [None, timezone.now() + DAY])
def test_before_the_creation_end_keys_are_created(creation: datetime | None) -> None:
    SunsetFactory.create(creation_ends_at=creation)

    assert create(AccountFactory.create()).key.generation == 1


def test_past_the_end_of_calls_no_key_is_created_that_would_open_nothing() -> None:
    SunsetFactory.create(authentication_ends_at=timezone.now() - MINUTE)

    with pytest.raises(api_keys.CreationEndedError):
        create(AccountFactory.create())


def test_the_creation_end_is_judged_by_the_databases_clock_not_by_what_the_process_takes_for_now() -> None:
    SunsetFactory.create(creation_ends_at=timezone.now() - MINUTE)
    account = AccountFactory.create()

    with pytest.raises(api_keys.CreationEndedError):
        api_keys.create_api_key(account=account, by=SHELL, now=timezone.now() - timedelta(hours=1))


def test_a_groups_creation_end_stands_in_place_of_that_for_all() -> None:
    place = GroupedAccountFactory.create()
    SunsetFactory.create(creation_ends_at=timezone.now() - MINUTE)
    SunsetFactory.create(group=place.group)

    assert create(place.account).key.generation == 1
    with pytest.raises(api_keys.CreationEndedError):
        create(AccountFactory.create())


# --- Groups -------------------------------------------------------------------------------------------------------
def test_accounts_move_between_groups_with_an_entry_each_and_a_revision() -> None:
    one, other = AccountGroupFactory.create(name="One"), AccountGroupFactory.create(name="Other")
    account = AccountFactory.create()

    moved = [
        operations.move_accounts(accounts=[account], group=group, by=SHELL, now=NOW)
        for group in (one, one, other, None, None)
    ]

    details = list(AuditEntry.objects.order_by("pk").values_list("account_id", "details"))
    assert moved == [1, 0, 1, 1, 0]
    assert details == [
        (account.pk, {"before": before, "after": after})
        for before, after in ((None, "One"), ("One", "Other"), ("Other", None))
    ]
    assert list(Change.objects.values_list("account_id", flat=True)) == [account.pk] * 3


def test_a_group_that_holds_accounts_or_has_a_history_is_not_deleted() -> None:
    place, told, empty = GroupedAccountFactory.create(), AccountGroupFactory.create(), AccountGroupFactory.create()
    announce(told)

    for group in (place.group, told):
        with pytest.raises(operations.GroupError):
            operations.delete_group(group=group, by=SHELL, now=NOW)
    operations.delete_group(group=empty, by=SHELL, now=NOW)

    assert set(AccountGroup.objects.all()) == {place.group, told}
    assert AuditEntry.objects.filter(action="operator.group_deleted").count() == 1


@pytest.mark.parametrize("name", ["", "wave 1", " \u200d", "a\u202eb"])
def test_a_groups_name_shows_and_is_there_once(name: str) -> None:
    operations.create_group(name="Wave 1", by=SHELL, now=NOW)

    with pytest.raises(ValidationError):
        operations.create_group(name=name, by=SHELL, now=NOW)


def test_unknown_accounts_are_named() -> None:
    AccountFactory.create(slug="acme")

    with pytest.raises(ValidationError, match=r"There are no accounts .*“nope”"):
        operations.accounts_named(["acme", "nope", "no\0pe"])
