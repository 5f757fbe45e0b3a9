"""The process that sends mails is killed at each step (G6): no mail is lost, at most the one in hand goes out twice."""

import subprocess
import sys

import pytest
from django.conf import settings
from django.utils import timezone

from accounts import invitations, sending
from accounts.models import OutgoingMail
from accounts.permissions import Role
from tests.clients import server
from tests.factories import SuperAdminFactory
from tests.mail_server import MailServer, message_ids

pytestmark = pytest.mark.django_db(transaction=True)

SEND = """
import os, signal, sys
import django
django.setup()
from django.core.mail.backends.smtp import EmailBackend
from django.utils import timezone
from accounts import sending

step = sys.argv[1]
send, end = EmailBackend.send_messages, sending._end

def die_if(here):
    if step == here:
        os.kill(os.getpid(), signal.SIGKILL)

def send_and_die(self, messages):
    die_if("before sending")
    sent = send(self, messages)
    die_if("after sending")
    return sent

def end_and_die(mail, **facts):
    end(mail, **facts)
    die_if("after noting")

EmailBackend.send_messages, sending._end = send_and_die, end_and_die
while sending.send_next(now=timezone.now()):
    pass
"""
MAILS = 3


def _owe_mails() -> None:
    admin = SuperAdminFactory.create()
    for number in range(MAILS):
        email = f"guest{number}@acme.example"
        invitations.invite(account=admin.account, email=email, role=Role.MEMBER, by=admin, now=timezone.now())


def _send_in_a_process_that_dies(step: str, mail_server: MailServer) -> int:
    own = {"EMAIL_URL": f"smtp://127.0.0.1:{mail_server.port}", "SITE_ORIGIN": settings.SITE_ORIGIN}
    environment = server.installation(mail_server.port, **own)
    return subprocess.run([sys.executable, "-c", SEND, step], cwd=server.ROOT, env=environment, check=False).returncode


@pytest.mark.parametrize(("step", "twice"), [("before sending", 0), ("after sending", 1), ("after noting", 0)])
def test_what_a_killed_process_had_in_hand_is_sent_by_the_next(step: str, twice: int, mail_server: MailServer) -> None:
    _owe_mails()

    status = _send_in_a_process_that_dies(step, mail_server)
    while sending.send_next(now=timezone.now() + sending.LEASE):
        pass

    ids = message_ids(mail_server)
    assert status == -9
    assert len(set(ids)) == MAILS
    assert len(ids) == MAILS + twice
    assert not OutgoingMail.objects.filter(sent_at__isnull=True).exists()


def test_without_the_lease_the_mail_in_hand_would_be_lost(mail_server: MailServer) -> None:
    """Shows that the test above would find it."""
    _owe_mails()

    _send_in_a_process_that_dies("before sending", mail_server)
    while sending.send_next(now=timezone.now()):  # as if what a dead process had claimed stayed claimed
        pass

    assert len(message_ids(mail_server)) == MAILS - 1
