"""Second factors: adding and using one, what a password alone opens no more, and who must have one."""

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import invitations, mail_choices, operations, role_mailboxes, second_factors
from accounts.actors import SHELL
from accounts.adapter import SecondFactorAdapter
from accounts.models import Member, User
from accounts.permissions import Role
from apikeys.operations import reminders
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import (
    NOW,
    PASSWORD,
    AccountFactory,
    ApiKeyFactory,
    InvitationFactory,
    MemberFactory,
    SuperAdminFactory,
    UserFactory,
)
from tests.second_factors import add_app, code, recovery_code, signed_in_with
from tests.visitors import HTML, JSON, admin_of, path, signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
ENROLMENT = "/auth/second-factor/"


@pytest.fixture
def ada() -> Member:
    """A super admin with an active key and no second factor."""
    return admin_of(ApiKeyFactory.create())


def _actions(member: Member) -> list[str]:
    entries = AuditEntry.objects.filter(account_id=member.account_id, category="sign_in")
    return list(entries.order_by("id").values_list("action", flat=True))


def _overdue(member: Member) -> Client:
    User.objects.filter(pk=member.user_id).update(second_factor_due_at=timezone.now() - DAY)
    return signed_in(member)


# --- Adding and using ---------------------------------------------------------------------------------------------
def test_an_app_is_added_with_its_code_and_recovery_codes_come_with_it(ada: Member) -> None:
    client = signed_in(ada)
    page = client.get("/auth/second-factor/app/add/")
    secret = page.context["form"].secret

    answer = client.post("/auth/second-factor/app/add/", {"code": code(secret)}, follow=True)

    assert answer.redirect_chain == [("/auth/second-factor/recovery-codes/", 302)]
    assert len(answer.context["unused_codes"]) == 10
    assert second_factors.has_one(ada.user)
    assert {Action.SECOND_FACTOR_ADDED, Action.RECOVERY_CODES_GENERATED} <= set(_actions(ada))


def test_a_wrong_code_adds_nothing(ada: Member) -> None:
    client = signed_in(ada)
    client.get("/auth/second-factor/app/add/")

    answer = client.post("/auth/second-factor/app/add/", {"code": "000000x"})

    assert answer.status_code == 200
    assert not Authenticator.objects.exists()


def test_the_picture_for_the_camera_is_no_inline_style_or_script(ada: Member) -> None:
    answer = signed_in(ada).get("/auth/second-factor/app/add/")

    text = answer.content.decode()
    assert 'src="data:image/svg+xml;base64,' in text
    assert "<style" not in text
    assert "style=" not in text
    assert "no-store" in answer.headers["Cache-Control"]


def test_what_a_second_factor_is_made_of_is_stored_sealed(ada: Member) -> None:
    secret = add_app(ada.user)

    stored = Authenticator.objects.get(user=ada.user, type="totp").data["secret"]

    assert secret not in stored
    assert SecondFactorAdapter().decrypt(stored) == secret


def test_signing_in_takes_the_password_and_the_code(ada: Member) -> None:
    secret = add_app(ada.user)
    client = Client()

    half = client.post("/auth/login/", {"login": ada.user.email, "password": PASSWORD})
    outside = client.get("/accounts/").status_code
    whole = client.post(half.headers["Location"], {"code": code(secret)})

    assert half.headers["Location"] == reverse("mfa_authenticate")
    assert outside == 302
    assert whole.status_code == 302
    assert client.get("/accounts/", follow=True).status_code == 200


def test_a_sign_in_that_stops_before_the_code_is_no_sign_in_in_the_log(ada: Member) -> None:
    add_app(ada.user)

    signed_in(ada)

    assert Action.SIGN_IN_SUCCEEDED not in _actions(ada)


def test_a_code_is_taken_once(ada: Member) -> None:
    secret = add_app(ada.user)
    shown = code(secret)
    for _ in range(2):
        client = Client()
        client.post("/auth/login/", {"login": ada.user.email, "password": PASSWORD})
        client.post("/auth/second-factor/authenticate/", {"code": shown})

    assert "_auth_user_id" not in client.session


