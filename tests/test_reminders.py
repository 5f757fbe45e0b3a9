"""The mail about a key that is due: to whom, when, once, and what it says (G6). When and to whom: also test_notices."""

import re
from datetime import datetime, timedelta
from email import message_from_bytes, policy

import pytest
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import operations
from accounts.actors import SHELL
from accounts.models import Account
from accounts.permissions import Role
from apikeys.models import ApiKey
from apikeys.operations import api_keys, reminders
from tests.factories import (
    NOW,
    ApiKeyFactory,
    CallFactory,
    GroupedAccountFactory,
    MemberFactory,
    SunsetFactory,
    SuperAdminFactory,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
DUE = NOW + 180 * DAY


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(user__email="ada@acme.example", account__name="Acme", account__slug="acme")
    return ApiKeyFactory.create(account=maker.account, created_by=maker)


def remind(now: datetime = DUE) -> list[EmailMultiAlternatives]:
    """Scan and send; the mails that went out."""
    before = len(mailbox.outbox)
    call_command("send_reminders", now=now)
    return mailbox.outbox[before:]  # type: ignore[return-value]  # the outbox's own kind


def receivers(mails: list[EmailMultiAlternatives]) -> list[str]:
    return sorted(address for mail in mails for address in mail.to)


def test_nothing_a_second_before_180_days_and_one_mail_each_from_then_on(key: ApiKey) -> None:
    SuperAdminFactory.create(account=key.account, user__email="grace@acme.example")
    MemberFactory.create(account=key.account, role=Role.DEVELOPER)

    assert remind(DUE - timedelta(seconds=1)) == []
    assert receivers(remind(DUE)) == ["ada@acme.example", "grace@acme.example"]
    assert remind(DUE + DAY) == []
    assert len(remind(DUE + 180 * DAY)) == 2


def test_whoever_made_the_key_gets_it_without_being_super_admin_any_more(key: ApiKey) -> None:
    SuperAdminFactory.create(account=key.account, user__email="grace@acme.example")
    maker = key.created_by
    assert maker is not None
    operations.change_role(member=maker, role=Role.MEMBER, by=SHELL, now=NOW)

    mails = {mail.to[0]: str(mail.body) for mail in remind()}

    assert "only super admins can rotate it: grace@acme.example" in mails["ada@acme.example"]
    assert "only super admins" not in mails["grace@acme.example"]


def test_who_has_left_gets_none(key: ApiKey) -> None:
    SuperAdminFactory.create(account=key.account, user__email="grace@acme.example")
    maker = key.created_by
    assert maker is not None
    operations.remove(member=maker, by=SHELL, now=NOW)

    assert receivers(remind()) == ["grace@acme.example"]


@pytest.mark.parametrize("what", ["rotate", "deactivate", "leave", "suspend"])
def test_what_happens_between_the_scan_and_the_sending_stops_the_mail(key: ApiKey, what: str) -> None:
    SuperAdminFactory.create(account=key.account, user__email="grace@acme.example")
    reminders.remind(now=DUE)
    if what == "rotate":
        api_keys.rotate_api_key(account=key.account, generation=None, by=SHELL, now=DUE)
    elif what == "deactivate":
        api_keys.deactivate_api_key(account=key.account, generation=None, by=SHELL, now=DUE)
    elif what == "leave":
        assert key.created_by is not None
        operations.remove(member=key.created_by, by=SHELL, now=DUE)
    else:
        operations.suspend_account(account=key.account, by=SHELL, reason="unpaid", now=DUE)

    about_rotation = [mail for mail in remind() if "days old" in str(mail.subject)]

    assert receivers(about_rotation) == (["grace@acme.example"] if what == "leave" else [])


@pytest.mark.parametrize(
    ("grouped", "reminded"),
    [(None, False), ("its own end is over", False), ("its own end is ahead", True), ("no end of its own", False)],
)
def test_past_its_announced_end_a_key_is_reminded_of_no_more_where_the_groups_end_counts_first(
    key: ApiKey, grouped: str | None, *, reminded: bool
) -> None:
    SunsetFactory.create(authentication_ends_at=DUE - DAY)
    if grouped:
        group = GroupedAccountFactory.create(account=key.account).group
        if grouped != "no end of its own":
            end = DUE + DAY if grouped == "its own end is ahead" else DUE
            SunsetFactory.create(group=group, authentication_ends_at=end)

    assert bool(remind()) is reminded


def test_the_end_of_one_group_stops_reminders_of_no_other_account_and_stops_those_that_are_owed(key: ApiKey) -> None:
    other = ApiKeyFactory.create()
    reminders.remind(now=DUE)
    grouped = GroupedAccountFactory.create(account=key.account)
    SunsetFactory.create(group=grouped.group, authentication_ends_at=DUE)

    assert other.created_by is not None
    assert receivers(remind()) == [other.created_by.user.email]


def test_the_mail_says_which_key_its_age_its_callers_and_where_to_go(key: ApiKey) -> None:
    for n in range(7):
        CallFactory.create_batch(
            n + 1,
            account_id=key.account_id,
            credential_id=key.id,
            at=DUE - DAY,
            agent=f"sync-{n}",
            network="203.0.113.0/24",
        )

    (mail,) = remind()

    text, html = str(mail.body), str(mail.alternatives[0][0])
    assert mail.subject == "Acme: rotate the API key, it is 180 days old"
    assert text.startswith("Nothing is wrong: this is the reminder to rotate the API key of Acme every 180 days.")
    for said in (f"The key ends in {key.last4}.", "sync-6, 203.0.113.0/24: 7 calls", "2 other callers"):
        assert said in text
        assert said in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))
    assert "sync-1," not in text
    assert "http://localhost/accounts/acme/api-key/\n" in text
    assert "\n\n\n" not in text


def test_a_key_that_nobody_uses_is_better_deactivated(key: ApiKey) -> None:
    (mail,) = remind()

    assert "Nobody. If nothing needs the key any more, deactivate it." in str(mail.body)
    assert "Rotating stops them" not in str(mail.body)


def test_the_mail_holds_no_secret_and_is_a_message_of_rfc_5322(key: ApiKey) -> None:
    Account.objects.update(name="Ä & Söhne 🔑" + "🙂" * 60)

    (mail,) = remind()

    raw = mail.message().as_bytes()
    parsed = message_from_bytes(raw, policy=policy.strict)
    assert key.secret().encode() not in raw
    assert parsed["Subject"].strip().startswith("Ä & Söhne 🔑")
    assert parsed["Auto-Submitted"] == "auto-generated"


def test_no_step_looks_a_person_up_by_what_no_index_serves(key: ApiKey) -> None:
    with CaptureQueriesContext(connection) as asked:
        remind()

    by_case = [query["sql"] for query in asked if "UPPER(" in query["sql"] or " LIKE " in query["sql"]]
    assert not by_case, "Among a million people this reads all of them, for each mail."


def test_every_due_key_is_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminders, "KEYS_AT_ONCE", 3)
    for n in range(8):
        ApiKeyFactory.create(created_at=NOW - (n % 3) * DAY)
    ApiKeyFactory.create(created_at=NOW + DAY)

    assert reminders.remind(now=DUE) == 8
    assert reminders.remind(now=DUE) == 0


def test_the_maker_of_many_keys_hears_of_each() -> None:
    maker = SuperAdminFactory.create()
    other = MemberFactory.create(user=maker.user)
    ApiKeyFactory.create(account=maker.account, created_by=maker)
    ApiKeyFactory.create(account=other.account, created_by=other)

    assert reminders.remind(now=DUE) == 2
