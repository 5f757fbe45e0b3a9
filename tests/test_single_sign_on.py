"""Single sign-on against a provider that runs: whom it signs in, what counts as proof, and what it must not do."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.conf import settings as portal
from django.core import mail as mailbox
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import proofs_by_mail, single_sign_on
from accounts.actors import SHELL
from accounts.invitations import token_of
from accounts.models import Member, User
from accounts.tasks import send_mails
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, ApiKeyFactory, InvitationFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.provider import CALLBACK, CLIENT_ID, CLIENT_SECRET, Browser, Provider
from tests.second_factors import add_app, code
from tests.visitors import HTML, JSON, admin_of, path, signed_in

pytestmark = pytest.mark.django_db

ADA = "ada@acme.example"
BUTTON = "/auth/single-sign-on/"
PROOF = "/auth/single-sign-on/proof/"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    provider = Provider(tmp_path_factory.mktemp("provider") / "store.sqlite3")
    provider.register(portal.SITE_ORIGIN)
    yield provider
    provider.stop()


@pytest.fixture
def provider(running: Provider, settings: Settings) -> Iterator[Provider]:
    settings.OIDC_ISSUER, settings.OIDC_NAME = running.issuer, "Example Corp"
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
    yield running
    running.misbehave()


@pytest.fixture
def ada(provider: Provider) -> Member:
    """A super admin with a key and no password, whom the provider knows by a verified address."""
    member = admin_of(ApiKeyFactory.create(created_by__user__email=ADA))
    member.user.set_unusable_password()
    member.user.save()
    provider.person("ada", email=ADA, email_verified=True)
    return member


def _is_signed_in(browser: Browser) -> bool:
    return "_auth_user_id" in browser.portal.session


def _reason() -> str:
    return AuditEntry.objects.filter(action=Action.SIGN_IN_FAILED).latest("id").reason


# --- Signing in ---------------------------------------------------------------------------------------------------
def test_a_person_with_a_verified_address_signs_in_and_is_linked(ada: Member, provider: Provider) -> None:
    browser = Browser("ada")

    answer = browser.sign_in(back="/profile/")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/profile/")
    assert _is_signed_in(browser)
    assert browser.portal.session.get_expire_at_browser_close()
    linked = SocialAccount.objects.get()
    assert (linked.user, linked.provider, linked.extra_data) == (ada.user, provider.issuer, {})
    entry = AuditEntry.objects.get(action=Action.SIGN_IN_SUCCEEDED)
    assert (entry.account_id, entry.details) == (ada.account_id, {"through": "Example Corp"})
    send_mails()
    assert [message.subject for message in mailbox.outbox] == ["Single sign-on opens your sign-in now"]


def test_no_token_of_the_provider_is_kept(ada: Member) -> None:
    add_app(ada.user)
    browser = Browser("ada")

    browser.sign_in()

    assert not SocialToken.objects.exists()
    assert '"token"' not in str(browser.portal.session.items()).replace("'", '"')


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_signing_in_through_the_provider_leads_nowhere_else(ada: Member, elsewhere: str) -> None:
    assert Browser("ada").sign_in(back=elsewhere).headers["Location"] == "/accounts/"


def test_the_provider_sends_people_back_to_the_portals_own_address(ada: Member) -> None:
    browser = Browser("ada")
    browser.portal.defaults["HTTP_HOST"] = "127.0.0.1:6666"

    assert "redirect_uri=http%3A%2F%2Flocalhost%2Fauth%2Fsingle-sign-on%2Fcallback%2F" in browser.leave()


def test_what_the_request_adds_changes_nothing(ada: Member) -> None:
    page = Client().post(f"{BUTTON}?process=connect&scope=admin&auth_params=prompt%3Dnone&action=rerequest")

    assert "admin" not in page.headers["Refresh"]
    assert "prompt" not in page.headers["Refresh"]


def test_a_link_that_begins_it_leads_to_the_button(ada: Member, client: Client) -> None:
    assert client.get(BUTTON).headers["Location"] == "/auth/login/"
    assert "Sign in through Example Corp" in client.get("/auth/login/").content.decode()


def test_without_a_provider_there_is_nothing(client: Client) -> None:
    answers = [client.post(BUTTON), client.get(CALLBACK), signed_in(MemberFactory.create()).get(PROOF)]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert "single-sign-on" not in client.get("/auth/login/").content.decode()


def test_who_was_invited_comes_in_without_a_password_and_joins(ada: Member, provider: Provider) -> None:
    invitation = InvitationFactory.create(email="guest@acme.example")
    page = f"/invitations/{token_of(invitation.issue)}/"
    provider.person("guest", email="Guest@Acme.example", email_verified=True)
    browser = Browser("guest")

    offered = browser.portal.get(page).content.decode()
    back = browser.sign_in(back=page).headers["Location"]
    browser.portal.post(back)

    assert "Sign in through Example Corp" in offered
    assert back == page
    guest = Member.objects.get(account=invitation.account, user__email="guest@acme.example").user
    assert not guest.has_usable_password()


@pytest.mark.parametrize("state", ["expires_at", "withdrawn_at"])
def test_an_invitation_that_is_over_lets_nobody_in(ada: Member, provider: Provider, state: str) -> None:
    InvitationFactory.create(email="late@acme.example", **{state: timezone.now()})
    provider.person("late", email="late@acme.example", email_verified=True)
    browser = Browser("late")

    assert browser.sign_in().status_code == 403
    assert not User.objects.filter(email="late@acme.example").exists()


# --- Second factors and proof -------------------------------------------------------------------------------------
def test_the_second_factor_is_asked_for_after_the_provider(ada: Member) -> None:
    secret = add_app(ada.user)
    browser = Browser("ada")

    half = browser.sign_in(back="/profile/")
    outside = _is_signed_in(browser)
    whole = browser.portal.post(half.headers["Location"], {"code": code(secret)})

    assert (half.headers["Location"], outside) == ("/auth/second-factor/authenticate/", False)
    assert whole.headers["Location"] == "/profile/"


def _show(browser: Browser, member: Member) -> int:
    return browser.portal.post(path("apikeys:api-key-show", member.account), headers=JSON).status_code


def test_a_sign_in_at_the_provider_just_now_counts_as_proof(ada: Member) -> None:
    browser = Browser("ada")

    browser.sign_in()

    assert _show(browser, ada) == 200


def test_coming_through_the_provider_without_being_asked_there_is_no_proof(ada: Member, provider: Provider) -> None:
    provider.misbehave(id_token={"auth_time": int(time.time()) - 3600})
    browser = Browser("ada")

    browser.sign_in()

    assert _is_signed_in(browser)
    assert _show(browser, ada) == 403


@pytest.mark.parametrize("auth_time", [None, "now", True, 10**12])
def test_a_provider_that_does_not_say_when_gives_no_proof(ada: Member, provider: Provider, auth_time: object) -> None:
    provider.misbehave(id_token={"auth_time": auth_time})
    browser = Browser("ada")

    browser.sign_in()

    assert _is_signed_in(browser)
    assert _show(browser, ada) == 403


def _signed_in_long_ago(provider: Provider) -> Browser:
    provider.misbehave(id_token={"auth_time": int(time.time()) - 3600})
    browser = Browser("ada")
    browser.sign_in()
    provider.misbehave()
    return browser


def test_who_has_no_password_goes_through_the_provider_again(ada: Member, provider: Provider) -> None:
    browser = _signed_in_long_ago(provider)
    show = path("apikeys:api-key-show", ada.account)
    asked = browser.portal.post(show, headers=HTML)
    key_page = path("apikeys:api-key", ada.account)

    answer = browser.prove(back=key_page)

    assert asked.headers["Location"].startswith(PROOF)
    assert answer.headers["Location"] == key_page
    assert _show(browser, ada) == 200


def test_the_provider_is_told_to_ask_again(ada: Member, provider: Provider) -> None:
    browser = _signed_in_long_ago(provider)

    address = browser.leave(PROOF)

    assert "prompt=login" in address
    assert "max_age=0" in address


def test_who_takes_the_question_out_of_the_address_has_proved_nothing(ada: Member, provider: Provider) -> None:
    """At a browser that somebody left alone, the provider would wave its person through."""
    browser = _signed_in_long_ago(provider)
    address = browser.leave(PROOF).replace("&prompt=login", "").replace("&max_age=0", "")
    provider.misbehave(id_token={"auth_time": int(time.time()) - 3000})

    answer = browser.portal.get(browser.return_from(address))

    assert answer.status_code == 403
    assert "did not ask you" in answer.content.decode()
    assert "/auth/no-proof/" in answer.content.decode()
    assert _show(browser, ada) == 403


def test_somebody_elses_proof_is_none(ada: Member, provider: Provider) -> None:
    grace = UserFactory.create()
    provider.person("grace", email=grace.email, email_verified=True)
    Browser("grace").sign_in()
    browser = _signed_in_long_ago(provider)
    browser.name, browser.at_provider = "grace", Browser().at_provider

    answer = browser.prove()

    assert answer.status_code == 403
    assert _show(browser, ada) == 403


def test_for_who_has_a_second_factor_the_provider_is_no_proof(ada: Member, provider: Provider) -> None:
    browser = Browser("ada")
    browser.sign_in()
    add_app(ada.user)

    asked = browser.portal.post(path("apikeys:api-key-show", ada.account), headers=HTML)
    browser.prove()

    assert asked.headers["Location"].startswith("/auth/second-factor/reauthenticate/")
    assert _show(browser, ada) == 403


def test_who_has_a_password_too_may_choose(ada: Member, provider: Provider) -> None:
    Browser("ada").sign_in()
    ada.user.set_password(PASSWORD)
    ada.user.save()

    page = signed_in(ada).get("/auth/reauthenticate/").content.decode()

    assert "Confirm through Example Corp" in page


@pytest.mark.parametrize("trusted", [True, False])
def test_who_must_have_a_second_factor_needs_none_where_the_provider_is_trusted_for_it(
    ada: Member, settings: Settings, *, trusted: bool
) -> None:
    settings.OIDC_SECOND_FACTOR = trusted
    User.objects.filter(pk=ada.user_id).update(second_factor_due_at=timezone.now() - DAY)
    browser = Browser("ada")
    browser.sign_in()

    assert (browser.portal.get(path("apikeys:api-key", ada.account)).status_code == 200) is trusted


def test_who_must_add_a_second_factor_can_prove_who_they_are_at_the_provider_and_add_it(
    ada: Member, provider: Provider
) -> None:
    browser = _signed_in_long_ago(provider)
    User.objects.filter(pk=ada.user_id).update(second_factor_due_at=timezone.now() - DAY)
    add = "/auth/second-factor/app/add/"

    asked = browser.portal.get(add).headers["Location"]
    shown = browser.portal.get(asked)
    back = browser.prove(back=add).headers["Location"]

    assert asked.startswith(PROOF)
    assert shown.status_code == 200
    assert browser.portal.get(back).status_code == 200


def test_a_trusted_provider_does_not_help_who_came_by_password(provider: Provider, settings: Settings) -> None:
    settings.OIDC_SECOND_FACTOR = True
    member = SuperAdminFactory.create()
    User.objects.filter(pk=member.user_id).update(second_factor_due_at=timezone.now() - DAY)

    assert signed_in(member).get(path("apikeys:api-key", member.account)).status_code == 302


# --- Attacks ------------------------------------------------------------------------------------------------------
def test_a_stranger_is_refused_and_nobody_is_made(ada: Member, provider: Provider) -> None:
    provider.person("mallory", email="mallory@evil.example", email_verified=True)
    browser = Browser("mallory")

    answer = browser.sign_in()

    assert answer.status_code == 403
    assert "not known here" in answer.content.decode()
    assert not _is_signed_in(browser)
    assert not User.objects.filter(email="mallory@evil.example").exists()
    assert _reason() == "Single sign-on: nobody signs in with this address."


@pytest.mark.parametrize("verified", [False, None, "true", 1])
@pytest.mark.parametrize("email", [ADA, "nobody@acme.example"])
def test_an_address_that_the_provider_has_not_verified_signs_nobody_in(
    ada: Member, provider: Provider, email: str, verified: object
) -> None:
    provider.person("mallory", email=email, email_verified=verified)
    browser = Browser("mallory")

    answer = browser.sign_in()

    assert answer.status_code == 403
    assert "not verified" in answer.content.decode()
    assert not _is_signed_in(browser)
    assert not SocialAccount.objects.exists()


def test_a_second_person_at_the_provider_with_a_known_address_does_not_become_the_first(
    ada: Member, provider: Provider
) -> None:
    Browser("ada").sign_in()
    provider.person("mallory", email=ADA, email_verified=True)
    browser = Browser("mallory")

    answer = browser.sign_in()

    assert answer.status_code == 403
    assert not _is_signed_in(browser)
    assert SocialAccount.objects.get().user == ada.user
    entry = AuditEntry.objects.filter(action=Action.SIGN_IN_FAILED).latest("id")
    assert (entry.account_id, entry.reason) == (
        ada.account_id,
        "Single sign-on: the provider knows this person as another.",
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [True, False])
def test_who_comes_for_the_first_time_in_several_windows_at_once_is_linked_once(
    settings: Settings,
    known: bool,  # noqa: FBT001 -- pytest passes it
) -> None:
    settings.OIDC_ISSUER, settings.OIDC_NAME = "https://login.example.com", "Example Corp"
    if known:
        UserFactory.create(email=ADA)
    else:
        InvitationFactory.create(email=ADA)

    def come(_window: int) -> int:
        try:
            return int(single_sign_on.link(subject="ada", email=ADA, now=timezone.now()).pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        links = set(pool.map(come, range(8)))

    assert links == {SocialAccount.objects.get(user__email=ADA).pk}
    assert AuditEntry.objects.filter(action=Action.PROVIDER_CONNECTED).count() == 1


def test_whose_address_changes_at_the_provider_stays_who_they_are(ada: Member, provider: Provider) -> None:
    Browser("ada").sign_in()
    grace = UserFactory.create()
    provider.person("ada", email=grace.email, email_verified=True)
    browser = Browser("ada")

    browser.sign_in()

    assert browser.portal.session["_auth_user_id"] == str(ada.user_id)


def test_whose_address_changes_here_stays_linked(ada: Member) -> None:
    Browser("ada").sign_in()
    proofs_by_mail.change_address(user=ada.user, email="ada@new.example", now=timezone.now())
    browser = Browser("ada")

    browser.sign_in()

    assert browser.portal.session["_auth_user_id"] == str(ada.user_id)


@pytest.mark.parametrize("linked", [True, False])
def test_who_may_not_sign_in_may_not_through_the_provider(ada: Member, *, linked: bool) -> None:
    if linked:
        Browser("ada").sign_in()
    User.objects.filter(pk=ada.user_id).update(is_active=False)
    browser = Browser("ada")

    answer = browser.sign_in()

    assert answer.status_code in {302, 403}
    assert answer.headers.get("Location", "/auth/inactive/") == "/auth/inactive/"
    assert not _is_signed_in(browser)
    assert AuditEntry.objects.filter(action=Action.SIGN_IN_FAILED, outcome=Outcome.REFUSED).exists()


def test_a_state_of_another_browser_signs_nobody_in(ada: Member) -> None:
    attacker, victim = Browser("ada"), Browser("victim")

    answer = victim.portal.get(attacker.return_from(attacker.leave()))

    assert answer.status_code == 400
    assert "This sign-in is over" in answer.content.decode()
    assert not _is_signed_in(victim)


def test_an_answer_counts_once(ada: Member) -> None:
    browser = Browser("ada")
    address = browser.return_from(browser.leave())
    browser.portal.get(address)

    assert browser.portal.get(address).status_code == 400


def _with_the_code_of(other: Browser, browser: Browser) -> str:
    """The callback of `browser`, with the code that the provider gave to `other`."""
    stolen = other.return_from(other.leave()).split("code=")[1].split("&")[0]
    own = browser.return_from(browser.leave())
    return own.replace(own.split("code=")[1].split("&")[0], stolen)


def test_a_code_that_was_given_to_another_browser_is_refused_by_the_provider(ada: Member) -> None:
    browser = Browser("ada")

    answer = browser.portal.get(_with_the_code_of(Browser("ada"), browser))

    assert answer.status_code == 502
    assert not _is_signed_in(browser)


def test_where_the_provider_does_not_notice_the_nonce_tells(ada: Member, settings: Settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["OAUTH_PKCE_ENABLED"] = False
    browser = Browser("ada")
    try:
        answer = browser.portal.get(_with_the_code_of(Browser("ada"), browser))
    finally:
        settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["OAUTH_PKCE_ENABLED"] = True

    assert answer.status_code == 400
    assert not _is_signed_in(browser)


@pytest.mark.parametrize(
    ("mischief", "status"),
    [
        ({"nonce": "another"}, 400),
        ({"aud": "another client"}, 502),
        ({"id_token": {"iss": "https://evil.example"}}, 502),
        ({"id_token": {"exp": 1}}, 502),
        ({"id_token": {"sub": "1" * 300}}, 502),
        ({"id_token": {"sub": ["a"]}}, 502),
        ({"userinfo": {"sub": "another"}}, 502),
        ({"userinfo": {"email": ["a"], "email_verified": True}}, 403),
        ({"userinfo": {"email": "a\nb@evil.example", "email_verified": True}}, 403),
        ({"forged": True}, 502),
    ],
)
def test_a_token_that_is_not_ours_signs_nobody_in(
    ada: Member, provider: Provider, mischief: dict[str, object], status: int
) -> None:
    provider.misbehave(**mischief)
    browser = Browser("ada")

    answer = browser.sign_in()

    assert answer.status_code == status
    assert not _is_signed_in(browser)


def test_who_does_not_agree_is_told_so(ada: Member) -> None:
    browser = Browser("ada")

    answer = browser.sign_in(agree=False)

    assert answer.status_code == 403
    assert "You did not sign in" in answer.content.decode()


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x&code=y", "?error=access_denied", "?state=%00&code=%00"])
def test_an_address_that_nobody_was_sent_back_to_is_refused(ada: Member, client: Client, query: str) -> None:
    assert client.get(f"{CALLBACK}{query}").status_code == 400


# --- The provider is away -----------------------------------------------------------------------------------------
def test_a_provider_that_does_not_answer_is_said(ada: Member, settings: Settings, client: Client) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:1"

    answer = client.post(BUTTON)

    assert answer.status_code == 503
    assert "Example Corp does not answer" in answer.content.decode()
    assert "127.0.0.1" not in answer.content.decode()


def test_a_provider_that_hangs_on_the_way_back_is_said(ada: Member, provider: Provider, settings: Settings) -> None:
    settings.SOCIALACCOUNT_REQUESTS_TIMEOUT = 0.5
    browser = Browser("ada")
    address = browser.return_from(browser.leave())
    provider.process.send_signal(signal.SIGSTOP)
    try:
        answer = browser.portal.get(address)
    finally:
        provider.process.send_signal(signal.SIGCONT)

    assert answer.status_code == 503
    assert not _is_signed_in(browser)


def test_another_issuers_discovery_document_is_refused(ada: Member, settings: Settings, client: Client) -> None:
    settings.OIDC_ISSUER = settings.OIDC_ISSUER.replace("127.0.0.1", "localhost")

    assert client.post(BUTTON).status_code == 502


def test_one_place_comes_by_sixty_times_a_minute(ada: Member, client: Client) -> None:
    answers = [client.get(f"{CALLBACK}?state=x&code=y").status_code for _ in range(61)]

    assert answers == [400] * 60 + [429]
    assert client.post(BUTTON).status_code == 429


# --- Operators ----------------------------------------------------------------------------------------------------
def test_unlinked_a_person_is_linked_anew(ada: Member, provider: Provider) -> None:
    Browser("ada").sign_in()
    single_sign_on.unlink(user=ada.user, by=SHELL, now=timezone.now())
    provider.person("ada-again", email=ADA, email_verified=True)
    browser = Browser("ada-again")

    browser.sign_in()

    assert _is_signed_in(browser)
    assert AuditEntry.objects.filter(action=Action.PROVIDER_DISCONNECTED, actor_name="operator (shell)").exists()


def test_the_provider_proves_the_address(provider: Provider) -> None:
    user = User.objects.find_or_make("new@acme.example")
    provider.person("new", email=user.email, email_verified=True)
    browser = Browser("new")

    browser.sign_in()

    assert _is_signed_in(browser)
    assert EmailAddress.objects.get(user=user).verified