def test_a_recovery_code_signs_in_once_and_is_written_down(ada: Member) -> None:
    add_app(ada.user)
    spare = recovery_code(ada.user)
    clients = [Client(), Client()]
    for client in clients:
        client.post("/auth/login/", {"login": ada.user.email, "password": PASSWORD})
        client.post("/auth/second-factor/authenticate/", {"code": spare})

    assert ["_auth_user_id" in client.session for client in clients] == [True, False]
    entry = AuditEntry.objects.get(action=Action.RECOVERY_CODE_USED)
    assert entry.details == {"left": 9}


def test_a_wrong_code_is_written_down_as_a_failed_sign_in(ada: Member) -> None:
    add_app(ada.user)

    signed_in(ada).post("/auth/second-factor/authenticate/", {"code": "12"})

    entry = AuditEntry.objects.get(action=Action.SIGN_IN_FAILED)
    assert (entry.account_id, entry.outcome, entry.reason) == (ada.account_id, Outcome.REFUSED, "Wrong code.")


def test_codes_cannot_be_guessed_at_for_long(ada: Member) -> None:
    secret = add_app(ada.user)
    client = signed_in(ada)
    shown = code(secret)
    for guess in range(5):
        client.post("/auth/second-factor/authenticate/", {"code": f"x{guess}"})

    answer = client.post("/auth/second-factor/authenticate/", {"code": shown})

    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session


def test_removing_the_app_takes_the_code_and_is_written_down(ada: Member) -> None:
    secret = add_app(ada.user)
    client = signed_in_with(ada.user, secret)

    client.post("/auth/second-factor/app/remove/")

    assert not Authenticator.objects.exists()
    entry = AuditEntry.objects.get(action=Action.SECOND_FACTOR_REMOVED)
    assert entry.details == {"kind": "totp"}


def test_new_recovery_codes_replace_the_old_ones_and_are_written_down(ada: Member) -> None:
    secret = add_app(ada.user)
    old = recovery_code(ada.user)
    client = signed_in_with(ada.user, secret)
    before = _actions(ada).count(Action.RECOVERY_CODES_GENERATED)

    client.post("/auth/second-factor/recovery-codes/new/")

    assert recovery_code(ada.user) != old
    assert _actions(ada).count(Action.RECOVERY_CODES_GENERATED) == before + 1


