"""Accounts and their people: who is in, in which role, and what signing in leaves behind."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from accounts import operations
from accounts.actors import SHELL
from accounts.models import Account, Member, User
from accounts.permissions import GRANTS, Permission, Role
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, AccountFactory, MemberFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_a_person_is_a_member_of_an_account_once() -> None:
    member = MemberFactory.create()

    with pytest.raises(IntegrityError):
        MemberFactory.create(account=member.account, user=member.user)


def test_who_left_may_join_again_and_is_active_once() -> None:
    member = MemberFactory.create(joined_at=NOW)
    member.leave(at=NOW)

    again = operations.join(account=member.account, user=member.user, role=Role.AUDITOR, by=SHELL, now=NOW)

    assert list(Member.objects.active()) == [again]


def test_after_the_clock_was_set_back_a_member_can_still_leave() -> None:
    member = MemberFactory.create(joined_at=NOW)

    member.leave(at=NOW - timedelta(minutes=5))

    assert not Member.objects.active().exists()


def test_two_addresses_that_differ_in_case_are_one_person() -> None:
    UserFactory.create(email="ada@acme.example")

    with pytest.raises(IntegrityError):
        UserFactory.create(email="Ada@acme.example")


def test_an_address_is_kept_in_small_letters() -> None:
    user = UserFactory.create(email="Ada@Acme.example")

    assert User.objects.get(pk=user.pk).email == "ada@acme.example"


def test_no_way_around_the_model_keeps_capitals_in_an_address() -> None:
    user = UserFactory.create()

    with pytest.raises(IntegrityError):
        User.objects.filter(pk=user.pk).update(email="Ada@Acme.example")


def test_names_are_kept_composed_and_without_margins() -> None:
    user = UserFactory.create(name=" Zoe\u0308 ")
    account = AccountFactory.create(name="Cafe\u0301")

    assert (user.name, account.name) == ("Zo\u00eb", "Caf\u00e9")


def test_every_role_is_in_the_table_and_only_super_admins_manage_the_key() -> None:
    assert set(GRANTS) == set(Role)
    assert [role for role in Role if Permission.MANAGE_API_KEY in GRANTS[role]] == [Role.SUPER_ADMIN]


def test_every_permission_says_in_words_of_its_own_what_it_allows() -> None:
    assert not [each for each in Permission if str(each.label) == each.name.replace("_", " ").title()]


def test_an_account_in_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not a time zone"):
        operations.create_account(
            name="Acme", slug="acme", super_admin=UserFactory.create(), time_zone="Mars/Base", by=SHELL, now=NOW
        )

    assert not Account.objects.exists()


def test_the_public_number_has_ten_digits_and_is_the_accounts_own() -> None:
    first, second = AccountFactory.create(), AccountFactory.create()

    assert first.number != second.number
    assert len(str(first.number)) == len(str(second.number)) == 10


def test_a_sign_in_enters_the_log_of_each_account_of_the_person() -> None:
    one = MemberFactory.create()
    other = MemberFactory.create(user=one.user)
    MemberFactory.create(user=one.user, joined_at=NOW).leave(at=NOW)

    operations.note(Action.SIGN_IN_SUCCEEDED, user=one.user, now=NOW)

    entries = AuditEntry.objects.filter(action=Action.SIGN_IN_SUCCEEDED)
    assert set(entries.values_list("account_id", flat=True)) == {one.account_id, other.account_id}


@pytest.mark.parametrize("limit", ["burst_limit", "daily_limit"])
def test_no_account_has_a_limit_of_nothing_not_even_by_sql(limit: str) -> None:
    """Who may make no call is suspended: the answer says so, and no counter is asked."""
    account = AccountFactory.create()

    with pytest.raises(IntegrityError):
        Account.objects.filter(pk=account.pk).update(**{limit: 0})
