"""Rotating on the pages: who will break, the proof afterwards, and who still presents the old key."""

from datetime import timedelta
from itertools import product
from string import ascii_lowercase

import pytest
from django.utils import timezone

from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.actions import Action, Outcome
from auditlog.call_rollups import RollUps
from tests.factories import ApiKeyFactory, CallFactory, SuperAdminFactory
from tests.key_pages import DAY, PAGE, PREVIOUS, ROTATE, entries, text_of
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db


def test_before_rotating_the_callers_of_the_last_seven_days_are_listed() -> None:
    key = ApiKeyFactory.create()
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="hubspot3", path="/contacts/17")
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="hubspot3", path="/contacts/18")
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="Zapier", at=timezone.now() - 8 * DAY)

    text = text_of(signed_in(admin_of(key)), ROTATE, key.account)

    assert text.count("GET /contacts/{id}") == 1
    assert "Zapier" not in text
    assert "This account has none now." in text  # connected apps; tests/test_connections.py names some
    assert "Expect downtime" in text


def test_a_busy_callers_many_paths_leave_no_other_caller_without_its_routes() -> None:
    key = ApiKeyFactory.create()
    of_key = {"account_id": key.account_id, "credential_id": key.id}
    pairs = product(ascii_lowercase, repeat=2)
    RollUps().add_rows(CallFactory.build(**of_key, agent="busy", path=f"/tags/{a}{b}") for a, b in pairs)
    CallFactory.create(**of_key, agent="rare", path="/")

    text = text_of(signed_in(admin_of(key)), ROTATE, key.account)

    assert "<code>GET /</code>" in text
    assert "<code>GET /tags/aa</code>" in text
    assert "and 97 more" in text


def test_rotating_replaces_the_key_and_leads_to_the_proof() -> None:
    key = ApiKeyFactory.create()
    client = signed_in(admin_of(key))

    answer = client.post(path(ROTATE, key.account), {"generation": 1})
    text = text_of(client, PREVIOUS, key.account)

    assert answer.headers["Location"] == path(PREVIOUS, key.account)
    assert ApiKey.objects.active().get().generation == 2
    assert "Looked up just now: refused." in text
    assert "0 calls accepted since, 0 refused." in text
    assert "Nobody presents the old key." in text


def test_who_confirms_a_generation_that_is_gone_is_told_who_was_first() -> None:
    key = ApiKeyFactory.create()
    other = SuperAdminFactory.create(account=key.account, user__name="Grace")
    api_keys.rotate_api_key(account=key.account, generation=1, by=other, now=timezone.now())

    answer = signed_in(admin_of(key)).post(path(ROTATE, key.account), {"generation": 1})

    assert answer.status_code == 409
    assert f"rotated away by Grace ({other.user.email}) on" in answer.content.decode()
    assert ApiKey.objects.active().get().generation == 2


def test_who_confirms_after_another_deactivated_is_told_so_and_the_attempt_is_an_entry() -> None:
    key = ApiKeyFactory.create()
    other = SuperAdminFactory.create(account=key.account, user__name="Grace")
    api_keys.deactivate_api_key(account=key.account, generation=1, by=other, now=timezone.now())

    answer = signed_in(admin_of(key)).post(path(ROTATE, key.account), {"generation": 1})

    assert answer.status_code == 409
    assert f"deactivated by Grace ({other.user.email}) on" in answer.content.decode()
    assert entries(Action.API_KEY_ROTATED) == [Outcome.REFUSED]


@pytest.mark.parametrize("generation", ["", "x", "-1", "0", "1e9", "9" * 30])
def test_a_generation_that_is_none_changes_nothing(generation: str) -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(ROTATE, key.account), {"generation": generation})

    assert answer.status_code in {400, 409}
    assert b"does not fit" in answer.content or b"no such API key" in answer.content
    assert ApiKey.objects.active().get() == key


def test_callers_of_the_old_key_are_listed_until_they_are_accepted_with_the_new_one() -> None:
    old = ApiKeyFactory.create(created_at=timezone.now() - DAY)
    rotated_at = timezone.now() - timedelta(hours=1)
    new = api_keys.rotate_api_key(account=old.account, generation=1, by=admin_of(old), now=rotated_at).key
    minutes = timedelta(minutes=1)
    ApiKey.objects.filter(pk=old.pk).update(settled_at=rotated_at + timedelta(seconds=2))
    refused = {"account_id": old.account_id, "credential_id": old.id, "status": 401, "reason": "rotated"}
    accepted = {"account_id": old.account_id, "credential_id": new.id}
    CallFactory.create(**refused, agent="stays", at=rotated_at + 2 * minutes)
    CallFactory.create(**refused, agent="moves", at=rotated_at + 2 * minutes)
    CallFactory.create(**accepted, agent="moves", at=rotated_at + 3 * minutes)
    CallFactory.create(**accepted, agent="falls-back", at=rotated_at + 3 * minutes)
    CallFactory.create(**refused, agent="falls-back", at=rotated_at + 4 * minutes)

    text = text_of(signed_in(admin_of(old)), PREVIOUS, old.account)

    assert "<strong>stays</strong>" in text
    assert "<strong>falls-back</strong>" in text
    assert "<strong>moves</strong>" not in text
    assert "0 calls accepted since, 3 refused." in text


