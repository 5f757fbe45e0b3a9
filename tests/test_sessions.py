"""Signing in and out: attempts are limited without telling who is known here, and sessions can be ended from afar."""

from urllib.parse import urlsplit

import pytest
from django.test import Client

from accounts import proofs_by_mail
from accounts.models import Member
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, MemberFactory, UserFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

NOBODY = "nobody@acme.example"


def _attempt(email: str, password: str, *, address: str = "198.51.100.7") -> tuple[int, str]:
    answer = Client().post("/auth/login/", {"login": email, "password": password}, REMOTE_ADDR=address)
    errors = answer.context["form"].errors if answer.context and "form" in answer.context else ""
    return answer.status_code, str(errors)


# --- Failed attempts ----------------------------------------------------------------------------------------------
def test_a_wrong_password_and_an_unknown_address_look_the_same() -> None:
    member = MemberFactory.create()

    assert _attempt(member.user.email, "wrong") == _attempt(NOBODY, "wrong")


def test_five_failures_lock_the_address_out_whether_it_is_known_or_not() -> None:
    member = MemberFactory.create()
    addresses = [member.user.email, NOBODY]
    answers = [[_attempt(email, "wrong", address=f"198.51.100.{n}") for n in range(6)] for email in addresses]

    assert answers[0] == answers[1]
    assert "Too many failed login attempts" in answers[0][5][1]
    assert "Too many failed login attempts" not in answers[0][4][1]


def test_locked_out_the_right_password_opens_nothing() -> None:
    member = MemberFactory.create()
    for n in range(5):
        _attempt(member.user.email, "wrong", address=f"198.51.100.{n}")

    assert "Too many failed login attempts" in _attempt(member.user.email, PASSWORD)[1]


def test_a_stranger_elsewhere_keeps_nobody_from_signing_in() -> None:
    member = MemberFactory.create()
    for n in range(9):
        _attempt(member.user.email, "wrong", address=f"203.0.113.{n}")

    assert "Too many failed login attempts" in _attempt(member.user.email, PASSWORD, address="203.0.113.99")[1]
    assert _attempt(member.user.email, PASSWORD)[0] == 302


def test_fifty_failures_from_anywhere_lock_the_address_out_whether_it_is_known_or_not() -> None:
    member = MemberFactory.create()
    addresses = [member.user.email, NOBODY]
    answers = [[_attempt(email, "wrong", address=f"10.{n}.0.1") for n in range(51)] for email in addresses]

    assert answers[0] == answers[1]
    assert "Too many failed login attempts" in answers[0][50][1]
    assert "Too many failed login attempts" not in answers[0][49][1]
    assert "Too many failed login attempts" in _attempt(member.user.email, PASSWORD)[1]


def test_a_new_password_by_a_mailed_link_ends_the_lock() -> None:
    member = MemberFactory.create()
    for n in range(51):
        _attempt(member.user.email, "wrong", address=f"10.{n}.0.1")
    client = Client(REMOTE_ADDR="198.51.100.7")
    form = client.get(urlsplit(proofs_by_mail.new_password_link(member.user)).path).headers["Location"]

    client.post(form, {"password1": "another long horse battery", "password2": "another long horse battery"})

    assert _attempt(member.user.email, "another long horse battery")[0] == 302


def test_ten_failures_from_one_network_address_are_enough() -> None:
    for n in range(10):
        _attempt(f"{n}@acme.example", "wrong")

    member = MemberFactory.create()
    assert "Too many failed login attempts" in _attempt(member.user.email, PASSWORD)[1]
    assert _attempt(member.user.email, PASSWORD, address="203.0.113.8") == (302, "")


