"""The pages about members and invitations, and what a change does to pages that are open already."""

import pytest
from django.core import mail as mailbox
from django.test import Client
from django.utils import timezone

from accounts import invitations, operations
from accounts.models import Invitation, OutgoingMail, User
from accounts.permissions import Role
from apikeys.models import ApiKey
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, ApiKeyFactory, InvitationFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.test_addresses import REFUSED
from tests.visitors import admin_of, path, signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db


def link(invitation: Invitation) -> str:
    return f"/invitations/{invitations.token_of(invitation.issue)}/"


def test_a_super_admin_changes_a_role_on_the_page() -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account)

    answer = signed_in(admin).post(
        path("accounts:members-role", admin.account, member.pk), {"role": "auditor"}, follow=True
    )

    member.refresh_from_db()
    assert member.role == Role.AUDITOR
    assert f"{member} now has the role: Auditor." in answer.content.decode()


@pytest.mark.parametrize("role", ["", "owner", "SUPER_ADMIN", "super_admin\0"])
def test_a_role_that_is_none_changes_nothing(role: str) -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account)

    answer = signed_in(admin).post(path("accounts:members-role", admin.account, member.pk), {"role": role})

    member.refresh_from_db()
    assert (answer.status_code, member.role) == (400, Role.MEMBER)


def test_the_only_super_admin_is_told_why_they_stay() -> None:
    admin = SuperAdminFactory.create()
    client = signed_in(admin)

    demoted = client.post(path("accounts:members-role", admin.account, admin.pk), {"role": "member"})
    left = client.post(path("accounts:members-leave", admin.account))

    for answer in (demoted, left):
        assert answer.status_code == 409
        assert b"is the only super admin of this account" in answer.content
    assert list(admin.account.super_admins()) == [admin]


def test_removing_asks_first_and_closes_the_account_to_open_sessions() -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account)
    theirs = signed_in(member)
    page = path("accounts:members-remove", admin.account, member.pk)

    asked = signed_in(admin).get(page)
    before = theirs.get(path("accounts:members", admin.account)).status_code
    signed_in(admin).post(page)

    assert f"Remove {member}?" in asked.content.decode()
    assert (before, theirs.get(path("accounts:members", admin.account)).status_code) == (200, 404)


def test_a_demoted_super_admin_can_do_nothing_any_more_with_the_session_that_is_open() -> None:
    key = ApiKeyFactory.create()
    admin = admin_of(key)
    SuperAdminFactory.create(account=key.account)
    client = signed_in(admin)
    operations.change_role(
        member=admin, role=Role.MEMBER, by=SuperAdminFactory.create(account=key.account), now=timezone.now()
    )

    posted = {
        "apikeys:api-key-show": {},
        "apikeys:api-key-rotate": {"generation": 1},
        "apikeys:api-key-deactivate": {"generation": 1, "confirmation": key.account.name},
        "accounts:members-invite": {"email": "guest@acme.example", "role": "super_admin"},
    }
    statuses = {name: client.post(path(name, key.account), data).status_code for name, data in posted.items()}
    own_role = client.post(path("accounts:members-role", key.account, admin.pk), {"role": "super_admin"})

    assert set(statuses.values()) == {403}
    assert own_role.status_code == 403
    assert ApiKey.objects.active().get() == key
    assert not Invitation.objects.exists()


def test_a_member_leaves_and_finds_the_account_closed() -> None:
    member = MemberFactory.create()
    client = signed_in(member)

    answer = client.post(path("accounts:members-leave", member.account), follow=True)

    assert f"You have left {member.account}." in answer.content.decode()
    assert client.get(path("accounts:members", member.account)).status_code == 404


def test_removing_oneself_is_leaving() -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).post(path("accounts:members-remove", admin.account, admin.pk))

    assert answer.headers["Location"] == path("accounts:members-leave", admin.account)
    assert list(admin.account.members.active()) == [admin]


