"""Revisions become visible in order, each in the transaction of its change (G1)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts import operations, revisions
from accounts.actors import SHELL
from accounts.models import Change
from tests.factories import NOW, AccountFactory


@pytest.mark.django_db(transaction=True)
def test_a_revision_outside_a_transaction_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="share the transaction"):
        revisions.take(account=None, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_parallel_changes_are_numbered_without_gap_or_double() -> None:
    def change(_: int) -> int:
        try:
            with transaction.atomic():
                return revisions.take(account=None, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        numbers = sorted(pool.map(change, range(40)))

    assert numbers == list(range(numbers[0], numbers[0] + 40))
    assert len(set(Change.objects.values_list("mark", flat=True))) == 40


@pytest.mark.django_db
def test_a_change_of_plan_takes_a_revision() -> None:
    account = AccountFactory.create()

    operations.change_plan(account=account, burst_limit=190, daily_limit=625_000, by=SHELL, now=NOW)

    account.refresh_from_db()
    assert (account.burst_limit, account.daily_limit) == (190, 625_000)
    assert Change.objects.get().account_id == account.pk
