"""Each reminder reaches each person once (G6), whatever dies, however many clocks tick, whatever the calendar says.

A real mail server receives. The short form runs with every test run; `REMINDER_FAULTS=long ./portal test
tests/faults/test_reminders_once.py` has more accounts and deaths, and a Redis broker beside the embedded one.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import redis
import time_machine
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts import operations, role_mailboxes, sending
from accounts.actors import SHELL
from accounts.models import Member, OutgoingMail
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.models import ApiKey
from apikeys.models.api_key import ROTATE_AFTER
from apikeys.operations import api_keys, reminders
from apikeys.tasks import remind
from tests.clients import server
from tests.factories import NOW, ApiKeyFactory, SuperAdminFactory, UserFactory
from tests.mail_server import MailServer, message_ids
from tests.test_redis import REDIS_URL
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

LONG = os.environ.get("REMINDER_FAULTS") == "long"
ACCOUNTS = 40 if LONG else 6
DEATHS = 10 if LONG else 1  # of real workers
BROKERS = ["embedded", "redis"] if LONG else ["embedded"]
SECOND = timedelta(seconds=1)

# --- A process that dies at each step -----------------------------------------------------------------------------
DIE = """
import os, signal, sys
from datetime import datetime
import django
django.setup()
from django.core.mail.backends.smtp import EmailBackend
from django.db import connections
from accounts import outbox, sending
from apikeys.operations import reminders

