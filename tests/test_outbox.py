"""Mails that are owed: in the transaction of what they tell, sent once, and again after a failure (G6)."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail as mailbox
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django.utils.html import format_html
from pytest_django import Settings

from accounts import letters, outbox, sending
from accounts.models import OutgoingMail
from accounts.tasks import prune_mails, send_mails
from tests.clients.server import free_port
from tests.factories import NOW
from tests.mail_server import MailServer, message_ids

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@outbox.composes("tests.greeting")
def greeting(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """A mail as plain as they come; to nobody about "nothing"."""
    if mail.about == "nothing":
        return None
    return letters.Letter(subject="Good day", body=format_html("<p>{}</p>", mail.about), language="en", thread="")


def owe(about: str = "the weather", to: str = "ada@acme.example") -> OutgoingMail:
    with transaction.atomic():
        outbox.add("tests.greeting", about=about, to=to, now=NOW)
    return OutgoingMail.objects.get(about=about, to=to)


def send_all(now: datetime = NOW) -> None:
    while sending.send_next(now=now):
        pass


@pytest.mark.django_db(transaction=True)
def test_a_mail_owed_outside_a_transaction_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="share the transaction"):
        outbox.add("tests.greeting", about="x", to="ada@acme.example", now=NOW)


def test_what_is_rolled_back_owes_nothing() -> None:
    with transaction.atomic():
        outbox.add("tests.greeting", about="x", to="ada@acme.example", now=NOW)
        transaction.set_rollback(True)

    assert not OutgoingMail.objects.exists()


def test_the_same_mail_is_owed_once() -> None:
    owe()
    owe()

    send_all()
    send_all()

    assert len(mailbox.outbox) == 1


def test_the_clock_s_task_sends_what_is_due() -> None:
    owe()

    send_mails()

    assert [message.to for message in mailbox.outbox] == [["ada@acme.example"]]


def test_a_mail_that_nobody_needs_any_more_is_dropped() -> None:
    mail = owe(about="nothing")

    send_all()

    mail.refresh_from_db()
    assert (mail.sent_at, mail.dropped_at) == (None, NOW)
    assert not mailbox.outbox


def test_after_a_refusal_of_the_mail_server_it_is_tried_again_later(mail_server: MailServer) -> None:
    mail = owe()
    mail_server.refuses = True
    send_all()
    mail_server.refuses = False

    send_all(NOW + sending.FIRST_PAUSE - timedelta(seconds=1))
    too_early = len(mail_server.received)
    send_all(NOW + sending.FIRST_PAUSE)

    mail.refresh_from_db()
    assert too_early == 0
    assert len(mail_server.received) == 1
    assert f"Message-ID: <{mail.id}@localhost>".encode() in (mail_server.received[0].original_content or b"")
    assert (mail.attempts, mail.sent_at) == (2, NOW + sending.FIRST_PAUSE)


def test_a_mail_server_that_is_gone_loses_nothing(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    mail = owe()

    for attempt in range(12):
        send_all(NOW + attempt * sending.LONGEST_PAUSE)

    mail.refresh_from_db()
    assert (mail.sent_at, mail.attempts) == (None, 12)
    assert mail.due_at == NOW + 11 * sending.LONGEST_PAUSE + sending.LONGEST_PAUSE


def test_what_a_worker_that_died_had_claimed_is_sent_when_its_lease_ends() -> None:
    mail = owe()
    OutgoingMail.objects.update(claimed_until=NOW + sending.LEASE, attempts=1)

    send_all(NOW + sending.LEASE - MINUTE)
    before = len(mailbox.outbox)
    send_all(NOW + sending.LEASE)

    mail.refresh_from_db()
    assert before == 0
    assert mail.sent_at == NOW + sending.LEASE


@pytest.mark.django_db(transaction=True)
def test_of_eight_workers_at_once_each_mail_is_sent_by_one(mail_server: MailServer) -> None:
    for number in range(40):
        owe(about=str(number))

    def work(_: int) -> None:
        try:
            send_all()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert sorted(message_ids(mail_server)) == sorted(f"<{mail.id}@localhost>" for mail in OutgoingMail.objects.all())


def test_a_worker_that_stood_still_for_longer_than_its_lease_leaves_the_mail_to_whoever_has_it(
    mail_server: MailServer,
) -> None:
    with transaction.atomic():
        outbox.add("tests.slow", about="x", to="ada@acme.example", now=NOW)

    sending.send_next(now=NOW)

    mail = OutgoingMail.objects.get()
    assert message_ids(mail_server) == [f"<{mail.id}@localhost>"]
    assert (mail.attempts, mail.sent_at) == (2, NOW + sending.LEASE)


@outbox.composes("tests.slow")
def slow(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """Takes so long at first that another worker claims the mail, and sends it, meanwhile."""
    if mail.attempts == 1:
        sending.send_next(now=NOW + sending.LEASE)
    return greeting(mail, now)


@pytest.mark.parametrize("kind", ["tests.broken", "tests.of_a_newer_version"])
def test_a_mail_that_cannot_be_written_holds_up_no_other_and_says_why(kind: str) -> None:
    with transaction.atomic():
        outbox.add(kind, about="x", to="ada@acme.example", now=NOW - MINUTE)
    owe()

    send_all()

    broken = OutgoingMail.objects.get(kind=kind)
    assert [message.subject for message in mailbox.outbox] == ["Good day"]
    assert (broken.sent_at, broken.due_at) == (None, NOW + sending.FIRST_PAUSE)
    assert broken.failure.startswith(("ZeroDivisionError: ", "KeyError: "))


@outbox.composes("tests.broken")
def broken(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    raise ZeroDivisionError("A template, say.")


def test_a_mail_is_not_given_up_because_nobody_tried_to_send_it_for_a_week(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    mail = owe()

    send_all(NOW + timedelta(days=7))

    mail.refresh_from_db()
    assert (mail.attempts, mail.dropped_at) == (1, None)


def test_after_five_days_a_mail_is_given_up(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    mail = owe()
    OutgoingMail.objects.update(attempts=sending.LEAST_ATTEMPTS)

    send_all(NOW + sending.GIVEN_UP_AFTER - 2 * sending.LONGEST_PAUSE)
    mail.refresh_from_db()
    before = mail.dropped_at
    send_all(NOW + sending.GIVEN_UP_AFTER)

    mail.refresh_from_db()
    assert (before, mail.dropped_at) == (None, NOW + sending.GIVEN_UP_AFTER)
    assert mail.failure.startswith("ConnectionRefusedError")


def test_a_row_stays_for_as_long_as_something_could_owe_its_mail_again() -> None:
    owe(about="1")
    owe(about="nothing")
    owed = owe(about="2")
    send_all()
    OutgoingMail.objects.filter(pk=owed.pk).update(sent_at=None)

    early = sending.prune(now=NOW + sending.KEPT_FOR)
    removed = sending.prune(now=NOW + sending.KEPT_FOR + MINUTE)

    assert (early, removed) == (0, 2)
    assert list(OutgoingMail.objects.all()) == [owed]


def test_the_files_of_old_mails_are_deleted(settings: Settings, tmp_path: Path) -> None:
    settings.MAIL_DIR = tmp_path
    old, new, other = (tmp_path / name for name in ("old.eml", "new.eml", "notes.txt"))
    for file, age in ((old, 31), (new, 29), (other, 31)):
        file.write_text("x")
        at = (timezone.now() - timedelta(days=age)).timestamp()
        os.utime(file, (at, at))

    prune_mails()

    assert sorted(tmp_path.iterdir()) == [new, other]


def test_prometheus_is_told_what_is_owed_and_for_how_long(client: Client) -> None:
    mail = owe()
    OutgoingMail.objects.filter(pk=mail.pk).update(created_at=timezone.now() - timedelta(hours=2))

    text = client.get("/metrics").content.decode()

    assert "keyportal_mails_owed 1.0" in text
    (waits,) = re.findall(r"^keyportal_mails_owed_seconds (\S+)$", text, re.MULTILINE)
    assert 7200 <= float(waits) < 7300