def test_a_change_whose_entry_cannot_be_written_is_not_made(ada: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in_with(ada.user, add_app(ada.user))

    def full(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(AuditEntry, "save", full)
    with pytest.raises(OSError):  # noqa: PT011 -- our own, without words
        client.post("/auth/second-factor/app/remove/")

    assert second_factors.has_one(ada.user)


# --- What a password alone opens no more --------------------------------------------------------------------------
def test_a_fresh_sign_in_with_the_code_shows_the_secret(ada: Member) -> None:
    client = signed_in_with(ada.user, add_app(ada.user))

    assert client.post(path("apikeys:api-key-show", ada.account), headers=JSON).status_code == 200


def test_for_who_has_a_second_factor_the_password_alone_shows_no_secret(ada: Member) -> None:
    client = signed_in_a_while_ago(ada)
    add_app(ada.user)
    show = path("apikeys:api-key-show", ada.account)

    answer = client.post(show, headers=HTML)
    client.post("/auth/reauthenticate/", {"password": PASSWORD})

    assert answer.headers["Location"].startswith(reverse("mfa_reauthenticate"))
    assert client.post(show, headers=HTML).status_code == 302


def test_the_code_shows_the_secret_where_the_password_alone_does_not(ada: Member) -> None:
    client = signed_in(ada)
    secret = add_app(ada.user)
    page = path("apikeys:api-key", ada.account)

    answer = client.post(f"/auth/second-factor/reauthenticate/?next={page}", {"code": code(secret), "next": page})

    assert answer.headers["Location"] == page
    assert client.post(path("apikeys:api-key-show", ada.account), headers=JSON).status_code == 200


def test_a_code_counts_for_five_minutes(ada: Member) -> None:
    client = signed_in_with(ada.user, add_app(ada.user))
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] -= 301
    session.save()

    assert client.post(path("apikeys:api-key-show", ada.account), headers=JSON).status_code == 403


@pytest.mark.parametrize(
    "page",
    ["app/add/", "app/remove/", "recovery-codes/", "recovery-codes/new/", "recovery-codes/file/", "passkeys/add/"],
)
def test_pages_of_second_factors_take_the_second_factor_of_who_has_one(ada: Member, page: str) -> None:
    client = signed_in(SuperAdminFactory.create(user=ada.user))
    add_app(ada.user)

    answer = client.get(f"{ENROLMENT}{page}", follow=True)

    assert answer.redirect_chain[-1][0].startswith(reverse("mfa_reauthenticate"))


@pytest.mark.parametrize("page", ["second-factor/app/add/", "second-factor/passkeys/add/", "password/set/"])
def test_who_has_neither_password_nor_second_factor_is_not_let_straight_through(page: str) -> None:
    person = UserFactory.create(password="!")
    client = Client()
    client.force_login(person)

    answer = client.get(f"/auth/{page}")

    assert answer.headers["Location"].startswith("/auth/no-proof/")
    assert b"neither a password nor a second factor" in client.get(answer.headers["Location"]).content


def test_who_has_neither_password_nor_second_factor_is_shown_no_secret(ada: Member) -> None:
    client = Client()
    ada.user.set_unusable_password()
    ada.user.save()
    client.force_login(ada.user)

    answer = client.post(path("apikeys:api-key-show", ada.account), headers=HTML)

    assert answer.headers["Location"].startswith("/auth/no-proof/")


# --- Operators' pages ---------------------------------------------------------------------------------------------
@pytest.fixture
def operator() -> User:
    return UserFactory.create(is_staff=True, is_superuser=True)


def test_the_admin_opens_to_the_password_and_the_code(operator: User) -> None:
    assert signed_in_with(operator, add_app(operator)).get("/admin/").status_code == 200


def test_the_admin_does_not_open_to_a_session_without_the_second_factor(operator: User) -> None:
    client = Client()
    client.force_login(operator)
    add_app(operator)

    answer = client.get("/admin/", follow=True)

    assert answer.redirect_chain[-1][0] == f"{reverse('mfa_reauthenticate')}?next=%2Fadmin%2F"


def test_the_admins_own_sign_in_takes_no_password(operator: User) -> None:
    other = UserFactory.create(is_staff=True, is_superuser=True)
    add_app(other)
    for client in (Client(), Client()):
        client.post("/admin/login/", {"username": other.email, "password": PASSWORD})
        assert "_auth_user_id" not in client.session
        client.force_login(operator)
    client.post("/admin/login/", {"username": other.email, "password": PASSWORD})

    assert client.session["_auth_user_id"] == str(operator.pk)


def test_the_admins_sign_in_leads_nowhere_else(operator: User) -> None:
    client = Client()
    client.force_login(operator)

    assert client.get("/admin/login/?next=//evil.example/").headers["Location"] == "/admin/"


# --- Who must have one --------------------------------------------------------------------------------------------
def test_a_new_super_admin_has_fourteen_days() -> None:
    member = operations.join(
        account=AccountFactory.create(), user=UserFactory.create(), role=Role.SUPER_ADMIN, by=SHELL, now=NOW
    )

    assert second_factors.due_at(member.user, now=NOW) == NOW + 14 * DAY


def test_a_second_account_starts_no_new_days_of_grace(ada: Member) -> None:
    due = second_factors.due_at(ada.user, now=NOW)

    operations.join(account=AccountFactory.create(), user=ada.user, role=Role.SUPER_ADMIN, by=SHELL, now=NOW + 9 * DAY)

    assert second_factors.due_at(ada.user, now=NOW + 9 * DAY) == due


def test_whom_the_portal_knows_as_super_admin_only_now_has_fourteen_days_from_now(ada: Member) -> None:
    assert second_factors.due_at(ada.user, now=NOW) == NOW + 14 * DAY
    assert second_factors.due_at(ada.user, now=NOW + DAY) == NOW + 14 * DAY


@pytest.mark.parametrize("role", [role for role in Role if role != Role.SUPER_ADMIN])
def test_other_roles_need_none(role: Role) -> None:
    assert second_factors.due_at(MemberFactory.create(role=role).user, now=NOW) is None


def test_before_the_date_a_calm_notice_says_it(ada: Member) -> None:
    text = signed_in(ada).get(path("apikeys:api-key", ada.account)).content.decode()

    assert "Please add one by" in text
    assert "note-info" in text


def test_after_the_date_other_pages_lead_to_the_enrolment_page(ada: Member) -> None:
    client = _overdue(ada)

    for address in ("/accounts/", path("apikeys:api-key", ada.account), path("auditlog:calls", ada.account)):
        assert client.get(address).headers["Location"] == ENROLMENT
    assert client.post(path("apikeys:api-key-rotate", ada.account), {"generation": 1}).headers["Location"] == ENROLMENT
    assert ada.account.api_keys.active().get().generation == 1


def test_after_the_date_a_script_is_refused(ada: Member) -> None:
    answer = _overdue(ada).post(path("apikeys:api-key-show", ada.account), headers=JSON)

    assert answer.status_code == 403
    assert answer.json() == {"message": "Add a second factor first."}


def test_after_the_date_a_live_part_of_a_page_leads_there_whole(ada: Member) -> None:
    answer = _overdue(ada).get(path("apikeys:api-key-previous", ada.account), headers={"HX-Request": "true"})

    assert answer.headers["HX-Redirect"] == ENROLMENT


@pytest.mark.parametrize("address", [ENROLMENT, f"{ENROLMENT}app/add/", "/profile/", "/auth/logout/", "/livez"])
def test_after_the_date_enrolment_profile_and_the_way_out_open(ada: Member, address: str) -> None:
    assert _overdue(ada).get(address).status_code == 200


def test_after_the_date_what_asks_nobody_who_they_are_opens(ada: Member) -> None:
    """Signed in they would find less there than signed out."""
    mailbox = role_mailboxes.name(account=ada.account, email="team@acme.example", by=ada, now=timezone.now())
    links = [role_mailboxes.link_of(mailbox), mail_choices.switch_off_link(ada.user, [reminders.MAIL])]
    paths = [link.removeprefix(settings.SITE_ORIGIN) for link in links]
    client = _overdue(ada)

    read = [client.get(address).status_code for address in ("/migrate/", *paths)]
    done = [client.post(address).status_code for address in paths]

    assert (read, done) == ([200] * 3, [200] * 2)
    assert role_mailboxes.confirmed(ada.account) == "team@acme.example"


def test_after_the_date_the_profile_takes_which_mails_come(ada: Member) -> None:
    assert _overdue(ada).post("/profile/mails/", {}).headers["Location"] == "/profile/"


def test_after_the_date_no_invitation_is_accepted_until_one_is_added(ada: Member) -> None:
    """It would give another place, be it a super admin's, to whoever has the password alone."""
    invitation = InvitationFactory.create(email=ada.user.email, role=Role.SUPER_ADMIN)
    link, client = invitations.path_of(invitation), _overdue(ada)

    answers = [client.get(link), client.post(link)]
    joined = invitation.account.members.filter(user=ada.user).exists()
    add_app(ada.user)
    client.post(link)

    assert [answer.headers["Location"] for answer in answers] == [ENROLMENT, ENROLMENT]
    assert not joined
    assert invitation.account.members.filter(user=ada.user, role=Role.SUPER_ADMIN).exists()


def test_after_the_date_adding_one_opens_everything_again(ada: Member) -> None:
    client = _overdue(ada)
    add_app(ada.user)

    assert client.get(path("apikeys:api-key", ada.account)).status_code == 200


def test_an_operator_without_a_second_factor_finds_only_the_enrolment_page_after_the_date(operator: User) -> None:
    operator.second_factor_due_at = timezone.now() - DAY
    operator.save()
    client = Client()
    client.force_login(operator)

    assert client.get("/admin/").headers["Location"] == ENROLMENT


def test_who_is_promoted_again_has_fourteen_days_again() -> None:
    member = MemberFactory.create(user__second_factor_due_at=NOW - 365 * DAY)

    operations.change_role(member=member, role=Role.SUPER_ADMIN, by=SHELL, now=NOW)

    assert User.objects.get(pk=member.user_id).second_factor_due_at == NOW + 14 * DAY


def test_a_demonstration_asks_for_none(ada: Member, settings: Settings) -> None:
    settings.DEMO = True
    client = _overdue(ada)

    answer = client.get(path("apikeys:api-key", ada.account))

    assert answer.status_code == 200
    assert b"second factor by" not in answer.content