def dies(module, name, *, after):
    whole = getattr(module, name)
    def dying(*args, **kwargs):
        if after:
            whole(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(module, name, dying)

STEPS = {
    "before the scan commits": lambda: dies(outbox, "add_all", after=False),
    "after the scan": lambda: dies(reminders, "_tell", after=True),
    "with a claim": lambda: dies(sending, "_claim", after=True),
    "before sending": lambda: dies(EmailBackend, "send_messages", after=False),
    "after sending": lambda: dies(EmailBackend, "send_messages", after=True),
    "after noting": lambda: dies(sending, "_end", after=True),
}
now = datetime.fromisoformat(sys.argv[1])
for step in sys.argv[2:]:
    child = os.fork()
    if not child:
        STEPS[step]()
        reminders.remind(now=now)
        while sending.send_next(now=now):
            pass
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
    now += sending.LEASE
"""
SAFE = ["before the scan commits", "after the scan", "with a claim", "before sending", "after noting"]


@pytest.fixture
def keys() -> list[ApiKey]:
    """Old keys with two super admins each, of whom one made it; the first account has a role mailbox, too."""
    made = [ApiKeyFactory.create(created_at=NOW) for _ in range(ACCOUNTS)]
    for key in made:
        SuperAdminFactory.create(account=key.account)
    mailbox = role_mailboxes.name(account=made[0].account, email="team@acme.example", by=SHELL, now=NOW)
    role_mailboxes.confirm(mailbox=mailbox, user=None, now=NOW)
    OutgoingMail.objects.all().delete()
    return made


def everybody() -> set[str]:
    return {member.user.email for member in Member.objects.select_related("user")} | {"team@acme.example"}


def received(mail_server: MailServer) -> Counter[str]:
    """How many mails each address got."""
    return Counter(one.rcpt_tos[0] for one in mail_server.received)


def die(steps: list[str], mail_server: MailServer, *, now: datetime) -> list[str]:
    """How a process ended at each of these steps: -9 is a death."""
    environment = server.installation(
        mail_server.port, EMAIL_URL=f"smtp://127.0.0.1:{mail_server.port}", SITE_ORIGIN=settings.SITE_ORIGIN
    )
    command = [sys.executable, "-c", DIE, now.isoformat(), *steps]
    done = subprocess.run(command, cwd=server.ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


def finish(*, now: datetime) -> None:
    reminders.remind(now=now)
    while sending.send_next(now=now):
        pass


@pytest.mark.usefixtures("keys")
def test_killed_at_every_step_each_mail_arrives_once(mail_server: MailServer) -> None:
    due = NOW + ROTATE_AFTER

    deaths = die(SAFE, mail_server, now=due)
    finish(now=due + timedelta(hours=1))

    assert deaths == ["-9"] * len(SAFE)
    assert received(mail_server) == dict.fromkeys(everybody(), 1)
    ids = [f"<{pk}@localhost>" for pk in OutgoingMail.objects.values_list("pk", flat=True)]
    assert sorted(message_ids(mail_server)) == sorted(ids)


@pytest.mark.usefixtures("keys")
def test_killed_between_the_servers_answer_and_the_note_one_mail_comes_twice_with_one_message_id(
    mail_server: MailServer,
) -> None:
    due = NOW + ROTATE_AFTER

    die(["after sending"], mail_server, now=due)
    finish(now=due + timedelta(hours=1))

    ids = Counter(message_ids(mail_server))
    assert sorted(ids.values(), reverse=True)[:2] == [2, 1]
    assert len(ids) == len(everybody())


# --- Three clocks at once -----------------------------------------------------------------------------------------
def three_times(what: "threading.Barrier") -> None:
    """Scan and send as three woken workers would, at the same moment."""

    def work(_: int) -> None:
        try:
            what.wait()
            remind()
            send_mails()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))


@pytest.mark.usefixtures("keys")
def test_three_clocks_at_once_make_no_second_mail(mail_server: MailServer) -> None:
    ApiKey.objects.update(created_at=timezone.now() - ROTATE_AFTER)

    three_times(threading.Barrier(3))
    three_times(threading.Barrier(3))

    assert received(mail_server) == dict.fromkeys(everybody(), 1)


@pytest.mark.usefixtures("keys")
def test_without_the_claim_the_same_finds_duplicates(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the test above would find them."""
    ApiKey.objects.update(created_at=timezone.now() - ROTATE_AFTER)
    all_look = threading.Barrier(3, timeout=30)
    first_time = threading.local()

    def take_without_claiming(*, now: datetime) -> OutgoingMail | None:
        owed = OutgoingMail.objects.filter(due_at__lte=now, sent_at=None, dropped_at=None).order_by("due_at", "pk")
        mail = owed.first()
        if not hasattr(first_time, "over"):
            first_time.over = True
            all_look.wait()
        return mail

    monkeypatch.setattr(sending, "_claim", take_without_claiming)
    three_times(threading.Barrier(3))

    assert max(received(mail_server).values()) > 1


# --- Several reminders for one person: one mail -------------------------------------------------------------------
ACCOUNT_NAMES = ["Alder", "Birch", "Cedar", "Elm"]


@pytest.fixture
def of_one_person() -> None:
    """Old keys of several accounts that one person looks after; they are due together, and come as one mail."""
    user = UserFactory.create()
    for name in ACCOUNT_NAMES:
        maker = SuperAdminFactory.create(user=user, account__name=name)
        ApiKeyFactory.create(account=maker.account, created_by=maker, created_at=NOW)


def mails_about_each(mail_server: MailServer) -> list[int]:
    """In how many mails each of the accounts stands."""
    parsed = [message_from_bytes(one.original_content or b"", policy=policy.default) for one in mail_server.received]
    texts = [str(body.get_content()) for mail in parsed if (body := mail.get_body(("plain",))) is not None]
    return [sum(name in text for text in texts) for name in ACCOUNT_NAMES]


@pytest.mark.usefixtures("of_one_person")
def test_three_clocks_at_once_tell_one_person_of_each_account_once(mail_server: MailServer) -> None:
    ApiKey.objects.update(created_at=timezone.now() - ROTATE_AFTER)

    three_times(threading.Barrier(3))
    three_times(threading.Barrier(3))

    assert mails_about_each(mail_server) == [1] * len(ACCOUNT_NAMES)


@pytest.mark.usefixtures("of_one_person")
def test_killed_at_every_step_one_person_is_told_of_each_account_once(mail_server: MailServer) -> None:
    due = NOW + ROTATE_AFTER

    die(SAFE[:-1], mail_server, now=due)
    finish(now=due + timedelta(hours=1))

    assert len(mail_server.received) == 1
    assert mails_about_each(mail_server) == [1] * len(ACCOUNT_NAMES)


# --- Real beats, real workers, a broker that is emptied ---------------------------------------------------------------
class Jobs:
    """Three beats and a worker on one broker, as `./portal up` starts them."""

    def __init__(self, broker: str, directory: Path, mail_server: MailServer, *, stack: ExitStack) -> None:
        self.directory, self.stack = directory, stack
        self.redis = redis.Redis.from_url(REDIS_URL, socket_connect_timeout=1) if broker == "redis" else None
        self.environment = server.installation(
            mail_server.port,
            EMAIL_URL=f"smtp://127.0.0.1:{mail_server.port}",
            SITE_ORIGIN=settings.SITE_ORIGIN,
            DATA_DIR=str(directory),
            REDIS_URL=REDIS_URL if broker == "redis" else "",
        )
        for number in range(3):
            self._start("beat", "--schedule", str(directory / f"beat-{number}"))
        self.worker = self._work()

    def _work(self) -> "subprocess.Popen[bytes]":
        return self._start("worker", "--pool", "threads", "--concurrency", "4", "--without-gossip", "--without-mingle")

    def _start(self, *words: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "--app", "tests.impatient", "--quiet", *words]
        process = subprocess.Popen(
            command, cwd=server.ROOT, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def kill_the_worker(self) -> None:
        self.worker.send_signal(signal.SIGKILL)
        self.worker.wait()
        self.worker = self._work()

    def empty_the_broker(self) -> None:
        if self.redis is not None:
            self.redis.delete("celery", "unacked", "unacked_index")
            return
        with closing(sqlite3.connect(self.directory / "jobs.sqlite3", timeout=30)) as file, file:
            file.execute("DELETE FROM kombu_message")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.once("what differs between stores is claimed in the tests above")
@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("broker", BROKERS)
def test_three_beats_workers_that_die_and_an_emptied_broker_lose_and_double_nothing(
    broker: str, mail_server: MailServer, tmp_path: Path, stack: ExitStack
) -> None:
    ApiKey.objects.update(created_at=timezone.now() - ROTATE_AFTER)
    mail_server.slow = 0.1  # seconds a mail, so that deaths find some in hand
    jobs = Jobs(broker, tmp_path, mail_server, stack=stack)

    for death in range(1, DEATHS + 1):
        enough = death * len(everybody()) // (DEATHS + 1)
        until(lambda: len(mail_server.received) >= enough, seconds=120)  # noqa: B023 -- at once
        jobs.kill_the_worker()
        jobs.empty_the_broker()
    until(lambda: OutgoingMail.objects.exists() and not OutgoingMail.objects.filter(sent_at=None).exists(), seconds=120)

    mails = received(mail_server)
    assert set(mails) == everybody()
    # What a worker that died had handed over, in four threads, may have been taken: once more, under the same id.
    assert sum(mails.values()) <= len(everybody()) + DEATHS * 4
    assert len(set(message_ids(mail_server))) == len(everybody())


# --- The calendar -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("made", "zone"),
    [
        (datetime(2026, 9, 1, 6, tzinfo=UTC), "America/New_York"),  # an hour longer: until 28 February
        (datetime(2026, 12, 1, 12, tzinfo=UTC), "Europe/Berlin"),  # an hour shorter
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Berlin"),  # in the hour that comes twice
        (datetime(2027, 9, 2, 5, tzinfo=UTC), "UTC"),  # due on 29 February 2028
        (datetime(2027, 10, 1, tzinfo=UTC), "Pacific/Apia"),  # over it
    ],
)
def test_180_days_are_180_times_24_hours_whatever_the_calendar_says(
    mail_server: MailServer, made: datetime, zone: str
) -> None:
    key = ApiKeyFactory.create(created_at=made, created_by__user__time_zone=zone, account__time_zone=zone)
    counts = []
    for moment in (-SECOND, SECOND, timedelta(days=1), ROTATE_AFTER - SECOND, ROTATE_AFTER + SECOND):
        with time_machine.travel(made + ROTATE_AFTER + moment, tick=False), timezone.override(zone):
            remind()
            send_mails()
        counts.append(len(mail_server.received))

    assert counts == [0, 1, 1, 1, 2]
    assert len(set(message_ids(mail_server))) == 2
    assert received(mail_server) == {key.created_by.user.email: 2}  # type: ignore[union-attr]  # the factory's maker


def test_after_a_year_asleep_the_newest_of_the_missed_cycles_is_told_alone(mail_server: MailServer) -> None:
    ApiKeyFactory.create(created_at=NOW)

    finish(now=NOW + 3 * ROTATE_AFTER)

    assert len(mail_server.received) == 1


@pytest.mark.parametrize("what", ["rotate", "leave", "demote"])
def test_what_changes_a_moment_before_the_sending_is_heeded(mail_server: MailServer, what: str) -> None:
    key = ApiKeyFactory.create(created_at=NOW)
    maker, other = key.created_by, SuperAdminFactory.create(account=key.account)
    assert maker is not None
    due = NOW + ROTATE_AFTER
    reminders.remind(now=due)
    if what == "rotate":
        api_keys.rotate_api_key(account=key.account, generation=None, by=SHELL, now=due)
    elif what == "leave":
        operations.remove(member=maker, by=SHELL, now=due)
    else:
        operations.change_role(member=maker, role=Role.MEMBER, by=SHELL, now=due)

    call_command("send_reminders", now=due)

    reminded = {one.rcpt_tos[0] for one in mail_server.received if b"days old" in (one.original_content or b"")}
    assert reminded == {"rotate": set(), "leave": {other.user.email}}.get(what, {maker.user.email, other.user.email})
