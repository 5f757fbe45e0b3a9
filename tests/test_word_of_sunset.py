"""Mails of an announced end: to whom, when, once, what they say, and what stops them (G6)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command

from accounts import mail_choices, operations, outbox
from accounts.actors import SHELL
from accounts.models import Account, OutgoingMail, RoleMailbox
from apikeys.models import ApiKey, Sunset
from apikeys.models.sunset import Brownout
from apikeys.operations import api_keys, sunsets, word_of_sunset
from tests.factories import (
    NOW,
    AccountFactory,
    ApiKeyFactory,
    CallFactory,
    GroupedAccountFactory,
    MemberFactory,
    SuperAdminFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
END = NOW + 170 * DAY


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(user__email="ada@acme.example", account__name="Acme", account__slug="acme")
    return ApiKeyFactory.create(account=maker.account, created_by=maker)


def announce(end: datetime = END, *, now: datetime = NOW, **said: Any) -> Sunset:
    whole: dict[str, Any] = {"group": None, "creation": None, "authentication": end} | said
    return sunsets.announce(by=SHELL, now=now, **whole)


def move(sunset: Sunset, end: datetime, *, now: datetime) -> None:
    sunsets.change(sunset=sunset, creation=None, authentication=end, by=SHELL, now=now)


def run(now: datetime) -> list[EmailMultiAlternatives]:
    """Scan and send; the mails about the sunset that went out."""
    before = len(mailbox.outbox)
    call_command("send_reminders", now=now)
    sent: list[EmailMultiAlternatives] = mailbox.outbox[before:]  # type: ignore[assignment]  # the outbox's own kind
    return [mail for mail in sent if "stops working" in str(mail.subject)]


def receivers(mails: list[EmailMultiAlternatives]) -> list[str]:
    return sorted(address for mail in mails for address in mail.to)


# --- When ---------------------------------------------------------------------------------------------------------
def test_mails_come_at_once_and_90_30_7_and_1_days_before_to_each_once(key: ApiKey) -> None:
    SuperAdminFactory.create(account=key.account, user__email="grace@acme.example")
    MemberFactory.create(account=key.account)
    announce()

    days = {}
    for hours in range(0, 171 * 24, 6):
        mails = run(NOW + hours * HOUR)
        if mails:
            days[(END - NOW - hours * HOUR) / DAY] = receivers(mails)

    assert days == {day: ["ada@acme.example", "grace@acme.example"] for day in (170, 90, 30, 7, 1)}


def test_nothing_comes_a_second_early(key: ApiKey) -> None:
    announce()
    run(NOW)

    assert run(END - 90 * DAY - timedelta(seconds=1)) == []
    assert len(run(END - 90 * DAY)) == 1


def test_days_that_were_missed_collapse_into_the_newest(key: ApiKey) -> None:
    announce()

    assert len(run(END - 6 * DAY)) == 1
    assert run(END - 6 * DAY) == []
    assert OutgoingMail.objects.filter(kind=word_of_sunset.MAIL).count() == 1


def test_days_that_lay_before_the_announcement_are_not_made_up_for(key: ApiKey) -> None:
    announce(NOW + 20 * DAY)

    mails = [len(run(NOW + day * DAY)) for day in (0, 1, 12, 13, 19, 20, 21)]

    assert mails == [1, 0, 0, 1, 1, 0, 0]


def test_a_change_is_told_at_once_and_counts_its_days_anew(key: ApiKey) -> None:
    sunset = announce()
    run(NOW)
    move(sunset, END + 30 * DAY, now=NOW + DAY)

    told = run(NOW + DAY)
    before, after = run(END - 90 * DAY), run(END - 60 * DAY)

    assert [str(mail.subject) for mail in told] == ["Acme: the API key stops working in 199 days; move what uses it"]
    assert (before, len(after)) == ([], 1)


def test_a_mail_that_waited_until_a_newer_one_is_due_is_not_sent(key: ApiKey) -> None:
    announce()
    word_of_sunset.tell(now=END - 30 * DAY)

    mails = run(END - 7 * DAY)

    assert [str(mail.subject) for mail in mails] == ["Acme: the API key stops working in 7 days; move what uses it"]


def test_a_run_that_was_cut_off_is_made_up_for_and_tells_nobody_twice(
    key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        ApiKeyFactory.create()
    monkeypatch.setattr(word_of_sunset, "KEYS_AT_ONCE", 2)
    announce()
    owe = outbox.add_all

    def fail_later(owed: list[outbox.Owed], **said: Any) -> None:
        if OutgoingMail.objects.count() >= 4:
            raise OSError("killed")
        owe(owed, **said)

    monkeypatch.setattr(outbox, "add_all", fail_later)
    with pytest.raises(OSError, match="killed"):
        word_of_sunset.tell(now=NOW)
    monkeypatch.setattr(outbox, "add_all", owe)
    word_of_sunset.tell(now=NOW)
    word_of_sunset.tell(now=NOW)

    assert OutgoingMail.objects.filter(kind=word_of_sunset.MAIL).count() == 6


def test_without_the_rows_own_key_people_would_be_told_twice_so_this_would_be_noticed(
    key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    sunset = announce()
    word_of_sunset.tell(now=NOW)
    Sunset.objects.filter(pk=sunset.pk).update(told="")  # as if the run had died before its note
    owed = outbox.Owed
    monkeypatch.setattr(outbox, "Owed", lambda kind, about, **said: owed(kind, f"{about}:again", **said))

    word_of_sunset.tell(now=NOW)

    assert OutgoingMail.objects.filter(kind=word_of_sunset.MAIL, to="ada@acme.example").count() == 2


@pytest.mark.parametrize(
    ("end", "brownouts", "waits"),
    [
        (NOW + DAY, [], False),
        (NOW + 40 * DAY, [Brownout(NOW + 5 * HOUR, NOW + 6 * HOUR)], False),
        (NOW + 40 * DAY, [Brownout(NOW + 5 * DAY, NOW + 6 * DAY)], True),
    ],
)
def test_word_of_what_is_near_waits_for_no_daily_mail(
    key: ApiKey, end: datetime, brownouts: list[Brownout], *, waits: bool
) -> None:
    """That mail comes up to a day later: the last word would come after the end, or a minute before."""
    assert key.created_by is not None
    choices = {word_of_sunset.MAIL: mail_choices.Delivery.DAILY}
    mail_choices.choose(user=key.created_by.user, choices=choices, now=NOW)
    announce(end, brownouts=brownouts)

    assert receivers(run(NOW)) == ([] if waits else ["ada@acme.example"])
    assert receivers(run(NOW + DAY)) == (["ada@acme.example"] if waits else [])


def test_sending_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_of_sunset, "KEYS_AT_ONCE", 2)
    for _ in range(6):
        ApiKeyFactory.create()
    announce()

    word_of_sunset.tell(now=NOW, mails_a_second=1)

    due = OutgoingMail.objects.order_by("due_at").values_list("due_at", flat=True)
    assert [(at - NOW).total_seconds() for at in due] == [0, 0, 2, 2, 4, 4]


# --- Whom ---------------------------------------------------------------------------------------------------------
def test_accounts_without_a_key_hear_nothing(key: ApiKey) -> None:
    SuperAdminFactory.create()
    ApiKeyFactory.create(deactivated_at=NOW, end=ApiKey.End.DEACTIVATED)
    announce()

    assert receivers(run(NOW)) == ["ada@acme.example"]


def test_a_groups_dates_are_told_to_its_accounts_and_those_for_all_to_the_others(key: ApiKey) -> None:
    place = GroupedAccountFactory.create()
    theirs = ApiKeyFactory.create(account=place.account)
    announce()
    announce(END - 10 * DAY, group=place.group)

    subjects = {mail.to[0]: str(mail.subject).rpartition(": ")[2] for mail in run(NOW)}

    assert theirs.created_by is not None
    assert subjects == {
        "ada@acme.example": "the API key stops working in 170 days; move what uses it",
        theirs.created_by.user.email: "the API key stops working in 160 days; move what uses it",
    }


def test_the_role_mailbox_gets_it_too_in_the_accounts_zone(key: ApiKey) -> None:
    Account.objects.filter(pk=key.account_id).update(time_zone="Europe/Berlin")
    RoleMailbox.objects.create(account=key.account, email="team@acme.example", named_at=NOW, confirmed_at=NOW)
    announce()

    mails = {mail.to[0]: str(mail.body) for mail in run(NOW)}

    assert sorted(mails) == ["ada@acme.example", "team@acme.example"]
    assert "This mailbox gets the reminders of Acme" in mails["team@acme.example"]
    assert "11:30 AM CEST" in mails["team@acme.example"]


def test_an_announcement_that_ends_no_calls_is_told_to_nobody(key: ApiKey) -> None:
    announce(creation=NOW + DAY, authentication=None)

    assert run(NOW) == []


@pytest.mark.parametrize("what", ["deactivate", "withdraw", "leave", "suspend", "change", "regroup"])
def test_what_happens_between_the_scan_and_the_sending_stops_the_mail(key: ApiKey, what: str) -> None:
    SuperAdminFactory.create(account=key.account, user__email="grace@acme.example")
    sunset = announce()
    word_of_sunset.tell(now=NOW)
    if what == "deactivate":
        api_keys.deactivate_api_key(account=key.account, generation=None, by=SHELL, now=NOW)
    elif what == "withdraw":
        sunsets.withdraw(sunset=sunset, reason="x", by=SHELL, now=NOW)
    elif what == "leave":
        assert key.created_by is not None
        operations.remove(member=key.created_by, by=SHELL, now=NOW)
    elif what == "suspend":
        operations.suspend_account(account=key.account, by=SHELL, reason="unpaid", now=NOW)
    elif what == "change":
        move(sunset, END + DAY, now=NOW)
        Sunset.objects.update(told="2:0")
    else:
        group = GroupedAccountFactory.create().group
        announce(END + DAY, group=group)
        operations.move_accounts(accounts=[key.account], group=group, by=SHELL, now=NOW)
        Sunset.objects.update(told="1:0")

    assert receivers(run(NOW)) == (["grace@acme.example"] if what == "leave" else [])


def test_a_rotated_key_is_told_of_no_second_time_and_still_at_the_next_moment(key: ApiKey) -> None:
    announce()
    run(NOW)
    api_keys.rotate_api_key(account=key.account, generation=None, by=SHELL, now=NOW + DAY)

    assert run(NOW + DAY) == []
    assert len(run(END - 90 * DAY)) == 1


# --- What they say ------------------------------------------------------------------------------------------------
def test_the_mail_says_when_what_else_to_use_and_who_uses_the_key(key: ApiKey) -> None:
    CallFactory.create_batch(3, account_id=key.account_id, credential_id=key.id, at=NOW - DAY, agent="sync")
    other = AccountFactory.create()
    CallFactory.create(account_id=other.pk, credential_id=ApiKeyFactory.create(account=other).id, agent="stranger")
    start = NOW + 100 * DAY
    announce(creation=NOW + 50 * DAY, brownouts=[Brownout(start, start + timedelta(minutes=10))])

    mail = next(one for one in run(NOW) if one.to == ["ada@acme.example"])

    text = str(mail.body)
    assert mail.subject == "Acme: the API key stops working in 170 days; move what uses it"
    for said in (
        "Nothing is wrong today: the API key of Acme works as before. From October 21, 2026, 9:30 AM UTC on",
        "http://localhost/migrate/",
        "sync, 203.0.113.0/24: 3 calls",
        "August 12, 2026, 9:30 AM UTC, for 10 minutes",
        "From June 23, 2026, 9:30 AM UTC on, an account without a key gets none.",
    ):
        assert said in " ".join(text.split())
    assert "stranger" not in text
    assert key.secret() not in text
    assert key.secret() not in mail.message().as_string()


def test_a_key_that_nobody_uses_is_better_deactivated(key: ApiKey) -> None:
    announce()

    (mail,) = run(NOW)

    assert "Nobody. If nothing needs the key any more, deactivate it" in str(mail.body)


def test_rehearsals_that_are_over_are_not_named(key: ApiKey) -> None:
    announce(brownouts=[Brownout(NOW + DAY, NOW + DAY + HOUR)])

    before, after = run(NOW), run(END - 90 * DAY)

    assert ("Rehearsals" in str(before[0].body), "Rehearsals" in str(after[0].body)) == (True, False)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (170, "It comes again 90, 30, 7 and 1 days before the end, until the key is deactivated."),
        (30, "It comes again 7 and 1 days before the end, until the key is deactivated."),
        (7, "It comes once more, 1 day before the end, unless the key is deactivated."),
        (1, "It is the last one before the end."),
    ],
)
def test_each_says_when_it_comes_again(key: ApiKey, days: int, said: str) -> None:
    announce()

    (mail,) = run(END - days * DAY)

    assert said in str(mail.body)


def test_the_days_left_are_rounded_up(key: ApiKey) -> None:
    announce()

    (mail,) = run(END - DAY + 5 * HOUR)

    assert mail.subject == "Acme: the API key stops working in 1 day; move what uses it"


@pytest.mark.parametrize("state", [Account.State.SUSPENDED, Account.State.CLOSED])
def test_accounts_that_open_nothing_anyway_hear_nothing(key: ApiKey, state: Account.State) -> None:
    Account.objects.filter(pk=key.account_id).update(state=state)
    announce()

    assert run(NOW) == []
