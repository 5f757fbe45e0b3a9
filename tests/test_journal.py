"""The audit log is written with the change or not at all."""

import pytest
from django.db import transaction

from auditlog import journal, origin
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import NOW, SuperAdminFactory


@pytest.mark.django_db(transaction=True)
def test_an_entry_outside_a_transaction_is_a_mistake() -> None:
    admin = SuperAdminFactory.create()

    with pytest.raises(RuntimeError, match="share the transaction"):
        journal.record(Action.API_KEY_VIEWED, of=admin.account, by=admin, at=NOW)


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_rolled_back_takes_its_entry_along() -> None:
    admin = SuperAdminFactory.create()

    with transaction.atomic():
        journal.record(Action.API_KEY_VIEWED, of=admin.account, by=admin, at=NOW)
        transaction.set_rollback(True)

    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_an_entry_says_who_when_and_from_where() -> None:
    admin = SuperAdminFactory.create()
    token = origin.current.set(origin.Origin("192.0.2.7", "Firefox", "abc"))

    entry = journal.record_refusal(Action.API_KEY_VIEWED, of=admin.account, by=admin, reason="May not.", at=NOW)
    origin.current.reset(token)

    assert (entry.actor_name, entry.actor_email, entry.actor_id) == (admin.user.name, admin.user.email, admin.user_id)
    assert (entry.address, entry.user_agent, entry.request_id) == ("192.0.2.7", "Firefox", "abc")
    assert (entry.outcome, entry.reason, entry.category, entry.at) == (Outcome.REFUSED, "May not.", "api_key", NOW)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a stranger's header is not believed
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # only its trusted end
        ("127.0.0.1", "198.51.100.1, 127.0.0.2", "198.51.100.1"),
        ("127.0.0.1", "rubbish", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("", "", None),
    ],
)
def test_the_address_is_the_nearest_hop_that_is_not_ours(peer: str, forwarded_for: str, address: str | None) -> None:
    assert origin.client_address(peer, forwarded_for) == address