def test_a_call_that_was_accepted_after_the_wait_is_not_hidden() -> None:
    old = ApiKeyFactory.create(created_at=timezone.now() - DAY)
    api_keys.rotate_api_key(
        account=old.account, generation=1, by=admin_of(old), now=timezone.now() - timedelta(hours=1)
    )
    CallFactory.create(account_id=old.account_id, credential_id=old.id)

    text = text_of(signed_in(admin_of(old)), PREVIOUS, old.account)

    assert "1 call was accepted since." in text
    assert "This must not happen." in text


def test_calls_that_were_accepted_while_the_rotation_waited_for_the_lock_prove_nothing_bad() -> None:
    old = ApiKeyFactory.create(created_at=timezone.now() - DAY)
    asked_at = timezone.now() - timedelta(minutes=1)
    CallFactory.create(account_id=old.account_id, credential_id=old.id, at=asked_at + timedelta(seconds=30))
    api_keys.rotate_api_key(account=old.account, generation=1, by=admin_of(old), now=asked_at)

    text = text_of(signed_in(admin_of(old)), PREVIOUS, old.account)

    assert "0 calls accepted since, 0 refused." in text
    assert "1 more was accepted before that" in text


@pytest.mark.settles
def test_where_the_wait_was_cut_short_the_page_waits_before_it_proves_anything() -> None:
    old = ApiKeyFactory.create(created_at=timezone.now() - DAY)
    api_keys.rotate_api_key(account=old.account, generation=1, by=admin_of(old), now=timezone.now())
    ApiKey.objects.filter(pk=old.pk).update(settled_at=None)  # as a process leaves it that dies in the wait
    CallFactory.create(account_id=old.account_id, credential_id=old.id)

    text = text_of(signed_in(admin_of(old)), PREVIOUS, old.account)

    old.refresh_from_db()
    assert old.settled_at is not None
    assert "0 calls accepted since" in text


@pytest.mark.parametrize("name", [PAGE, PREVIOUS])
def test_a_persons_name_is_text_wherever_it_stands(name: str) -> None:
    admin = SuperAdminFactory.create(user__name="<b>O'Brien</b>")
    api_keys.create_api_key(account=admin.account, by=admin, now=timezone.now())
    api_keys.rotate_api_key(account=admin.account, generation=1, by=admin, now=timezone.now())

    text = text_of(signed_in(admin), name, admin.account)

    assert "by &lt;b&gt;O&#x27;Brien&lt;/b&gt;" in text
    assert "<b>O" not in text


def test_the_live_list_is_a_part_of_the_page_of_the_same_address() -> None:
    key = ApiKeyFactory.create()
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())

    answer = signed_in(admin_of(key)).get(path(PREVIOUS, key.account), headers={"HX-Request": "true"})

    assert b"Nobody presents the old key." in answer.content
    assert b"<html" not in answer.content


def test_the_live_list_stays_with_its_key_when_the_next_one_ends_too() -> None:
    key = ApiKeyFactory.create()
    for generation in (1, 2):
        by = admin_of(key)
        api_keys.rotate_api_key(account=key.account, generation=generation, by=by, now=timezone.now())
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="first", status=401, reason="rotated")
    client = signed_in(admin_of(key))

    newest = text_of(client, PREVIOUS, key.account)
    first = client.get(path(PREVIOUS, key.account), {"generation": 1}, headers={"HX-Request": "true"})

    assert f'hx-get="{path(PREVIOUS, key.account)}?generation=2"' in newest
    assert "<strong>first</strong>" not in newest
    assert b"<strong>first</strong>" in first.content


@pytest.mark.parametrize("generation", ["2", "3", "0", "-1", "x", "9" * 30])
def test_of_a_generation_that_has_not_ended_there_is_nothing_to_prove(generation: str) -> None:
    key = ApiKeyFactory.create()
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())

    answer = signed_in(admin_of(key)).get(path(PREVIOUS, key.account), {"generation": generation})

    assert answer.status_code == 404


def test_without_an_earlier_key_there_is_nothing_to_prove() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).get(path(PREVIOUS, key.account))

    assert answer.headers["Location"] == path(PAGE, key.account)
