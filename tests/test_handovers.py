"""Leaving the rotation to another super admin."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail as mailbox

from accounts import operations
from accounts.actors import SHELL
from accounts.models import Member, Notice, OutgoingMail
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.models import ApiKey, Handover
from apikeys.operations import api_keys, handovers
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.visitors import admin_of

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(
        user__email="ada@acme.example", user__name="Ada", account__name="Acme", account__slug="acme"
    )
    return ApiKeyFactory.create(account=maker.account, created_by=maker)


@pytest.fixture
def grace(key: ApiKey) -> Member:
    return SuperAdminFactory.create(account=key.account, user__email="grace@acme.example", user__name="Grace")


@pytest.fixture
def handover(key: ApiKey, grace: Member) -> Handover:
    return handovers.hand_over(account=key.account, generation=1, to=grace, by=admin_of(key), now=NOW)


def test_the_other_gets_a_mail_and_a_notice_and_the_log_an_entry(key: ApiKey, handover: Handover) -> None:
    send_mails()

    (mail,) = mailbox.outbox
    assert mail.to == ["grace@acme.example"]
    assert mail.subject == "Acme: Ada leaves the rotation of the API key to you"
    assert "http://localhost/accounts/acme/api-key/" in str(mail.body)
    assert Notice.objects.get(kind=Notice.Kind.HANDED_OVER).user.email == "grace@acme.example"
    entry = AuditEntry.objects.get(action=Action.ROTATION_HANDED_OVER)
    assert (entry.actor_email, entry.details["to"]) == ("ada@acme.example", "grace@acme.example")
    assert handovers.of(key) == handover


def test_it_goes_to_another_super_admin_alone(key: ApiKey, grace: Member) -> None:
    developer = MemberFactory.create(account=key.account, role=Role.DEVELOPER)
    stranger = SuperAdminFactory.create()

    for other in (admin_of(key), developer, stranger):
        with pytest.raises(handovers.NotAnotherSuperAdminError):
            handovers.hand_over(account=key.account, generation=1, to=other, by=admin_of(key), now=NOW)


def test_who_has_it_hands_it_on(key: ApiKey, grace: Member, handover: Handover) -> None:
    handovers.hand_over(account=key.account, generation=1, to=admin_of(key), by=grace, now=NOW + HOUR)

    now_with = handovers.of(key)
    assert now_with is not None
    assert now_with.handed_to == admin_of(key)
    assert Handover.objects.filter(ended_at=None).count() == 1


@pytest.mark.parametrize("who", ["ada@acme.example", "grace@acme.example"])
def test_either_ends_it(key: ApiKey, handover: Handover, who: str) -> None:
    handovers.end_handover(account=key.account, by=Member.objects.get(user__email=who), now=NOW)
    send_mails()

    assert handovers.of(key) is None
    assert not Notice.objects.filter(read_at=None).exists()
    assert mailbox.outbox == []  # it was owed, and is not needed any more
    with pytest.raises(handovers.NotHandedOverError):
        handovers.end_handover(account=key.account, by=admin_of(key), now=NOW)


def lose_role(member: Member) -> None:
    operations.change_role(member=member, role=Role.MEMBER, by=SHELL, now=NOW)


def leave(member: Member) -> None:
    operations.leave(member=member, now=NOW)


@pytest.mark.parametrize("who", ["ada@acme.example", "grace@acme.example"])
@pytest.mark.parametrize("go", [lose_role, leave])
def test_it_ends_when_either_leaves_or_loses_the_role_and_does_not_come_back(
    key: ApiKey, handover: Handover, who: str, go: Callable[[Member], None]
) -> None:
    member = Member.objects.get(user__email=who)
    SuperAdminFactory.create(account=key.account)
    go(member)
    at_once = handovers.of(key)

    handovers.close_void(now=NOW + HOUR)
    Member.objects.filter(pk=member.pk).update(role=Role.SUPER_ADMIN, left_at=None)

    assert at_once is None
    assert handovers.of(key) is None
    assert Handover.objects.get().ended_at == NOW + HOUR


def test_it_ends_with_a_rotation(key: ApiKey, handover: Handover) -> None:
    issued = api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=NOW)
    handovers.close_void(now=NOW)

    assert handovers.of(key) is None
    assert handovers.of(issued.key) is None
    assert Handover.objects.get().ended_at == NOW
    assert not Notice.objects.filter(kind=Notice.Kind.HANDED_OVER, read_at=None).exists()


def test_what_is_in_force_is_left_alone(key: ApiKey, handover: Handover) -> None:
    handovers.close_void(now=NOW + HOUR)

    assert handovers.of(key) == handover
    assert OutgoingMail.objects.count() == 1
