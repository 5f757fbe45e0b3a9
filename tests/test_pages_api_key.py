"""The page of the account API key: what it says, to whom, and how the secret leaves."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account
from accounts.permissions import Role
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import AccountFactory, ApiKeyFactory, CallFactory, MemberFactory, SuperAdminFactory
from tests.visitors import HTML, JSON, admin_of, path, signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
PAGE, SHOW, CREATE = "apikeys:api-key", "apikeys:api-key-show", "apikeys:api-key-create"
ROTATE, DEACTIVATE, PREVIOUS = "apikeys:api-key-rotate", "apikeys:api-key-deactivate", "apikeys:api-key-previous"
NOT_SUPER_ADMIN = [Role.DEVELOPER, Role.AUDITOR, Role.MEMBER]


def _text(client: Client, name: str, account: Account) -> str:
    answer = client.get(path(name, account))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def _entries(action: Action) -> list[str]:
    return list(AuditEntry.objects.filter(action=action).values_list("outcome", flat=True))


# --- What the page says ---------------------------------------------------------------------------------------------


def test_the_page_says_what_the_key_opens_before_it_is_shown_and_holds_no_secret() -> None:
    key = ApiKeyFactory.create()

    text = _text(signed_in(admin_of(key)), PAGE, key.account)

    assert "logged e-mails and other third-party data included" in text
    assert text.index("What this key opens") < text.index("data-secret-show")
    assert key.secret() not in text
    assert f"••••{key.last4}" in text


@pytest.mark.parametrize("role", NOT_SUPER_ADMIN)
def test_other_roles_are_told_why_not_and_whom_to_ask(role: Role) -> None:
    key = ApiKeyFactory.create()
    member = MemberFactory.create(account=key.account, role=role)

    text = _text(signed_in(member), PAGE, key.account)

    assert "Only super admins can show, create, rotate or deactivate the API key." in text
    assert admin_of(key).user.email in text
    assert "data-secret-show" not in text
    assert path(ROTATE, key.account) not in text


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.MEMBER])
def test_the_history_of_the_key_is_for_those_who_may_read_the_audit_log(role: Role) -> None:
    key = ApiKeyFactory.create()
    api_keys.show_api_key(account=key.account, by=admin_of(key), now=timezone.now())

    theirs = _text(signed_in(MemberFactory.create(account=key.account, role=role)), PAGE, key.account)
    auditors = _text(signed_in(MemberFactory.create(account=key.account, role=Role.AUDITOR)), PAGE, key.account)

    assert "viewed the API key" not in theirs
    assert "viewed the API key" in auditors


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (149, None),
        (150, "Plan to rotate this key within"),
        (179, "within 0 days"),
        (180, "180 days old. Rotate it now."),
    ],
)
def test_from_150_days_it_recommends_and_from_180_it_urges(days: int, says: str | None) -> None:
    key = ApiKeyFactory.create(created_at=timezone.now() - days * DAY)

    text = _text(signed_in(admin_of(key)), PAGE, key.account)

    assert f"{days} days" in text
    assert says in text if says else "note-warning" not in text


def test_without_a_key_a_super_admin_is_offered_to_create_one() -> None:
    admin = SuperAdminFactory.create()

    text = _text(signed_in(admin), PAGE, admin.account)

    assert "No API key yet" in text
    assert "logged e-mails and other third-party data included" in text
    assert "Create the API key" in text


def test_the_page_costs_the_same_however_much_happened(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    key = ApiKeyFactory.create()
    CallFactory.create_batch(30, account_id=key.account_id, credential_id=key.id)
    for _ in range(15):
        api_keys.show_api_key(account=key.account, by=admin_of(key), now=timezone.now())
    client = signed_in(admin_of(key))

    with django_assert_max_num_queries(9):  # two for the date of a second factor, set on the first page
        client.get(path(PAGE, key.account))


# --- Creating and showing -------------------------------------------------------------------------------------------


def test_creating_makes_the_key_and_leads_back_to_its_page() -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).post(path(CREATE, admin.account))

    assert answer.headers["Location"] == path(PAGE, admin.account)
    assert ApiKey.objects.get().account == admin.account


def test_creating_a_second_key_changes_nothing_and_says_so() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(CREATE, key.account), follow=True)

    assert b"has an active API key already" in answer.content
    assert ApiKey.objects.count() == 1


def test_the_script_gets_the_secret_as_json_that_nobody_stores_and_an_entry_is_written() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(SHOW, key.account), headers=JSON)

    assert answer.json() == {"secret": key.secret(), "hide_after": 60}
    assert "no-store" in answer.headers["Cache-Control"]
    assert _entries(Action.API_KEY_VIEWED) == [Outcome.DONE]


def test_without_script_the_secret_is_a_page_that_nobody_stores_and_that_leaves_by_itself() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(SHOW, key.account), headers=HTML)

    assert key.secret() in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Refresh"] == f"60;url={path(PAGE, key.account)}"


def test_the_secret_is_never_the_answer_to_a_get() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).get(path(SHOW, key.account))

    assert answer.status_code == 405


def test_showing_a_key_that_is_gone_says_so() -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).post(path(SHOW, admin.account), headers=JSON)

    assert answer.status_code == 409
    assert "no active API key" in answer.json()["message"]


def test_a_secret_that_cannot_be_opened_is_explained() -> None:
    key = ApiKeyFactory.create()
    ApiKey.objects.update(sealed_with="lost-key")

    answer = signed_in(admin_of(key)).post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 409
    assert "cannot be opened" in answer.json()["message"]


def test_five_minutes_after_signing_in_the_script_is_sent_to_the_password_and_back() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in_a_while_ago(admin_of(key)).post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 403
    assert answer.json() == {
        "reauthenticate": f"/auth/reauthenticate/?next=%2Faccounts%2F{key.account.slug}%2Fapi-key%2F"
    }
    assert not _entries(Action.API_KEY_VIEWED)


@pytest.mark.parametrize(("name", "back"), [(SHOW, PAGE), (CREATE, PAGE), (ROTATE, ROTATE), (DEACTIVATE, DEACTIVATE)])
def test_everything_that_touches_the_secret_asks_for_the_password_again(name: str, back: str) -> None:
    key = ApiKeyFactory.create()

    answer = signed_in_a_while_ago(admin_of(key)).post(path(name, key.account), {"generation": 1}, headers=HTML)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/auth/reauthenticate/")
    assert path(back, key.account).replace("/", "%2F") in answer.headers["Location"]
    assert ApiKey.objects.get().is_active


@pytest.mark.parametrize("role", NOT_SUPER_ADMIN)
@pytest.mark.parametrize(
    ("name", "action"),
    [
        (SHOW, Action.API_KEY_VIEWED),
        (CREATE, Action.API_KEY_CREATED),
        (ROTATE, Action.API_KEY_ROTATED),
        (DEACTIVATE, Action.API_KEY_DEACTIVATED),
    ],
)
def test_who_may_not_is_told_whom_to_ask_and_the_attempt_is_an_entry(role: Role, name: str, action: Action) -> None:
    key = ApiKeyFactory.create()
    member = MemberFactory.create(account=key.account, role=role)

    answer = signed_in(member).post(path(name, key.account), {"generation": 1})

    assert answer.status_code == 403
    assert admin_of(key).user.email in answer.content.decode()
    assert _entries(action) == [Outcome.REFUSED]
    assert ApiKey.objects.get().is_active


# --- Rotating -------------------------------------------------------------------------------------------------------


def test_before_rotating_the_callers_of_the_last_seven_days_are_listed() -> None:
    key = ApiKeyFactory.create()
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="hubspot3", path="/contacts/17")
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="hubspot3", path="/contacts/18")
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="Zapier", at=timezone.now() - 8 * DAY)

    text = _text(signed_in(admin_of(key)), ROTATE, key.account)

    assert text.count("GET /contacts/{id}") == 1
    assert "Zapier" not in text
    assert "Connected apps and private apps" in text
    assert "Expect downtime" in text


def test_rotating_replaces_the_key_and_leads_to_the_proof() -> None:
    key = ApiKeyFactory.create()
    client = signed_in(admin_of(key))

    answer = client.post(path(ROTATE, key.account), {"generation": 1})
    text = _text(client, PREVIOUS, key.account)

    assert answer.headers["Location"] == path(PREVIOUS, key.account)
    assert ApiKey.objects.active().get().generation == 2
    assert "Tried just now: refused." in text
    assert "0 calls accepted since, 0 refused." in text
    assert "Nobody presents the old key." in text


def test_who_confirms_a_generation_that_is_gone_is_told_who_was_first() -> None:
    key = ApiKeyFactory.create()
    other = SuperAdminFactory.create(account=key.account, user__name="Grace")
    api_keys.rotate_api_key(account=key.account, generation=1, by=other, now=timezone.now())

    answer = signed_in(admin_of(key)).post(path(ROTATE, key.account), {"generation": 1})

    assert answer.status_code == 409
    assert b"rotated away by Grace a moment ago" in answer.content
    assert ApiKey.objects.active().get().generation == 2


@pytest.mark.parametrize("generation", ["", "x", "-1", "0", "1e9", "9" * 30])
def test_a_generation_that_is_none_changes_nothing(generation: str) -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(ROTATE, key.account), {"generation": generation})

    assert answer.status_code in {400, 409}
    assert ApiKey.objects.active().get() == key


def test_callers_of_the_old_key_are_listed_until_they_are_accepted_with_the_new_one() -> None:
    old = ApiKeyFactory.create(created_at=timezone.now() - DAY)
    rotated_at = timezone.now() - timedelta(hours=1)
    new = api_keys.rotate_api_key(account=old.account, generation=1, by=admin_of(old), now=rotated_at).key
    minutes = timedelta(minutes=1)
    refused = {"account_id": old.account_id, "credential_id": old.id, "status": 401, "reason": "rotated"}
    accepted = {"account_id": old.account_id, "credential_id": new.id}
    CallFactory.create(**refused, agent="stays", at=rotated_at + 2 * minutes)
    CallFactory.create(**refused, agent="moves", at=rotated_at + 2 * minutes)
    CallFactory.create(**accepted, agent="moves", at=rotated_at + 3 * minutes)
    CallFactory.create(**accepted, agent="falls-back", at=rotated_at + 3 * minutes)
    CallFactory.create(**refused, agent="falls-back", at=rotated_at + 4 * minutes)

    text = _text(signed_in(admin_of(old)), PREVIOUS, old.account)

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

    text = _text(signed_in(admin_of(old)), PREVIOUS, old.account)

    assert "1 call was accepted since." in text
    assert "This must not happen." in text


@pytest.mark.parametrize("name", [PAGE, PREVIOUS])
def test_a_persons_name_is_text_wherever_it_stands(name: str) -> None:
    admin = SuperAdminFactory.create(user__name="<b>O'Brien</b>")
    api_keys.create_api_key(account=admin.account, by=admin, now=timezone.now())
    api_keys.rotate_api_key(account=admin.account, generation=1, by=admin, now=timezone.now())

    text = _text(signed_in(admin), name, admin.account)

    assert "by &lt;b&gt;O&#x27;Brien&lt;/b&gt;" in text
    assert "<b>O" not in text


def test_the_live_list_is_a_part_of_the_page_of_the_same_address() -> None:
    key = ApiKeyFactory.create()
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())

    answer = signed_in(admin_of(key)).get(path(PREVIOUS, key.account), headers={"HX-Request": "true"})

    assert b"Nobody presents the old key." in answer.content
    assert b"<html" not in answer.content


def test_without_an_earlier_key_there_is_nothing_to_prove() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).get(path(PREVIOUS, key.account))

    assert answer.headers["Location"] == path(PAGE, key.account)


# --- Deactivating ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["", "acme", "Acme Industries "])
def test_deactivating_takes_the_accounts_name(typed: str) -> None:
    key = ApiKeyFactory.create(account=AccountFactory.create(name="Acme Industries"))

    answer = signed_in(admin_of(key)).post(path(DEACTIVATE, key.account), {"generation": 1, "confirmation": typed})

    key.refresh_from_db()
    assert key.is_active == (typed.strip() != "Acme Industries")
    assert answer.status_code == (400 if key.is_active else 302)


def test_after_deactivating_the_page_lists_who_still_presents_the_key() -> None:
    key = ApiKeyFactory.create()
    api_keys.deactivate_api_key(
        account=key.account, generation=1, by=admin_of(key), now=timezone.now() - timedelta(hours=1)
    )
    CallFactory.create(
        account_id=key.account_id, credential_id=key.id, agent="hubspot3", status=401, reason="deactivated"
    )

    text = _text(signed_in(admin_of(key)), PREVIOUS, key.account)

    assert "The API key is deactivated" in text
    assert "<strong>hubspot3</strong>" in text


@pytest.mark.parametrize("name", [ROTATE, DEACTIVATE])
def test_without_a_key_there_is_nothing_to_rotate_or_deactivate(name: str) -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).get(path(name, admin.account), follow=True)

    assert answer.redirect_chain == [(path(PAGE, admin.account), 302)]
    assert b"This account has no active API key." in answer.content


def test_a_call_of_another_credential_is_no_caller_of_the_key() -> None:
    key = ApiKeyFactory.create()
    CallFactory.create(account_id=key.account_id, credential_id=uuid4(), agent="other")

    assert "other" not in _text(signed_in(admin_of(key)), ROTATE, key.account).partition("What keeps working")[0]
