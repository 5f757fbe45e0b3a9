"""Which mails a person gets, and when: by the profile, or by a link that mail programs post to."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.test import Client

from accounts import access_requests, invitations, mail_choices, mail_kinds, outbox, sending
from accounts.models import MailChoice, Member, OutgoingMail
from accounts.permissions import Role
from apikeys.operations import reminders
from tests.factories import NOW, ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.visitors import signed_in

pytestmark = pytest.mark.django_db

REQUESTS, REMINDERS = access_requests.MAIL, reminders.MAIL
Delivery = mail_choices.Delivery
SCANNERS = ["BarracudaCentral", "Mozilla/5.0 (compatible; Safe Links)", "GoogleImageProxy", ""]


@pytest.fixture
def ada() -> Member:
    return SuperAdminFactory.create(
        user__email="ada@acme.example", user__time_zone="Europe/Berlin", account__name="Acme", account__slug="acme"
    )


def ask(ada: Member, name: str = "Jun") -> OutgoingMail:
    """Somebody asks Ada for access; the mail that she is owed about it."""
    member = MemberFactory.create(account=ada.account, user__name=name)
    access_requests.ask_for_key(member=member, reason="x", now=NOW)
    return OutgoingMail.objects.get(kind=REQUESTS, about=str(member.access_requests.get().pk), to=ada.user.email)


def send_all(now: datetime = NOW) -> list[EmailMultiAlternatives]:
    mailbox.outbox.clear()
    while sending.send_next(now=now):
        pass
    return list(mailbox.outbox)  # type: ignore[arg-type]  # the outbox's own kind


def choose(ada: Member, kind: str, delivery: str) -> None:
    mail_choices.choose(user=ada.user, choices={kind: delivery}, now=NOW)


def chosen(ada: Member) -> dict[str, str]:
    """What she wants otherwise than at once."""
    return {kind: one for kind, one in mail_choices.of(ada.user).items() if one != Delivery.AT_ONCE}


def headers(message: EmailMultiAlternatives) -> dict[str, str]:
    return {name: value for name, value in message.message().items() if name.startswith("List-")}


# --- The table ------------------------------------------------------------------------------------------------------


def test_every_kind_that_somebody_composes_is_in_the_table_and_every_other_way_round() -> None:
    composed = {kind for kind in outbox.kinds() if not kind.startswith("tests.")}

    assert composed == {*mail_kinds.KINDS, mail_kinds.DIGEST}


def test_a_kind_that_this_version_does_not_know_is_held_back_by_nobody() -> None:
    assert mail_kinds.duty("a.newer.kind") is mail_kinds.Duty.AT_ONCE


# --- When it comes --------------------------------------------------------------------------------------------------


def test_a_mail_comes_at_once_to_whoever_has_chosen_nothing(ada: Member) -> None:
    ask(ada)

    assert [message.subject for message in send_all()] == ["Acme: Jun asks for the API key"]


def test_what_is_switched_off_does_not_come(ada: Member) -> None:
    mail = ask(ada)
    choose(ada, REQUESTS, Delivery.NEVER)

    assert send_all() == []
    mail.refresh_from_db()
    assert mail.dropped_at == NOW


def test_what_comes_once_a_day_comes_together_in_the_morning_of_the_person_s_zone(ada: Member) -> None:
    choose(ada, REQUESTS, Delivery.DAILY)
    ask(ada, "Jun")
    ask(ada, "Kim")
    morning = datetime(2026, 5, 5, 6, 0, tzinfo=UTC)  # 8 in Berlin, in summer

    before = send_all(morning - timedelta(seconds=1))
    (message,) = send_all(morning)

    assert before == []
    assert message.subject == "Acme: Jun asks for the API key, and 1 other mail"


@pytest.mark.parametrize(
    ("now", "zone", "morning"),
    [
        (datetime(2026, 5, 4, 7, 59, tzinfo=UTC), "UTC", datetime(2026, 5, 4, 8, tzinfo=UTC)),
        (datetime(2026, 5, 4, 8, 0, tzinfo=UTC), "UTC", datetime(2026, 5, 5, 8, tzinfo=UTC)),
        # The clocks go forward in the night between, and back in the other.
        (datetime(2026, 3, 28, 12, tzinfo=UTC), "Europe/Berlin", datetime(2026, 3, 29, 6, tzinfo=UTC)),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), "Europe/Berlin", datetime(2026, 10, 25, 7, tzinfo=UTC)),
        # Already tomorrow there
        (datetime(2026, 5, 4, 23, tzinfo=UTC), "Pacific/Auckland", datetime(2026, 5, 5, 20, tzinfo=UTC)),
        (datetime(2028, 2, 28, 23, tzinfo=UTC), "UTC", datetime(2028, 2, 29, 8, tzinfo=UTC)),
    ],
)
def test_the_next_morning(now: datetime, zone: str, morning: datetime) -> None:
    assert mail_choices.next_morning(zone, now=now) == morning


def test_who_wants_them_at_once_again_need_not_wait_for_the_morning(ada: Member) -> None:
    choose(ada, REQUESTS, Delivery.DAILY)
    ask(ada)
    choose(ada, REQUESTS, Delivery.AT_ONCE)

    assert len(send_all()) == 1


def test_choices_are_each_person_s_own(ada: Member) -> None:
    SuperAdminFactory.create(account=ada.account, user__email="grace@acme.example")
    choose(ada, REQUESTS, Delivery.NEVER)
    ask(ada)

    assert [message.to for message in send_all()] == [["grace@acme.example"]]


@pytest.mark.parametrize("kind", [kind for kind in mail_kinds.KINDS if not mail_kinds.may_wait(kind)])
@pytest.mark.parametrize("delivery", [Delivery.DAILY, Delivery.NEVER])
def test_security_mails_can_be_neither_put_off_nor_switched_off(ada: Member, kind: str, delivery: str) -> None:
    with pytest.raises(ValueError, match=kind):
        choose(ada, kind, delivery)

    MailChoice.objects.create(user=ada.user, kind=kind, delivery=delivery)  # past every check
    with transaction.atomic():
        outbox.add(kind, about="x", to=ada.user.email, now=NOW)

    mail = OutgoingMail.objects.get()
    assert mail.due_at == NOW
    assert mail_choices.wanted(mail)


def test_a_reminder_can_wait_but_not_be_switched_off(ada: Member) -> None:
    choose(ada, REMINDERS, Delivery.DAILY)

    with pytest.raises(ValueError, match=REMINDERS):
        choose(ada, REMINDERS, Delivery.NEVER)


# --- The page -------------------------------------------------------------------------------------------------------


def test_the_profile_says_what_can_be_chosen_and_what_cannot(ada: Member) -> None:
    page = signed_in(ada).get("/profile/").content.decode()

    assert f'name="{REQUESTS}"' in page
    assert "They cannot be switched off" in page
    for kind in mail_kinds.KINDS.values():
        assert str(kind.title) in page


def test_what_is_chosen_there_holds(ada: Member) -> None:
    client = signed_in(ada)

    sent = {**mail_choices.of(ada.user), REQUESTS: Delivery.NEVER, REMINDERS: Delivery.DAILY}
    answer = client.post("/profile/mails/", sent, follow=True)

    assert chosen(ada) == {REMINDERS: Delivery.DAILY, REQUESTS: Delivery.NEVER}
    assert "Saved." in answer.content.decode()
    assert '<option value="never" selected>' in answer.content.decode()


@pytest.mark.parametrize("sent", [{}, {REQUESTS: "sometimes"}, {REQUESTS: "at_once", REMINDERS: "never"}])
def test_what_the_page_does_not_offer_changes_nothing(ada: Member, sent: dict[str, str]) -> None:
    answer = signed_in(ada).post("/profile/mails/", sent, follow=True)

    assert not MailChoice.objects.exists()
    assert "does not fit" in answer.content.decode()


def test_a_stranger_chooses_nothing(client: Client) -> None:
    answer = client.post("/profile/mails/", {REQUESTS: Delivery.NEVER})

    assert answer.headers["Location"].startswith("/auth/login/?next=")
    assert signed_in(MemberFactory.create()).get("/profile/mails/").status_code == 405


# --- The link that mail programs post to (RFC 8058) -----------------------------------------------------------------


def link(ada: Member) -> str:
    ask(ada)
    (message,) = send_all()
    return urlsplit(headers(message)["List-Unsubscribe"].strip("<>")).path


def test_an_optional_mail_says_how_to_switch_it_off(ada: Member) -> None:
    ask(ada)
    (message,) = send_all()

    said = headers(message)
    assert said["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert said["List-Unsubscribe"].startswith("<http://localhost/mail/switch-off/")
    assert "/mail/switch-off/" not in str(message.body) + str(message.alternatives[0][0])
    assert "Choose which mails you get, and when <http://localhost/profile/#mails>" in str(message.body)


def test_a_mail_that_must_come_has_no_such_link(ada: Member) -> None:
    invitations.invite(account=ada.account, email="x@acme.example", role=Role.MEMBER, by=ada, now=NOW)
    key = ApiKeyFactory.create(account=ada.account, created_by=ada)
    reminders.remind(now=key.created_at + timedelta(days=180))

    messages = send_all(key.created_at + timedelta(days=180))

    assert [headers(message) for message in messages] == [{}] * len(messages)
    assert messages


def test_posting_to_the_link_switches_off_that_kind_alone_without_a_session(ada: Member) -> None:
    answer = Client(enforce_csrf_checks=True).post(link(ada), {"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200
    assert chosen(ada) == {REQUESTS: Delivery.NEVER}


@pytest.mark.parametrize("agent", SCANNERS)
@pytest.mark.parametrize("method", ["get", "head"])
def test_opening_the_link_changes_nothing(ada: Member, agent: str, method: str) -> None:
    address = link(ada)

    answers = {getattr(Client(), method)(address, headers={"User-Agent": agent}).status_code for _ in range(50)}

    assert answers == {200}
    assert not MailChoice.objects.exists()


def test_a_link_that_somebody_made_up_is_404(ada: Member) -> None:
    address = link(ada)

    forged = [address.replace("off/", "off/x"), "/mail/switch-off/x/", "/mail/switch-off/x:y:z/"]

    assert [Client().post(path).status_code for path in forged] == [404] * 3
    assert not MailChoice.objects.exists()


def test_the_link_is_worth_nothing_where_its_kind_is_not_optional_any_more(
    ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = link(ada)
    kind = mail_kinds.Kind(mail_kinds.KINDS[REQUESTS].title, mail_kinds.Duty.AT_ONCE)
    monkeypatch.setitem(mail_kinds.KINDS, REQUESTS, kind)

    Client().post(address)

    assert not MailChoice.objects.exists()


def test_a_digest_switches_off_what_is_optional_in_it(ada: Member) -> None:
    key = ApiKeyFactory.create(account=ada.account, created_by=ada)
    due = key.created_at + timedelta(days=180)
    reminders.remind(now=due)
    ask(ada)

    (message,) = send_all(due)
    Client().post(urlsplit(headers(message)["List-Unsubscribe"].strip("<>")).path)

    assert chosen(ada) == {REQUESTS: Delivery.NEVER}
