"""Several mails that are due to one person at once are one mail; a retry sends the same again (G6)."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from pytest_django import Settings

from accounts import digests, letters, mail_kinds, operations, outbox, proofs_by_mail, sending
from accounts.actors import SHELL
from accounts.models import OutgoingMail, RoleMailbox, User
from apikeys.models import ApiKey
from apikeys.operations import api_keys, reminders
from tests.clients.server import free_port
from tests.factories import NOW, AccountFactory, ApiKeyFactory, SuperAdminFactory, UserFactory
from tests.mail_server import MailServer, message_ids

pytestmark = pytest.mark.django_db

DUE = NOW + timedelta(days=180)


@pytest.fixture
def ada() -> User:
    return UserFactory.create(email="ada@acme.example")


def old_keys(ada: User, *names: str) -> list[ApiKey]:
    """An account of each name, with a key that is due, whose super admin is Ada."""
    members = [SuperAdminFactory.create(user=ada, account=AccountFactory.create(name=name)) for name in names]
    return [ApiKeyFactory.create(account=member.account, created_by=member) for member in members]


def send_all(*, at: timedelta = timedelta()) -> list[EmailMultiAlternatives]:
    mailbox.outbox.clear()
    while sending.send_next(now=DUE + at):
        pass
    return list(mailbox.outbox)  # type: ignore[arg-type]  # the outbox's own kind


def no_server(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()


def a_server(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def test_reminders_of_several_accounts_are_one_mail_with_each_under_its_subject(ada: User) -> None:
    old_keys(ada, "Acme", "Globex", "Initech")
    reminders.remind(now=DUE)

    (message,) = send_all()

    text, html = str(message.body), str(message.alternatives[0][0])
    assert message.to == ["ada@acme.example"]
    assert message.subject == "Acme: rotate the API key, it is 180 days old, and 2 other mails"
    assert text.startswith("3 mails to you were due together, so they come in one:\n\n- Acme: rotate")
    for name in ("Acme", "Globex", "Initech"):
        heading = f"{name}: rotate the API key, it is 180 days old"
        assert len(re.findall(f"<h2[^>]*>{heading}</h2>", html)) == 1
        assert f"\n{heading}\n\nNothing is wrong: this is the reminder to rotate the API key of {name}" in text
    assert not OutgoingMail.objects.owed().exists()
    assert OutgoingMail.objects.filter(sent_at=DUE).count() == 4


def test_one_mail_by_itself_is_no_digest(ada: User) -> None:
    old_keys(ada, "Acme")
    reminders.remind(now=DUE)

    (message,) = send_all()

    assert message.subject == "Acme: rotate the API key, it is 180 days old"
    assert OutgoingMail.objects.count() == 1


def test_each_person_gets_their_own(ada: User) -> None:
    keys = old_keys(ada, "Acme", "Globex")
    for key in keys:
        SuperAdminFactory.create(account=key.account)
    reminders.remind(now=DUE)

    assert [len(one.to) for one in send_all()] == [1, 1, 1]


def test_a_mail_about_security_waits_for_no_other(ada: User) -> None:
    keys = old_keys(ada, "Acme", "Globex", "Initech")
    reminders.remind(now=DUE)
    api_keys.rotate_api_key(account=keys[0].account, generation=1, by=SHELL, now=DUE)

    subjects = [message.subject for message in send_all()]

    assert sorted(subjects) == [
        "Acme: the API key was rotated",
        "Globex: rotate the API key, it is 180 days old, and 1 other mail",
    ]


def test_a_retry_sends_the_same_mail_and_lets_nothing_in(ada: User, settings: Settings) -> None:
    old_keys(ada, "Acme", "Globex")
    reminders.remind(now=DUE)
    no_server(settings)
    send_all()
    made = OutgoingMail.objects.get(kind=mail_kinds.DIGEST)
    stored = [part.letter for part in made.parts.order_by("created_at", "pk")]

    old_keys(ada, "Initech")
    reminders.remind(now=DUE)
    User.objects.update(language="en-gb")  # which would write the dates another way
    a_server(settings)
    messages = send_all(at=sending.FIRST_PAUSE)

    digest = next(message for message in messages if "Globex" in str(message.body))
    other = next(message for message in messages if "Initech" in str(message.body))
    assert len(messages) == 2
    assert digest.message()["Message-ID"] == f"<{made.pk}@localhost>"
    assert all(str(one["subject"]) in str(digest.body) for one in stored if one)
    assert "It has been the same since May 4, 2026." in str(digest.body)
    assert "It has been the same since 4 May 2026." in str(other.body)


def test_what_was_stored_is_forgotten_once_it_is_sent(ada: User) -> None:
    old_keys(ada, "Acme", "Globex")
    reminders.remind(now=DUE)

    send_all()

    assert set(OutgoingMail.objects.values_list("letter", flat=True)) == {None}


def test_what_has_ended_before_the_retry_is_left_out(ada: User, settings: Settings) -> None:
    acme, _globex, initech = old_keys(ada, "Acme", "Globex", "Initech")
    reminders.remind(now=DUE)
    no_server(settings)
    send_all()
    api_keys.deactivate_api_key(account=acme.account, generation=1, by=SHELL, now=DUE)
    operations.suspend_account(account=initech.account, by=SHELL, reason="x", now=DUE)
    OutgoingMail.objects.exclude(kind__in=[reminders.MAIL, mail_kinds.DIGEST]).delete()

    a_server(settings)
    (message,) = send_all(at=sending.FIRST_PAUSE)

    assert message.subject == "Globex: rotate the API key, it is 180 days old"
    assert OutgoingMail.objects.filter(kind=reminders.MAIL, sent_at__isnull=False).count() == 1
    assert OutgoingMail.objects.filter(kind=reminders.MAIL, dropped_at__isnull=False).count() == 2


def test_a_digest_of_which_nothing_is_due_any_more_is_dropped(ada: User, settings: Settings) -> None:
    keys = old_keys(ada, "Acme", "Globex")
    reminders.remind(now=DUE)
    no_server(settings)
    send_all()
    for key in keys:
        operations.suspend_account(account=key.account, by=SHELL, reason="x", now=DUE)
    a_server(settings)

    assert send_all(at=sending.FIRST_PAUSE) == []
    assert not OutgoingMail.objects.owed().exists()


def test_what_may_have_arrived_by_itself_joins_no_digest(ada: User, settings: Settings) -> None:
    old_keys(ada, "Acme")
    reminders.remind(now=DUE)
    no_server(settings)
    send_all()
    old_keys(ada, "Globex", "Initech")
    reminders.remind(now=DUE)

    a_server(settings)
    subjects = sorted(str(message.subject) for message in send_all(at=sending.FIRST_PAUSE))

    assert subjects == [
        "Acme: rotate the API key, it is 180 days old",
        "Globex: rotate the API key, it is 180 days old, and 1 other mail",
    ]


def test_a_part_that_cannot_be_written_holds_up_no_other(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    old_keys(ada, "Acme", "Globex", "Initech")
    reminders.remind(now=DUE)
    broken = OutgoingMail.objects.latest("pk").about
    composer = outbox._composers[reminders.MAIL]  # noqa: SLF001 -- to put a mistake into it

    def mistaken(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
        if mail.about == broken:
            raise ZeroDivisionError
        return composer(mail, now)

    monkeypatch.setitem(outbox._composers, reminders.MAIL, mistaken)  # noqa: SLF001 -- likewise

    (message,) = send_all()

    assert str(message.subject).endswith("and 1 other mail")
    left = OutgoingMail.objects.owed().get()
    assert (left.about, left.digest) == (broken, None)
    assert left.failure.startswith("ZeroDivisionError")


def test_given_up_it_is_given_up_with_all_that_is_in_it(ada: User, settings: Settings) -> None:
    old_keys(ada, "Acme", "Globex")
    reminders.remind(now=DUE)
    no_server(settings)

    send_all()
    OutgoingMail.objects.filter(attempts=1).update(attempts=sending.LEAST_ATTEMPTS)
    send_all(at=sending.GIVEN_UP_AFTER)

    assert not OutgoingMail.objects.owed().exists()
    assert OutgoingMail.objects.filter(dropped_at__isnull=False, failure__startswith="Connection").count() == 3


def test_very_many_are_several(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "PARTS_AT_MOST", 2)
    old_keys(ada, "A", "B", "C", "D", "E")
    reminders.remind(now=DUE)

    assert len(send_all()) == 3


def test_without_digests_the_tests_here_would_find_each_mail_by_itself(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "gather", lambda mail, **_now: mail)
    old_keys(ada, "Acme", "Globex", "Initech")
    reminders.remind(now=DUE)

    assert len(send_all()) == 3


@pytest.mark.django_db(transaction=True)
def test_of_eight_workers_at_once_each_mail_is_in_one_digest(mail_server: MailServer) -> None:
    people = [UserFactory.create(email=f"person-{n}@acme.example") for n in range(6)]
    for person in people:
        old_keys(person, *"ABCDEF")
    reminders.remind(now=DUE)

    def work(_: int) -> None:
        try:
            while sending.send_next(now=DUE):
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    sent = message_ids(mail_server)
    assert len(set(sent)) == len(sent)
    assert OutgoingMail.objects.filter(kind=reminders.MAIL, sent_at__isnull=False).count() == 36
    said = b"".join(one.original_content or b"" for one in mail_server.received)
    assert len(re.findall(rb"Message-ID: ", said)) == len(sent)
    assert len(sent) == 6


# --- Another address --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tried", [False, True])
def test_what_waits_follows_its_person_to_another_address(ada: User, settings: Settings, *, tried: bool) -> None:
    old_keys(ada, "Acme", "Globex")
    reminders.remind(now=DUE)
    if tried:  # as a digest, which the old address did not take
        no_server(settings)
        send_all()
        a_server(settings)

    proofs_by_mail.change_address(user=ada, email="ada@new.example", now=DUE + sending.LEASE)
    sent = send_all(at=timedelta(hours=1))

    about_keys = [message.to for message in sent if "rotate the API key" in str(message.subject)]
    assert about_keys == [["ada@new.example"]]
    assert not OutgoingMail.objects.owed().exists()


def test_word_of_what_was_done_does_not_follow(ada: User) -> None:
    """Else whoever has taken a sign-in over would keep it from its person by giving it an address of their own."""
    (key,) = old_keys(ada, "Acme")
    api_keys.deactivate_api_key(account=key.account, generation=None, by=SHELL, now=DUE)

    proofs_by_mail.change_address(user=ada, email="ada@new.example", now=DUE)

    assert {message.to[0] for message in send_all()} == {"ada@acme.example"}


def test_a_role_mailbox_keeps_its_mails_when_the_person_of_its_address_takes_another(ada: User) -> None:
    key = ApiKeyFactory.create(created_at=NOW)
    mailbox_of = RoleMailbox(account=key.account, email=ada.email, named_at=NOW, confirmed_at=NOW)
    mailbox_of.save()
    reminders.remind(now=DUE)

    proofs_by_mail.change_address(user=ada, email="ada@new.example", now=DUE)

    reminded = {message.to[0] for message in send_all() if "rotate the API key" in str(message.subject)}
    assert "ada@acme.example" in reminded
    assert "ada@new.example" not in reminded
