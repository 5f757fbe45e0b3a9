"""Invitations: bound to an address and an account, used once, within seven days, by leave of whoever sent them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import invitations, operations, sending
from accounts.actors import SHELL
from accounts.models import Invitation, Member, OutgoingMail, User
from accounts.permissions import Role
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import NOW, AccountFactory, InvitationFactory, MemberFactory, SuperAdminFactory, UserFactory

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
GUEST = "guest@acme.example"


def invite(admin: Member, *, email: str = GUEST, role: Role = Role.DEVELOPER, now: datetime = NOW) -> Invitation:
    return invitations.invite(account=admin.account, email=email, role=role, by=admin, now=now)


def test_inviting_writes_an_entry_and_owes_a_mail() -> None:
    admin = SuperAdminFactory.create()

    invitation = invite(admin)

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_email, entry.target_name) == (Action.MEMBER_INVITED, admin.user.email, GUEST)
    assert entry.details == {"role": "developer"}
    assert (invitation.expires_at, OutgoingMail.objects.get().to) == (NOW + 7 * DAY, GUEST)


def test_the_store_holds_no_token() -> None:
    invitation = invite(SuperAdminFactory.create())
    token = invitations.token_of(invitation.issue)

    stored = [str(value) for row in (Invitation, OutgoingMail, AuditEntry) for value in row.objects.values_list()]

    assert len(token) == 43
    assert not any(token in text for text in stored)
    assert invitations.found_by(token) == invitation


def test_the_mail_names_who_invites_to_what_and_carries_the_link() -> None:
    admin = SuperAdminFactory.create(user__name="Ada <b>Lovelace", account__name="Acme & Sons")
    invitation = invite(admin)

    sending.send_next(now=NOW)

    message = mailbox.outbox[0]
    assert isinstance(message, EmailMultiAlternatives)
    html = str(message.alternatives[0][0])
    link = invitations.link_of(invitation)
    assert message.to == [GUEST]
    assert message.subject == "You are invited to Acme & Sons"
    assert f"Ada <b>Lovelace ({admin.user.email}) invites you to Acme & Sons" in message.body
    assert f"\n{link}\n" in message.body
    assert f'href="{link}"' in html
    assert "Ada &lt;b&gt;Lovelace" in html
    assert "May 11, 2026, 9:30 AM UTC" in message.body


def test_an_invitation_that_was_withdrawn_before_its_mail_left_sends_none() -> None:
    admin = SuperAdminFactory.create()
    invitations.withdraw(invitation=invite(admin), by=admin, now=NOW)

    sending.send_next(now=NOW)

    assert not mailbox.outbox
    assert AuditEntry.objects.filter(action=Action.MEMBER_INVITATION_WITHDRAWN).count() == 1


def test_a_person_who_is_known_accepts_and_is_in() -> None:
    admin = SuperAdminFactory.create()
    user = UserFactory.create(email="Guest@acme.example")

    member = invitations.accept(invitation=invite(admin), user=user, now=NOW)

    entry = AuditEntry.objects.get(action=Action.MEMBER_JOINED)
    assert (member.account, member.role, member.is_active) == (admin.account, Role.DEVELOPER, True)
    assert (entry.actor_email, entry.details["invited_by"]) == (user.email, admin.user.email)


def test_a_new_person_chooses_a_password_and_has_shown_that_the_address_is_theirs() -> None:
    invitation = invite(SuperAdminFactory.create())

    member = invitations.accept_as_new_person(invitation=invitation, name="Guest", password="long enough", now=NOW)

    assert member.user.check_password("long enough")
    assert (member.user.email, str(member)) == (GUEST, "Guest")
    assert EmailAddress.objects.get(user=member.user, email=GUEST).verified


def test_an_invitation_works_once() -> None:
    admin = SuperAdminFactory.create()
    user = UserFactory.create(email=GUEST)
    invitation = invite(admin)
    member = invitations.accept(invitation=invitation, user=user, now=NOW)
    operations.remove(member=member, by=admin, now=NOW)

    with pytest.raises(invitations.VoidError, match="accepted already"):
        invitations.accept(invitation=invitation, user=user, now=NOW)

    assert not Member.objects.active().filter(user=user).exists()


@pytest.mark.parametrize(("age", "works"), [(7 * DAY - timedelta(seconds=1), True), (7 * DAY, False)])
def test_an_invitation_works_for_seven_days(age: timedelta, works: bool) -> None:  # noqa: FBT001 -- pytest passes it
    invitation = invite(SuperAdminFactory.create())

    assert (invitations.why_void(invitation, now=NOW + age) == "") == works


def test_an_invitation_is_bound_to_its_address() -> None:
    invitation = invite(SuperAdminFactory.create())

    with pytest.raises(invitations.NotForYouError):
        invitations.accept(invitation=invitation, user=UserFactory.create(), now=NOW)

    assert not AuditEntry.objects.filter(action=Action.MEMBER_JOINED).exists()


@pytest.mark.parametrize("how", ["demoted", "removed", "barred"])
def test_an_invitation_ends_with_the_right_of_who_sent_it(how: str) -> None:
    admin = SuperAdminFactory.create(joined_at=NOW)
    SuperAdminFactory.create(account=admin.account)
    invitation = invite(admin, role=Role.SUPER_ADMIN)
    if how == "demoted":
        operations.change_role(member=admin, role=Role.AUDITOR, by=SHELL, now=NOW)
    elif how == "removed":
        operations.remove(member=admin, by=SHELL, now=NOW)
    else:
        User.objects.filter(pk=admin.user.pk).update(is_active=False)

    with pytest.raises(invitations.VoidError, match="may not invite"):
        invitations.accept_as_new_person(invitation=invitation, name="Guest", password="long enough", now=NOW)

    assert not User.objects.filter(email=GUEST).exists()


def test_another_super_admin_takes_over_by_sending_again() -> None:
    admin = SuperAdminFactory.create(joined_at=NOW)
    other = SuperAdminFactory.create(account=admin.account)
    invitation = invite(admin)
    operations.leave(member=admin, now=NOW)

    invitations.send_again(invitation=invitation, by=other, now=NOW + DAY)

    invitation.refresh_from_db()
    assert invitation.invited_by == other
    assert invitations.why_void(invitation, now=NOW + 8 * DAY - timedelta(seconds=1)) == ""


def test_sending_again_ends_the_old_link() -> None:
    admin = SuperAdminFactory.create()
    invitation = invite(admin)
    old = invitations.token_of(invitation.issue)

    invitations.send_again(invitation=invitation, by=admin, now=NOW + DAY)

    invitation.refresh_from_db()
    assert invitations.found_by(old) is None
    assert invitations.found_by(invitations.token_of(invitation.issue)) == invitation
    while sending.send_next(now=NOW + DAY):
        pass
    assert len(mailbox.outbox) == 1  # the first mail's link works no longer, so that mail is not sent


def test_nobody_is_flooded_by_sending_again() -> None:
    admin = SuperAdminFactory.create()
    invitation = invite(admin)

    with pytest.raises(invitations.TooManyError):
        invitations.send_again(invitation=invitation, by=admin, now=NOW + timedelta(seconds=59))


def test_nobody_is_flooded_by_withdrawing_and_inviting_anew() -> None:
    admin = SuperAdminFactory.create()
    invitations.withdraw(invitation=invite(admin), by=admin, now=NOW)

    with pytest.raises(invitations.TooManyError):
        invite(admin, now=NOW + timedelta(seconds=59))
    invite(admin, now=NOW + timedelta(seconds=60))

    assert OutgoingMail.objects.count() == 2


def test_an_account_has_at_most_a_hundred_open_invitations() -> None:
    admin = SuperAdminFactory.create()
    InvitationFactory.create_batch(100, account=admin.account, invited_by=admin)

    with pytest.raises(invitations.TooManyError):
        invite(admin)


def test_a_member_is_not_invited() -> None:
    admin = SuperAdminFactory.create()
    MemberFactory.create(account=admin.account, user__email="Guest@acme.example")

    with pytest.raises(operations.AlreadyMemberError):
        invite(admin)

    assert not OutgoingMail.objects.exists()


def test_an_address_is_invited_once_at_a_time_whatever_its_case() -> None:
    admin = SuperAdminFactory.create()
    invite(admin)

    with pytest.raises(invitations.AlreadyInvitedError):
        invite(admin, email="GUEST@acme.example")


def test_an_expired_invitation_gives_way_to_a_new_one() -> None:
    admin = SuperAdminFactory.create()
    old = invite(admin)

    new = invitations.invite(account=admin.account, email=GUEST, role=Role.MEMBER, by=admin, now=NOW + 7 * DAY)

    old.refresh_from_db()
    assert old.withdrawn_at == NOW + 7 * DAY
    assert list(admin.account.invitations.open()) == [new]


def test_who_is_invited_is_looked_up_by_what_an_index_serves() -> None:
    """Else each invitation reads all people, and each choice of an account all invitations."""
    person = UserFactory.create(email=GUEST)
    with CaptureQueriesContext(connection) as asked:
        invitation = invite(SuperAdminFactory.create(), email="Guest@acme.example")
        offered = invitations.offered_to(person, now=NOW)
        Client().get(invitations.path_of(invitation))

    assert [one for one, _path in offered] == [invitation]
    assert not [query["sql"] for query in asked if "UPPER(" in query["sql"] or " LIKE " in query["sql"]]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # of a table this small it reads all
    assert "invitation_open_to" in Invitation.objects.open().to(GUEST).explain()


def test_another_account_may_invite_the_same_address() -> None:
    invite(SuperAdminFactory.create())
    invite(SuperAdminFactory.create())

    assert Invitation.objects.open().count() == 2


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.AUDITOR, Role.MEMBER])
def test_only_super_admins_invite(role: Role) -> None:
    member = MemberFactory.create(role=role)

    with pytest.raises(operations.NotAllowedError):
        invite(member, role=role)

    assert not Invitation.objects.exists()


def test_attempts_that_fail_are_entries_and_change_nothing() -> None:
    admin = SuperAdminFactory.create()
    developer = MemberFactory.create(account=admin.account, role=Role.DEVELOPER)
    invitation = invite(admin)

    for attempt in (
        lambda: invite(developer, email="other@acme.example", role=Role.MEMBER),
        lambda: invitations.send_again(invitation=invitation, by=developer, now=NOW + DAY),
        lambda: invitations.withdraw(invitation=invitation, by=developer, now=NOW + DAY),
        lambda: invite(admin),
    ):
        with pytest.raises(operations.PeopleError):
            attempt()

    refused = AuditEntry.objects.filter(outcome=Outcome.REFUSED, account_id=admin.account_id).order_by("id")
    assert list(refused.values_list("action", "actor_email", "target_name")) == [
        (Action.MEMBER_INVITED, developer.user.email, "other@acme.example"),
        (Action.MEMBER_INVITATION_RESENT, developer.user.email, GUEST),
        (Action.MEMBER_INVITATION_WITHDRAWN, developer.user.email, GUEST),
        (Action.MEMBER_INVITED, admin.user.email, GUEST),
    ]
    assert list(Invitation.objects.open()) == [invitation]


def test_who_joined_otherwise_meanwhile_is_told_so() -> None:
    member = MemberFactory.create(user__email=GUEST)
    invitation = InvitationFactory.create(account=member.account, email=GUEST)

    with pytest.raises(operations.AlreadyMemberError):
        invitations.accept(invitation=invitation, user=member.user, now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_who_accept_at_once_one_is_let_in() -> None:
    invitation = InvitationFactory.create()

    def accept(number: int) -> bool:
        try:
            invitations.accept_as_new_person(
                invitation=invitation, name=f"Guest {number}", password="long enough", now=timezone.now()
            )
        except operations.PeopleError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(16) as pool:
        let_in = list(pool.map(accept, range(16)))

    assert sum(let_in) == 1
    assert User.objects.filter(email=invitation.email).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_who_invite_the_same_address_at_once_one_succeeds() -> None:
    admins = SuperAdminFactory.create_batch(16, account=AccountFactory.create())

    def try_to(admin: Member) -> bool:
        try:
            invite(admin)
        except operations.PeopleError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(try_to, admins))

    assert (sum(done), OutgoingMail.objects.count()) == (1, 1)