def test_somebody_behind_a_proxy_does_not_lock_everybody_else_out() -> None:
    member = MemberFactory.create()
    client = Client(REMOTE_ADDR="127.0.0.1")
    for n in range(11):
        form = {"login": f"{n}@acme.example", "password": "wrong"}
        client.post("/auth/login/", form, headers={"X-Forwarded-For": "203.0.113.66"})

    form = {"login": member.user.email, "password": PASSWORD}
    answer = client.post("/auth/login/", form, headers={"X-Forwarded-For": "203.0.113.7"})

    assert answer.status_code == 302


def test_too_many_requests_get_a_page_of_ours() -> None:
    answers = [Client().post("/auth/login/", {}) for _ in range(31)]

    assert answers[-1].status_code == 429
    assert b"Wait five minutes" in answers[-1].content


def test_a_reset_is_answered_alike_whether_the_address_is_known_or_not() -> None:
    member = MemberFactory.create()

    answers = [Client().post("/auth/password/reset/", {"email": email}) for email in (member.user.email, NOBODY)]

    assert len({(answer.status_code, answer.headers["Location"]) for answer in answers}) == 1


def test_a_failed_sign_in_enters_the_log_of_each_account_of_the_person() -> None:
    one = MemberFactory.create()
    other = MemberFactory.create(user=one.user)

    _attempt(one.user.email.upper(), "wrong")

    entries = AuditEntry.objects.filter(action=Action.SIGN_IN_FAILED)
    assert {entry.account_id for entry in entries} == {one.account_id, other.account_id}
    assert {(entry.outcome, entry.reason, entry.address) for entry in entries} == {
        (Outcome.REFUSED, "Wrong password.", "198.51.100.7")
    }


def test_a_failed_sign_in_of_nobody_known_is_an_entry_that_does_not_keep_what_was_typed() -> None:
    _attempt("my-password@example.com", "wrong")

    entry = AuditEntry.objects.get()
    assert (entry.account_id, entry.actor_name) == (None, "unknown person")
    assert "my-password" not in str(vars(entry))


# --- Sessions -----------------------------------------------------------------------------------------------------
@pytest.fixture
def member() -> Member:
    return MemberFactory.create()


def test_sessions_are_listed_and_the_current_one_is_marked(member: Member) -> None:
    signed_in(member)
    signed_in(MemberFactory.create())

    answer = signed_in(member).get("/auth/sessions/")

    assert len(answer.context["sessions"]) == 2
    assert answer.content.count(b"this one") == 1


def test_signing_out_everywhere_ends_every_other_session_and_is_written_down(member: Member) -> None:
    stolen, other, current = signed_in(member), signed_in(member), signed_in(member)
    stranger = signed_in(MemberFactory.create())
    page = path("apikeys:api-key", member.account)

    answer = current.post("/auth/sessions/", follow=True)

    assert b"Signed out everywhere else." in answer.content
    assert [client.get(page).status_code for client in (stolen, other, current)] == [302, 302, 200]
    assert "_auth_user_id" in stranger.session
    entry = AuditEntry.objects.get(action=Action.SESSIONS_ENDED)
    assert (entry.account_id, entry.details) == (member.account_id, {"sessions": 2})


def test_with_one_session_only_nothing_is_written_down(member: Member) -> None:
    signed_in(member).post("/auth/sessions/")

    assert not AuditEntry.objects.filter(action=Action.SESSIONS_ENDED).exists()


def test_signed_out_nobodys_sessions_are_shown() -> None:
    answer = Client().get("/auth/sessions/")

    assert answer.headers["Location"] == "/auth/login/?next=/auth/sessions/"


def test_an_operator_without_an_account_leaves_entries_too() -> None:
    operator = UserFactory.create(is_staff=True)
    for _ in range(2):
        client = Client()
        client.post("/auth/login/", {"login": operator.email, "password": PASSWORD})

    client.post("/auth/sessions/")

    entry = AuditEntry.objects.get(action=Action.SESSIONS_ENDED)
    assert (entry.account_id, entry.actor_kind, entry.actor_id) == (None, "operator", operator.pk)
