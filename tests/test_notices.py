"""Notices behind the bell: who is told what, once, and that only they read it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import invitations, notices
from accounts.actors import SHELL, By
from accounts.models import Account, Invitation, Member, Notice, User
from accounts.permissions import Role
from apikeys import tasks
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from apikeys.operations.reminders import remind
from auditlog.models import AuditEntry
from tests.factories import NOW, AccountFactory, ApiKeyFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
NOTICES, READ_ALL = reverse("notices"), reverse("notices-read")


def _told(kind: Notice.Kind) -> set[User]:
    return {notice.user for notice in Notice.objects.filter(kind=kind)}


def _text(client: Client, address: str = NOTICES) -> str:
    return " ".join(client.get(address).content.decode().split())


# --- Invitations ----------------------------------------------------------------------------------------------------


def _invite(admin: Member, user: User) -> Invitation:
    return invitations.invite(account=admin.account, email=user.email, role=Role.MEMBER, by=admin, now=timezone.now())


def test_who_is_invited_and_signs_in_already_is_told_behind_the_bell_too() -> None:
    admin = SuperAdminFactory.create(user__name="Ada", account__name="Acme & Sons")
    guest = MemberFactory.create()
    invitation = _invite(admin, guest.user)
    client = signed_in(guest)

    page = _text(client)

    assert "Ada invites you to Acme &amp; Sons. Look at the invitation." in page
    assert f'href="{invitations.path_of(invitation)}"' in page
    assert client.get(invitations.path_of(invitation)).status_code == 200


def test_the_store_holds_no_token_of_an_invitation_that_is_told() -> None:
    guest = UserFactory.create()
    invitation = _invite(SuperAdminFactory.create(), guest)

    stored = str(Notice.objects.values_list())

    assert invitations.token_of(invitation.issue) not in stored


def test_an_invitation_that_is_sent_again_is_told_once_and_leads_to_the_new_link() -> None:
    admin, guest = SuperAdminFactory.create(), MemberFactory.create()
    invitation = _invite(admin, guest.user)
    invitations.send_again(invitation=invitation, by=admin, now=timezone.now() + DAY)
    invitation.refresh_from_db()

    assert Notice.objects.filter(user=guest.user).count() == 1
    assert f'href="{invitations.path_of(invitation)}"' in _text(signed_in(guest))


@pytest.mark.parametrize("end", ["accept", "withdraw"])
def test_once_an_invitation_has_ended_nobody_need_read_of_it(end: str) -> None:
    admin, guest = SuperAdminFactory.create(), UserFactory.create()
    invitation = _invite(admin, guest)

    if end == "accept":
        invitations.accept(invitation=invitation, user=guest, now=timezone.now())
    else:
        invitations.withdraw(invitation=invitation, by=admin, now=timezone.now())

    assert not Notice.objects.unread().filter(user=guest).exists()


def test_a_stranger_who_is_invited_has_no_bell_to_be_told_behind() -> None:
    admin = SuperAdminFactory.create()

    invitations.invite(account=admin.account, email="new@acme.example", role=Role.MEMBER, by=admin, now=NOW)

    assert not Notice.objects.exists()


# --- What happened to the key ---------------------------------------------------------------------------------------


def _create(account: Account, by: By) -> None:
    api_keys.create_api_key(account=account, by=by, now=NOW + DAY)


def _rotate(account: Account, by: By) -> None:
    api_keys.rotate_api_key(account=account, generation=1, by=by, now=NOW + DAY)


def _deactivate(account: Account, by: By) -> None:
    api_keys.deactivate_api_key(account=account, generation=1, by=by, now=NOW + DAY)


def test_the_other_super_admins_are_told_that_a_key_was_created() -> None:
    admin = SuperAdminFactory.create()
    other = SuperAdminFactory.create(account=admin.account)
    MemberFactory.create(account=admin.account, role=Role.AUDITOR)
    SuperAdminFactory.create()

    _create(admin.account, admin)

    assert _told(Notice.Kind.KEY_CREATED) == {other.user}


@pytest.mark.parametrize(
    ("change", "kind"), [(_rotate, Notice.Kind.KEY_ROTATED), (_deactivate, Notice.Kind.KEY_DEACTIVATED)]
)
def test_super_admins_and_who_made_the_key_are_told_of_its_end(
    change: Callable[[Account, By], None], kind: Notice.Kind
) -> None:
    key = ApiKeyFactory.create()
    maker = admin_of(key)
    maker.role = Role.DEVELOPER
    maker.save()
    other, admin = SuperAdminFactory.create_batch(2, account=key.account)

    change(key.account, admin)

    assert _told(kind) == {maker.user, other.user}


def test_what_the_shell_did_is_told_to_every_super_admin() -> None:
    key = ApiKeyFactory.create()

    _rotate(key.account, SHELL)

    notice = Notice.objects.get()
    assert notice.user == admin_of(key).user
    assert notices.sentence(notice).startswith("operator (shell) rotated the API key.")


def test_who_left_is_told_nothing() -> None:
    key = ApiKeyFactory.create()
    admin_of(key).leave(at=timezone.now())

    _rotate(key.account, SHELL)

    assert not Notice.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_notice_outside_the_transaction_of_what_it_tells_is_a_mistake() -> None:
    account = AccountFactory.create()

    with pytest.raises(RuntimeError, match="share the transaction"):
        notices.tell([], kind=Notice.Kind.KEY_OLD, event="x", account=account, now=NOW)


# --- The key is old -------------------------------------------------------------------------------------------------


def test_from_180_days_super_admins_and_who_made_the_key_are_told() -> None:
    key = ApiKeyFactory.create()
    maker = admin_of(key)
    maker.role = Role.MEMBER
    maker.save()
    admin = SuperAdminFactory.create(account=key.account)
    MemberFactory.create(account=key.account)

    remind(now=NOW + 180 * DAY - timedelta(seconds=1))
    before = _told(Notice.Kind.KEY_OLD)
    remind(now=NOW + 180 * DAY)

    assert before == set()
    assert _told(Notice.Kind.KEY_OLD) == {maker.user, admin.user}


def test_an_old_key_is_told_of_once_in_180_days_however_often_the_job_runs() -> None:
    key = ApiKeyFactory.create()

    for days in (180, 181, 359, 360, 361):
        remind(now=NOW + days * DAY)

    told = Notice.objects.filter(user=admin_of(key).user).order_by("at")
    assert [notice.facts["days"] for notice in told] == [180, 360]


def test_who_becomes_a_super_admin_later_is_told_too() -> None:
    key = ApiKeyFactory.create()
    remind(now=NOW + 180 * DAY)
    later = SuperAdminFactory.create(account=key.account)

    remind(now=NOW + 181 * DAY)

    assert _told(Notice.Kind.KEY_OLD) == {admin_of(key).user, later.user}


@pytest.mark.parametrize("change", [_rotate, _deactivate])
def test_once_the_key_is_gone_nobody_need_read_that_it_is_old(change: Callable[[Account, By], None]) -> None:
    key = ApiKeyFactory.create()
    remind(now=NOW + 180 * DAY)

    change(key.account, admin_of(key))
    remind(now=NOW + 180 * DAY)

    assert not Notice.objects.unread().exists()
    assert Notice.objects.filter(kind=Notice.Kind.KEY_OLD).count() == 1


@pytest.mark.parametrize("state", ["suspended", "closed"])
def test_where_every_call_is_refused_no_key_is_called_old(state: str) -> None:
    ApiKeyFactory.create(account__state=state)

    remind(now=NOW + 180 * DAY)

    assert not Notice.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_jobs_at_once_tell_once() -> None:
    ApiKeyFactory.create_batch(3)

    def run(_: int) -> None:
        try:
            remind(now=NOW + 180 * DAY)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, range(6)))

    assert Notice.objects.count() == 3


def test_the_clock_finds_the_job() -> None:
    ApiKeyFactory.create(created_at=timezone.now() - 180 * DAY)

    tasks.remind(from_a_newer_release=1)

    assert Notice.objects.get().kind == Notice.Kind.KEY_OLD


# --- The bell and its page ------------------------------------------------------------------------------------------


@pytest.fixture
def old_key() -> ApiKey:
    """Its one super admin has been told."""
    key = ApiKeyFactory.create()
    remind(now=NOW + 180 * DAY)
    return key


def test_the_bell_counts_what_is_unread(old_key: ApiKey) -> None:
    client = signed_in(admin_of(old_key))
    page = path("accounts:members", old_key.account)

    before = _text(client, page)
    client.post(READ_ALL)

    assert "Notices: 1 unread" in before
    assert "Notices: 0 unread" in _text(client, page)


def test_the_bell_costs_one_query(old_key: ApiKey, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        assert Notice.objects.unread().visible_to(admin_of(old_key).user).count() == 1


def test_a_notice_says_what_happened_and_leads_to_the_page_without_being_read(old_key: ApiKey) -> None:
    client = signed_in(admin_of(old_key))

    text = _text(client)

    assert f"The API key (…{old_key.last4}) has not been rotated for 180 days." in text
    assert f'href="{path("apikeys:api-key", old_key.account)}"' in text
    assert Notice.objects.unread().count() == 1


def test_one_notice_is_marked_read_and_stays_in_the_list(old_key: ApiKey) -> None:
    client = signed_in(admin_of(old_key))

    answer = client.post(reverse("notice-read", args=[Notice.objects.get().pk]), follow=True)

    assert not Notice.objects.unread().exists()
    assert f"…{old_key.last4}" in answer.content.decode()


def test_nobody_marks_a_notice_of_somebody_else(old_key: ApiKey) -> None:
    other = signed_in(SuperAdminFactory.create(account=old_key.account))

    other.post(reverse("notice-read", args=[Notice.objects.get().pk]))
    other.post(READ_ALL)

    assert Notice.objects.unread().count() == 1


def test_nobody_reads_a_notice_of_somebody_else(old_key: ApiKey) -> None:
    text = _text(signed_in(SuperAdminFactory.create(account=old_key.account)))

    assert old_key.last4 not in text
    assert "Nothing to tell" in text


def test_who_left_the_account_reads_its_notices_no_more(old_key: ApiKey) -> None:
    member = admin_of(old_key)
    client = signed_in(member)
    member.leave(at=timezone.now())

    text = _text(client)

    assert old_key.last4 not in text
    assert "Notices: 0 unread" in text


def test_a_name_with_hidden_characters_is_spelled_out() -> None:
    key = ApiKeyFactory.create()
    mallory = SuperAdminFactory.create(account=key.account, user__name="Mal\u202elory<script>")
    _rotate(key.account, mallory)

    text = _text(signed_in(admin_of(key)))

    assert "Mal\\u{202E}lory&lt;script&gt; rotated the API key." in text
    assert "\u202e" not in text


@pytest.mark.parametrize("address", [NOTICES, READ_ALL, "/notices/1/read/"])
def test_signed_out_there_is_nothing_to_read(address: str, client: Client) -> None:
    answer = client.get(address) if address == NOTICES else client.post(address)

    assert answer.headers["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("address", [READ_ALL, "/notices/1/read/"])
def test_opening_an_address_marks_nothing(old_key: ApiKey, address: str) -> None:
    assert signed_in(admin_of(old_key)).get(address).status_code == 405


def test_reading_is_no_entry_of_the_audit_log(old_key: ApiKey) -> None:
    client = signed_in(admin_of(old_key))
    before = AuditEntry.objects.count()

    client.post(READ_ALL)

    assert AuditEntry.objects.count() == before
