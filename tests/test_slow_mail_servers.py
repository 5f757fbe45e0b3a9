"""A mail server that lets one connect and then says nothing holds up no page, and no other job for long."""

from collections.abc import Iterator
from socket import socket

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import sending, tasks
from accounts.models import OutgoingMail
from tests.factories import NOW, UserFactory
from tests.test_outbox import owe

pytestmark = pytest.mark.django_db


@pytest.fixture
def silent_server(settings: Settings) -> Iterator[socket]:
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = listening.getsockname()
        settings.EMAIL_TIMEOUT = 0.1
        yield listening


def test_no_page_asks_it(silent_server: socket, client: Client) -> None:
    user = UserFactory.create()

    answer = client.post("/auth/password/reset/", {"email": user.email})

    assert answer.status_code == 302
    assert OutgoingMail.objects.get().to == user.email
    with pytest.raises(BlockingIOError):  # nobody has even tried to connect
        silent_server.accept()


@pytest.mark.usefixtures("silent_server")
def test_a_mail_waits_for_its_timeout_and_is_tried_again_later() -> None:
    mail = owe()

    sending.send_next(now=NOW)

    mail.refresh_from_db()
    assert "timed out" in mail.failure
    assert (mail.attempts, mail.claimed_until, mail.due_at) == (1, None, NOW + sending.FIRST_PAUSE)


@pytest.mark.usefixtures("silent_server")
def test_a_run_ends_after_a_while_so_that_other_jobs_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        owe(about=str(number))
    monkeypatch.setattr(tasks, "SENDS_FOR", 0)

    tasks.send_mails()

    assert OutgoingMail.objects.filter(attempts=1).count() == 1