@pytest.mark.parametrize("name", ["accounts:members-role", "accounts:members-remove"])
def test_members_of_other_accounts_and_those_who_left_are_not_found(name: str) -> None:
    admin = SuperAdminFactory.create()
    stranger = MemberFactory.create()
    gone = MemberFactory.create(account=admin.account)
    gone.leave(at=timezone.now())
    client = signed_in(admin)

    assert [client.get(path(name, admin.account, one.pk)).status_code for one in (stranger, gone)] == [404, 404]


@pytest.mark.parametrize("action", ["send-again", "withdraw"])
def test_another_accounts_invitation_is_not_found(action: str) -> None:
    admin = SuperAdminFactory.create()
    foreign = InvitationFactory.create()

    answer = signed_in(admin).post(path(f"accounts:invitation-{action}", admin.account, foreign.pk))

    assert answer.status_code == 404


def test_who_has_not_just_proved_who_they_are_is_asked_to_before_changing_people() -> None:
    admin = SuperAdminFactory.create()
    client = signed_in_a_while_ago(admin)
    page = path("accounts:members-invite", admin.account)

    answer = client.post(page, {"email": "guest@acme.example", "role": "super_admin"})

    assert answer.headers["Location"].startswith("/auth/reauthenticate/?next=")
    assert not Invitation.objects.exists()


def test_an_invitation_is_sent_from_the_page_and_waits_on_the_list() -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).post(
        path("accounts:members-invite", admin.account),
        {"email": "guest@\u0430cme.example", "role": "developer"},
        follow=True,
    )

    assert "An invitation is on its way to guest@xn--cme-5cd.example." in answer.content.decode()
    assert OutgoingMail.objects.get().to == "guest@xn--cme-5cd.example"
    assert not mailbox.outbox  # the page does not wait for a mail server


def test_whom_others_have_invited_is_not_everybodys_business() -> None:
    invitation = InvitationFactory.create()
    member = MemberFactory.create(account=invitation.account, role=Role.AUDITOR)

    text = signed_in(member).get(path("accounts:members", member.account)).content.decode()

    assert invitation.email not in text


@pytest.mark.parametrize("typed", [*REFUSED, "", " "])
def test_a_bad_address_is_explained_and_nothing_is_sent_or_kept(typed: str) -> None:
    admin = SuperAdminFactory.create()
    client = signed_in(admin)
    entries = AuditEntry.objects.count()

    answer = client.post(path("accounts:members-invite", admin.account), {"email": typed, "role": "member"})

    assert answer.status_code == 400
    assert REFUSED.get(typed, "This field is required.") in answer.content.decode()
    assert not Invitation.objects.exists()
    assert not OutgoingMail.objects.exists()
    assert AuditEntry.objects.count() == entries


def test_withdrawing_and_sending_again_from_the_list() -> None:
    admin = SuperAdminFactory.create()
    one, other = InvitationFactory.create_batch(2, account=admin.account)
    client = signed_in(admin)

    sent = client.post(path("accounts:invitation-send-again", one.account, one.pk), follow=True)
    withdrawn = client.post(path("accounts:invitation-withdraw", one.account, other.pk), follow=True)
    again = client.post(path("accounts:invitation-withdraw", one.account, other.pk), follow=True)

    assert f"A new link is on its way to {one.email}." in sent.content.decode()
    assert f"The invitation to {other.email} is withdrawn." in withdrawn.content.decode()
    assert "It was withdrawn already." in again.content.decode()


def test_opening_the_link_changes_nothing(client: Client) -> None:
    inviter = SuperAdminFactory.create()
    invitation = InvitationFactory.create(account=inviter.account, invited_by=inviter)

    answer = client.get(link(invitation))

    invitation.refresh_from_db()
    assert answer.status_code == 200
    assert f"({inviter.user.email}) has invited" in answer.content.decode()  # anybody may choose any name
    assert invitation.accepted_at is None
    assert not User.objects.filter(email=invitation.email).exists()


