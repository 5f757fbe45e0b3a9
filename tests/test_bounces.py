"""Addresses at which mails do not arrive: noticed at sending or by a provider's word, shown, told, forgotten."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail as mailbox
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import access_requests, bounces, operations, outbox, proofs_by_mail, role_mailboxes, sending
from accounts.actors import SHELL
from accounts.models import BouncedAddress, Member, Notice, OutgoingMail
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.models.api_key import ROTATE_AFTER
from apikeys.operations import reminders
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, ApiKeyFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.mail_server import MailServer
from tests.test_outbox import owe, send_all
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

Kind = BouncedAddress.Kind
ADA, GRACE, OPERATOR = "ada@acme.example", "grace@acme.example", "operator@portal.example"
SECRET = "provider:a long random word"


@pytest.fixture
def ada() -> Member:
    return SuperAdminFactory.create(user__email=ADA, user__name="Ada", account__name="Acme", account__slug="acme")


@pytest.fixture
def grace(ada: Member) -> Member:
    return SuperAdminFactory.create(account=ada.account, user__email=GRACE)


def bounce(email: str = ADA, kind: BouncedAddress.Kind = Kind.BOUNCED) -> None:
    bounces.note(email=email, kind=kind, why="550 no such user", now=NOW)


def mailed() -> list[tuple[str, str]]:
    """Who was mailed since the last time, and the subject."""
    mailbox.outbox.clear()
    send_mails()
    return sorted((message.to[0], str(message.subject)) for message in mailbox.outbox)


def bounced() -> list[tuple[str, str]]:
    return list(BouncedAddress.objects.values_list("email", "kind"))


# --- Who is told --------------------------------------------------------------------------------------------------
def test_the_other_super_admins_are_told_by_mail_and_notice_and_an_entry_says_it(ada: Member, grace: Member) -> None:
    MemberFactory.create(account=ada.account, role=Role.DEVELOPER)

    bounce()
    bounce()

    assert mailed() == [(GRACE, f"Acme: mails to {ADA} do not arrive")]
    told = Notice.objects.filter(kind=Notice.Kind.MAIL_BOUNCED).values_list("user__email", flat=True)
    assert set(told) == {ADA, GRACE}
    entry = AuditEntry.objects.get(action=Action.MEMBER_MAIL_BOUNCED)
    assert (entry.account_id, entry.target_name, entry.reason) == (ada.account_id, "Ada", "550 no such user")


def test_the_members_page_shows_it_and_the_notice_leads_there(ada: Member, grace: Member) -> None:
    bounce()
    client = signed_in(grace)

    page = client.get(path("accounts:members", ada.account)).content.decode()
    notices = client.get("/notices/").content.decode()

    assert page.count("mails do not arrive") == 1
    rows = page.partition("<tbody>")[2].split("</tr>")
    assert [ADA in row for row in rows if "mails do not arrive" in row] == [True]
    assert f"Mails to {ADA} do not arrive." in notices
    assert path("accounts:members", ada.account) in notices


def test_of_a_member_without_that_role_nobody_else_is_mailed(ada: Member) -> None:
    MemberFactory.create(account=ada.account, user__email="mira@acme.example")

    bounce("mira@acme.example")

    assert mailed() == []
    assert Notice.objects.filter(kind=Notice.Kind.MAIL_BOUNCED).count() == 1


def test_a_role_mailbox_that_bounces_is_shown_and_told_to_super_admins(ada: Member) -> None:
    named = role_mailboxes.name(account=ada.account, email="team@acme.example", by=ada, now=NOW)
    role_mailboxes.confirm(mailbox=named, user=None, now=NOW)

    bounce("team@acme.example")

    assert mailed() == [(ADA, "Acme: mails to team@acme.example do not arrive")]
    page = signed_in(ada).get(path("accounts:members", ada.account)).content.decode()
    assert "mails do not arrive" in page


@pytest.mark.parametrize("email", ["stranger@elsewhere.example", "", "x" * 300])
def test_an_address_of_nobody_here_is_not_kept(ada: Member, email: str) -> None:
    bounce(email)

    assert bounced() == []


# --- Nobody is reached --------------------------------------------------------------------------------------------
def test_once_no_super_admin_is_reached_operators_are_told_by_mail_and_in_their_pages(
    ada: Member, grace: Member
) -> None:
    operator = UserFactory.create(email=OPERATOR, is_staff=True)
    bounce()
    before = {to for to, _ in mailed()}

    bounce(GRACE)

    assert before == {GRACE}
    assert mailed() == [
        (ADA, f"Acme: mails to {GRACE} do not arrive"),  # sent all the same: nobody knows better
        (OPERATOR, "Acme: no super admin can be reached"),
    ]
    client = Client()
    client.force_login(operator)
    assert "Mails reach no super admin of 1 account." in client.get("/admin/").content.decode()
    listed = client.get("/admin/accounts/account/?reached=nobody").content.decode()
    assert "1 account" in listed


def test_a_due_reminder_that_reaches_nobody_is_told_to_operators_once(ada: Member) -> None:
    UserFactory.create(email=OPERATOR, is_staff=True)
    ApiKeyFactory.create(account=ada.account, created_by=ada)
    BouncedAddress.objects.create(email=ADA, kind=Kind.BOUNCED, since=NOW)

    for days in (180, 181):
        reminders.remind(now=NOW + timedelta(days=days))

    told = OutgoingMail.objects.filter(kind=bounces.NOBODY_REACHED_MAIL)
    assert list(told.values_list("to", flat=True)) == [OPERATOR]


def test_where_somebody_is_reached_or_the_account_is_suspended_nobody_is_unreached(ada: Member, grace: Member) -> None:
    bounce()
    one = list(bounces.unreached())
    bounce(GRACE)
    both = list(bounces.unreached())
    operations.suspend_account(account=ada.account, by=SHELL, reason="unpaid", now=NOW)

    assert (one, both, list(bounces.unreached())) == ([], [ada.account], [])


# --- When it is over ----------------------------------------------------------------------------------------------
def test_a_later_delivery_clears_the_mark_its_notices_and_mails_that_wait(ada: Member, grace: Member) -> None:
    bounce()

    bounces.note_delivery(email=ADA.upper(), at=NOW + timedelta(hours=1), now=timezone.now())

    assert bounced() == []
    assert not Notice.objects.unread().filter(kind=Notice.Kind.MAIL_BOUNCED).exists()
    assert mailed() == []
    assert AuditEntry.objects.filter(action=Action.MEMBER_MAIL_ARRIVED, target_name="Ada").exists()


def test_word_of_an_earlier_delivery_that_comes_late_clears_nothing(ada: Member) -> None:
    bounce()

    bounces.note_delivery(email=ADA, at=NOW - timedelta(seconds=1), now=NOW)

    assert bounced() == [(ADA, "bounced")]


def test_another_address_clears_the_mark(ada: Member, grace: Member) -> None:
    bounce()

    proofs_by_mail.change_address(user=ada.user, email="ada@new.example", now=NOW)

    assert bounced() == []
    assert not Notice.objects.unread().filter(kind=Notice.Kind.MAIL_BOUNCED).exists()


# --- At sending ---------------------------------------------------------------------------------------------------
def test_an_address_that_the_mail_server_refuses_for_good_is_marked_and_tried_again_all_the_same(
    mail_server: MailServer, ada: Member
) -> None:
    mail = owe(to=ADA)
    mail_server.unknown.add(ADA)
    send_all()
    marked = bounced()
    mail_server.unknown.clear()

    send_all(NOW + sending.FIRST_PAUSE)

    mail.refresh_from_db()
    assert marked == [(ADA, "refused")]
    assert (mail.attempts, mail.sent_at) == (2, NOW + sending.FIRST_PAUSE)
    assert bounced() == []


def test_a_server_that_refuses_for_now_marks_nobody(mail_server: MailServer, ada: Member) -> None:
    owe(to=ADA)
    mail_server.refuses = True

    send_all()

    assert bounced() == []


def test_who_was_refused_for_now_until_the_mail_is_given_up_is_marked_then(
    mail_server: MailServer, ada: Member
) -> None:
    mail = owe(to=ADA)
    OutgoingMail.objects.update(attempts=sending.LEAST_ATTEMPTS)
    mail_server.full.add(ADA)

    send_all(NOW)
    before = bounced()
    send_all(NOW + sending.GIVEN_UP_AFTER)

    mail.refresh_from_db()
    assert before == []
    assert (bounced(), mail.dropped_at) == ([(ADA, "refused")], NOW + sending.GIVEN_UP_AFTER)


def test_at_a_marked_address_courtesy_stops_and_reminders_and_security_go_on(ada: Member, grace: Member) -> None:
    key = ApiKeyFactory.create(account=ada.account, created_by=ada)
    developer = MemberFactory.create(account=ada.account, role=Role.DEVELOPER)
    BouncedAddress.objects.create(email=ADA, kind=Kind.COMPLAINED, since=NOW)
    due = NOW + ROTATE_AFTER

    access_requests.ask_for_key(member=developer, reason="x", now=due)
    reminders.remind(now=due)
    operations.note(Action.PASSWORD_CHANGED, user=ada.user, now=due)
    send_all(due)

    to_ada = [str(message.subject) for message in mailbox.outbox if message.to == [ADA]]
    to_grace = " ".join(str(message.body) for message in mailbox.outbox if message.to == [GRACE])
    assert sorted(to_ada) == ["Acme: rotate the API key, it is 180 days old", "Your password was changed"]
    assert f"{developer} " in to_grace
    assert key.last4 in to_grace


def test_what_came_back_later_is_not_disproved_by_a_server_that_takes_the_next(
    mail_server: MailServer, ada: Member
) -> None:
    bounce(kind=Kind.REFUSED)
    bounce(kind=Kind.BOUNCED)
    owe(to=ADA)

    send_all()

    assert bounced() == [(ADA, "bounced")]


# --- Anymail: any provider ----------------------------------------------------------------------------------------
@pytest.fixture
def anymail(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "anymail.backends.test.EmailBackend"


@pytest.mark.usefixtures("anymail")
def test_a_mail_goes_out_through_anymail_with_its_own_message_id() -> None:
    with transaction.atomic():
        outbox.add("tests.greeting", about="the weather", to=ADA, now=NOW)

    send_all()

    (message,) = mailbox.outbox
    given = vars(message)["anymail_test_params"]
    assert given["extra_headers"]["Message-ID"] == f"<{OutgoingMail.objects.get().id}@localhost>"
    assert OutgoingMail.objects.get().sent_at == NOW


@pytest.mark.usefixtures("ada")
def test_an_address_that_the_provider_refuses_is_marked(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "tests.refusing_provider.EmailBackend"
    owe(to=ADA)

    send_all()

    assert bounced() == [(ADA, "refused")]
    assert OutgoingMail.objects.get(to=ADA).due_at == NOW + sending.FIRST_PAUSE


# --- The provider's word ------------------------------------------------------------------------------------------
@pytest.fixture
def postmark(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "x", "WEBHOOK_SECRET": SECRET}


def say(event: object, *, secret: str = SECRET, provider: str = "postmark") -> int:
    body = event if isinstance(event, str) else json.dumps(event)
    headers = {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"} if secret else {}
    address = f"/anymail/{provider}/tracking/"
    return Client().post(address, body, content_type="application/json", headers=headers).status_code


def event(kind: str, *, at: datetime = NOW, **fields: object) -> dict[str, object]:
    stamp = at.astimezone(UTC).isoformat()
    whose = {"Email": ADA, "BouncedAt": stamp} if kind != "Delivery" else {"Recipient": ADA, "DeliveredAt": stamp}
    return {"RecordType": kind, "MessageID": "1", "ID": 42, **whose, **fields}


HARD = event("Bounce", Type="HardBounce", TypeCode=1, Details="550 no such user", Description="gone")


@pytest.mark.usefixtures("postmark")
def test_a_provider_says_what_came_back_what_was_unwanted_and_what_arrived(ada: Member) -> None:
    said = []
    for one in (
        HARD,
        event("Delivery", at=NOW - timedelta(hours=1)),
        event("Delivery", at=NOW + timedelta(hours=1)),
        event("SpamComplaint", Type="SpamComplaint", TypeCode=100001),
    ):
        assert say(one) == 200
        said.append(bounced())

    assert said == [[(ADA, "bounced")], [(ADA, "bounced")], [], [(ADA, "complained")]]


@pytest.mark.usefixtures("postmark", "ada")
@pytest.mark.parametrize("secret", ["", "provider:", "provider:another", ":", SECRET + "x"])
def test_who_does_not_know_the_secret_says_nothing(secret: str) -> None:
    assert say(HARD, secret=secret) == 400
    assert bounced() == []


@pytest.mark.usefixtures("postmark", "ada")
@pytest.mark.parametrize("nonsense", ["", "{", "[]", "null", "{}", '{"RecordType": "Bounce"}', "[" * 5000, "NaN"])
def test_what_is_no_event_is_refused_and_changes_nothing(nonsense: str) -> None:
    assert say(nonsense) == 400 or nonsense in {"{}", '{"RecordType": "Bounce"}'}
    assert bounced() == []


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_of_its_own_the_door_does_not_exist(settings: Settings, secret: str | None) -> None:
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "x"} | ({} if secret is None else {"WEBHOOK_SECRET": secret})

    assert [say(HARD, secret=sent) for sent in ("", SECRET)] == [404, 404]
    assert bounced() == []


@pytest.mark.usefixtures("postmark")
@pytest.mark.parametrize("provider", ["mailgun", "sendgrid", "nothing", "Postmark"])
def test_the_door_of_another_provider_does_not_exist(provider: str) -> None:
    assert say(HARD, provider=provider) == 404


def test_with_a_mail_server_of_ones_own_no_door_exists(settings: Settings) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}

    assert say(HARD) == 404


def test_a_provider_that_is_only_half_set_up_is_no_door_either(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "anymail.backends.mailgun.EmailBackend"
    settings.ANYMAIL = {"MAILGUN_API_KEY": "x", "WEBHOOK_SECRET": SECRET}

    assert say("{}", provider="mailgun") in {400, 404}


@pytest.mark.usefixtures("postmark")
def test_the_door_answers_the_head_request_by_which_providers_try_it() -> None:
    assert Client().head("/anymail/postmark/tracking/").status_code == 200
    assert Client().get("/anymail/postmark/tracking/").status_code == 405
