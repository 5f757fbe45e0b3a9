"""The page of the account API key: what it says, to whom, and how the secret leaves."""

import time
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
from auditlog import usage
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry, Call
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

    with django_assert_max_num_queries(14):
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

    assert answer.status_code == 302
    assert answer.headers["Location"] == path(PAGE, key.account)
    assert not _entries(Action.API_KEY_VIEWED)


def test_another_method_than_its_own_is_explained_on_a_page() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).put(path(SHOW, key.account))

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    assert b"Nothing was changed." in answer.content


def test_where_the_session_ended_the_script_is_sent_to_sign_in_and_back() -> None:
    key = ApiKeyFactory.create()

    answer = Client().post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 401
    assert answer.json() == {"sign_in": f"/auth/login/?next={path(PAGE, key.account)}"}


def test_a_script_on_a_page_from_before_signing_in_again_is_told_to_reload() -> None:
    key = ApiKeyFactory.create()

    answer = Client(enforce_csrf_checks=True).post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 403
    assert "Reload it" in answer.json()["message"]


def test_a_script_of_who_may_not_gets_words_to_show() -> None:
    key = ApiKeyFactory.create()
    member = MemberFactory.create(account=key.account, role=Role.DEVELOPER)

    answer = signed_in(member).post(path(SHOW, key.account), headers=JSON)

    strangers = signed_in(SuperAdminFactory.create()).post(path(SHOW, key.account), headers=JSON)

    assert (answer.status_code, strangers.status_code) == (403, 404)
    assert "role" in answer.json()["message"]
    assert "nothing here" in strangers.json()["message"]


def test_an_older_proof_of_identity_counts_though_a_clock_that_was_set_back_left_a_newer_one() -> None:
    key = ApiKeyFactory.create()
    client = signed_in(admin_of(key))
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [*records, {**records[0], "at": time.time() + 3600}]
    session.save()

    answer = client.post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 200


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


def test_a_busy_callers_many_paths_leave_no_other_caller_without_its_routes() -> None:
    key = ApiKeyFactory.create()
    of_key = {"account_id": key.account_id, "credential_id": key.id}
    busy = [
        CallFactory.build(**of_key, agent="busy", path=f"/contacts/{n}") for n in range(usage.MOST_ROUTES) for _ in "ab"
    ]
    Call.objects.bulk_create(busy)
    CallFactory.create(**of_key, agent="rare", path="/")

    text = _text(signed_in(admin_of(key)), ROTATE, key.account)

    assert "<code>GET /</code>" in text
    assert "<code>GET /contacts/{id}</code>" in text


def test_rotating_replaces_the_key_and_leads_to_the_proof() -> None:
    key = ApiKeyFactory.create()
    client = signed_in(admin_of(key))

    answer = client.post(path(ROTATE, key.account), {"generation": 1})
    text = _text(client, PREVIOUS, key.account)

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
    assert _entries(Action.API_KEY_ROTATED) == [Outcome.REFUSED]


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


def test_calls_that_were_accepted_while_the_rotation_waited_for_the_lock_prove_nothing_bad() -> None:
    old = ApiKeyFactory.create(created_at=timezone.now() - DAY)
    asked_at = timezone.now() - timedelta(minutes=1)
    CallFactory.create(account_id=old.account_id, credential_id=old.id, at=asked_at + timedelta(seconds=30))
    api_keys.rotate_api_key(account=old.account, generation=1, by=admin_of(old), now=asked_at)

    text = _text(signed_in(admin_of(old)), PREVIOUS, old.account)

    assert "0 calls accepted since, 0 refused." in text
    assert "1 more was accepted before that" in text


@pytest.mark.settles
def test_where_the_wait_was_cut_short_the_page_waits_before_it_proves_anything() -> None:
    old = ApiKeyFactory.create(created_at=timezone.now() - DAY)
    api_keys.rotate_api_key(account=old.account, generation=1, by=admin_of(old), now=timezone.now())
    ApiKey.objects.filter(pk=old.pk).update(settled_at=None)  # as a process leaves it that dies in the wait
    CallFactory.create(account_id=old.account_id, credential_id=old.id)

    text = _text(signed_in(admin_of(old)), PREVIOUS, old.account)

    old.refresh_from_db()
    assert old.settled_at is not None
    assert "0 calls accepted since" in text


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


def test_the_live_list_stays_with_its_key_when_the_next_one_ends_too() -> None:
    key = ApiKeyFactory.create()
    for generation in (1, 2):
        by = admin_of(key)
        api_keys.rotate_api_key(account=key.account, generation=generation, by=by, now=timezone.now())
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="first", status=401, reason="rotated")
    client = signed_in(admin_of(key))

    newest = _text(client, PREVIOUS, key.account)
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


def test_the_accounts_name_confirms_however_the_keyboard_composes_its_accents() -> None:
    key = ApiKeyFactory.create(account__name="Caf\u00e9 Okafor")

    confirmed = {"generation": 1, "confirmation": "Cafe\u0301  Okafor"}
    answer = signed_in(admin_of(key)).post(path(DEACTIVATE, key.account), confirmed)

    assert answer.status_code == 302
    assert not ApiKey.objects.active().exists()


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