def test_a_new_person_joins_and_is_signed_in(client: Client) -> None:
    invitation = InvitationFactory.create(role=Role.AUDITOR)

    answer = client.post(link(invitation), {"name": "Guest", "password": PASSWORD}, follow=True)

    assert answer.redirect_chain[-1][0] == path("apikeys:api-key", invitation.account)
    member = invitation.account.members.get(user__email=invitation.email)
    assert (member.role, member.user.name) == (Role.AUDITOR, "Guest")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "Ada\u202egnp"),
        ("name", "Ada\x07"),
        ("name", "\u200d\u200d"),
        ("name", "x" * 101),
        ("name", "😀" * 300),
        ("password", ""),
        ("password", "short"),
        ("password", "password1234"),
    ],
)
def test_a_bad_name_or_password_lets_nobody_in(client: Client, field: str, value: str) -> None:
    invitation = InvitationFactory.create()

    answer = client.post(link(invitation), {"name": "Guest", "password": PASSWORD, field: value})

    invitation.refresh_from_db()
    assert answer.status_code == 400
    assert b"errorlist" in answer.content
    assert invitation.accepted_at is None
    assert not User.objects.filter(email=invitation.email).exists()


def test_a_person_who_is_known_signs_in_first_and_then_joins(client: Client) -> None:
    invitation = InvitationFactory.create()
    user = UserFactory.create(email=invitation.email)
    page = link(invitation)

    asked = client.get(page).content.decode()
    posted = client.post(page, {"name": "Mallory", "password": "mallory's own password"})
    client.post("/auth/login/", {"login": user.email, "password": PASSWORD, "next": page})
    joined = client.post(page, follow=True)

    assert f"/auth/login/?next={page}" in asked
    assert posted.status_code == 200
    assert joined.redirect_chain[-1][0] == path("apikeys:api-key", invitation.account)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_somebody_else_who_is_signed_in_is_not_let_in() -> None:
    invitation = InvitationFactory.create()
    client = signed_in(MemberFactory.create())

    answer = client.post(link(invitation))

    invitation.refresh_from_db()
    assert answer.status_code == 403
    assert b"This invitation is for somebody else" in answer.content
    assert invitation.accepted_at is None


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 3000, "%00", "..", "é"])
def test_a_link_that_was_made_up_is_not_found(client: Client, token: str) -> None:
    assert client.get(f"/invitations/{token}/").status_code == 404


def test_a_withdrawn_invitation_says_what_to_do(client: Client) -> None:
    invitation = InvitationFactory.create()
    invitation.withdraw(at=timezone.now())

    answer = client.post(link(invitation), {"name": "Guest", "password": PASSWORD})

    assert answer.status_code == 410
    assert b"It was withdrawn." in answer.content
    assert b"ask whoever invited you for a new invitation" in answer.content


def test_the_page_of_an_invitation_is_kept_by_no_cache(client: Client) -> None:
    answer = client.get(link(InvitationFactory.create()))

    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["Ada\u202egnp", "Ada\x07", "\u200d"])
def test_a_profile_takes_no_name_that_hides_something(name: str) -> None:
    member = MemberFactory.create(user__name="Ada")

    answer = signed_in(member).post("/profile/", {"name": name, "language": "en", "time_zone": "UTC"})

    member.user.refresh_from_db()
    assert b"errorlist" in answer.content
    assert member.user.name == "Ada"


def test_the_switcher_leads_from_one_account_to_the_other() -> None:
    member = MemberFactory.create()
    other = MemberFactory.create(user=member.user)
    client = signed_in(member)

    text = client.get(path("apikeys:api-key", member.account)).content.decode()

    assert f'href="{path("accounts:account", other.account)}"' in text
    assert client.get(path("accounts:account", other.account), follow=True).status_code == 200
