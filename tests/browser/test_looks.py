"""Every page in both themes: no accessibility violation, nothing wider than a phone, no complaint of the browser."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from axe_playwright_python.sync_playwright import Axe
from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from accounts import access_requests, bounces, invitations, mail_choices, proofs_by_mail, role_mailboxes, setup
from accounts.actors import SHELL
from accounts.models import Account, BouncedAddress, Member, User
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.models import ApiKey, RotationPlan
from apikeys.operations import api_keys, connected_apps, handovers, rotation_plans, snoozes
from apikeys.operations.reminders import remind
from auditlog.models import AuditEntry
from tests.browser.conftest import Visitors
from tests.factories import (
    PASSWORD,
    AccountFactory,
    ApiKeyFactory,
    CallFactory,
    ConnectedAppFactory,
    ConnectionFactory,
    GroupedAccountFactory,
    InvitationFactory,
    MemberFactory,
    SunsetFactory,
    SuperAdminFactory,
    UserFactory,
)
from tests.second_factors import add_app, code
from tests.visitors import path

PHONE, DESKTOP = 390, 1280
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],  # of all else one example, rather than each element of a long list
}
LONG_NAME = "Internationale Gesellschaft für außerordentlich langnamige Unternehmungen mbH & Co. KG, Abteilung Süd"
DAY = timedelta(days=1)

TRANSITIONS_END = """() => Promise.allSettled(
    document.getAnimations().filter(one => one instanceof CSSTransition).map(one => one.finished)
)"""


@pytest.fixture
def busy() -> Account:
    """An account in which much has happened, under names that leave little room."""
    account = AccountFactory.create(name=LONG_NAME, slug="busy")
    names = {"user__name": "Maximiliane Freifrau von und zu Hohenlohe-Schillingsfürst"}
    admin = SuperAdminFactory.create(account=account, **names)
    for role in (Role.DEVELOPER, Role.AUDITOR, Role.MEMBER):
        MemberFactory.create(account=account, role=role, user__email=f"{role}@{'very-' * 9}long.example")
    MemberFactory.create(user=admin.user, role=Role.MEMBER)
    InvitationFactory.create(account=account, invited_by=admin, email=f"guest@{'very-' * 9}long.example")
    InvitationFactory.create(account=account, invited_by=None, created_at=timezone.now() - 8 * DAY)
    app = ConnectedAppFactory.create(name=LONG_NAME, scopes=["x" * 100, *(f"crm.objects.{n}.read" for n in range(9))])
    ConnectionFactory.create(account=account, app=app, scopes=app.scopes, connected_by=admin)
    rotated_at = timezone.now() - 203 * DAY
    old = ApiKeyFactory.create(account=account, created_by=admin, created_at=rotated_at - 180 * DAY)
    api_keys.rotate_api_key(account=account, generation=1, by=admin, now=rotated_at)
    access_requests.ask_for_key(member=account.members.get(role=Role.DEVELOPER), reason="x" * 200, now=timezone.now())
    now = timezone.now()
    crew = f"platform-team@{'very-' * 9}long.example"
    present = role_mailboxes.name(account=account, email=crew, by=admin, now=now)
    role_mailboxes.confirm(mailbox=present, user=None, now=now)
    auditor = account.members.get(role=Role.AUDITOR).user.email
    bounces.note(email=crew, kind=BouncedAddress.Kind.COMPLAINED, why="Unwanted", now=now)
    bounces.note(email=auditor, kind=BouncedAddress.Kind.BOUNCED, why="", now=now)
    role_mailboxes.name(account=account, email="new-team@acme.example", by=admin, now=now)
    _calls(account, old, account.api_keys.active().get())
    return account


def _calls(account: Account, old: ApiKey, key: ApiKey) -> None:
    anybody = {"account_id": account.pk}
    CallFactory.create_batch(30, **anybody, credential_id=key.id, duration_us=4_200)
    CallFactory.create(**anybody, credential_id=key.id, path="/" + "x" * 1000, agent="A" * 64, status=500)
    CallFactory.create(
        **anybody, credential_id=key.id, network="2001:db8:4242::/48", address="2001:db8:4242::1", agent=""
    )
    CallFactory.create(**anybody, credential_id=old.id, status=401, reason="rotated")
    CallFactory.create_batch(30, **anybody, credential_id=key.id, status=429, reason="burst_limit")


def _problems(page: Page, address: str) -> list[str]:
    page.goto(address)
    return _problems_here(page, address)


def _problems_here(page: Page, address: str) -> list[str]:
    found = [problem for theme in THEMES for problem in _violations(page, theme)]
    page.set_viewport_size({"width": PHONE, "height": 844})
    if page.evaluate("document.documentElement.scrollWidth") > PHONE:
        found.append("wider than a phone")
    page.set_viewport_size({"width": DESKTOP, "height": 900})
    return [f"{address}: {problem}" for problem in found]


def _problems_in_the_admin(visitors: Visitors, page: Page, addresses: Iterable[str]) -> list[str]:
    """There the browser complains of axe, too, which reads style sheets by a style that the policy refuses."""
    problems = []
    for address in addresses:
        page.goto(address)
        page.evaluate(TRANSITIONS_END)
        assert not visitors.complaints
        problems += _problems_here(page, address)
        visitors.complaints.clear()
    return problems


def _violations(page: Page, theme: Theme) -> list[str]:
    page.emulate_media(color_scheme=theme)
    page.evaluate(TRANSITIONS_END)
    violations: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    return [f"{theme}: {one['id']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in violations]


def test_the_pages_of_an_accounts_key_and_calls(visitors: Visitors, busy: Account) -> None:
    page = visitors.page(busy.super_admins().get())
    calls = path("auditlog:calls", busy)
    addresses = [
        *(path(f"apikeys:api-key{page}", busy) for page in ("", "-rotate", "-deactivate", "-previous")),
        *(calls, f"{calls}?follow=1", f"{calls}?path=nothing", f"{calls}?color=red"),
        path("auditlog:usage", busy),
    ]

    problems = [problem for address in addresses for problem in _problems(page, address)]

    assert not problems


def test_the_pages_of_an_accounts_people_and_apps(visitors: Visitors, busy: Account) -> None:
    page = visitors.page(busy.super_admins().get())
    entry = AuditEntry.objects.filter(account_id=busy.pk).latest("id")
    developer = busy.members.get(role=Role.DEVELOPER)
    addresses = [
        *(path("auditlog:audit-log", busy), path("auditlog:audit-log-entry", busy, entry.pk)),
        *(path(f"accounts:members{page}", busy) for page in ("", "-invite", "-leave")),
        *(path(f"accounts:members-{page}", busy, developer.pk) for page in ("role", "remove")),
        path("apikeys:connected-apps", busy),
        path("apikeys:connected-apps-disconnect", busy, busy.connections.get().pk),
        *(path(f"accounts:{page}", busy) for page in ("members-roles", "members-role-mailbox", "settings")),
    ]

    problems = [problem for address in addresses for problem in _problems(page, address)]

    assert not problems


def test_the_pages_of_other_roles_and_empty_accounts(visitors: Visitors, busy: Account) -> None:
    member = busy.members.get(role=Role.MEMBER)
    newcomer, too_late = SuperAdminFactory.create(), GroupedAccountFactory.create()
    SunsetFactory.create()
    SunsetFactory.create(group=too_late.group, creation_ends_at=timezone.now() - DAY)
    suspended = MemberFactory.create(account__state=Account.State.SUSPENDED)
    asked: list[tuple[Member, str]] = [
        (member, path("apikeys:api-key", busy)),
        (member, path("auditlog:calls", busy)),  # 403, and whom to ask
        (newcomer, path("apikeys:api-key", newcomer.account)),
        (suspended, "/notices/"),
        (suspended, path("accounts:members", suspended.account)),
        (newcomer, path("auditlog:calls", newcomer.account)),
        (SuperAdminFactory.create(account=too_late.account), path("apikeys:api-key", too_late.account)),
        (newcomer, path("auditlog:usage", newcomer.account)),
        (newcomer, path("apikeys:connected-apps", newcomer.account)),
    ]

    problems = [problem for person, address in asked for problem in _problems(visitors.page(person), address)]

    assert not problems


def test_the_pages_of_a_rotation_that_is_put_off_and_planned(visitors: Visitors, busy: Account) -> None:
    """Empty, filled in wrongly, and with all that can be agreed on before a rotation."""
    admin, now = busy.super_admins().get(), timezone.now()
    page = visitors.page(admin)
    forms = [path(f"apikeys:api-key-{name}", busy) for name in ("plan", "snooze", "hand-over")]
    problems = [problem for address in forms for problem in _problems(page, address)]

    page.goto(forms[0])
    page.locator("form.panel").evaluate("form => form.noValidate = true")
    page.get_by_label("When").fill("2020-01-05T02:00")
    page.get_by_role("button", name="Prepare the key and plan").click()
    page.get_by_text("Choose a time that lies ahead").wait_for()
    problems += [problem for theme in THEMES for problem in _violations(page, theme)]

    heir = SuperAdminFactory.create(account=busy, user__email=f"heir@{'very-' * 9}long.example", user__name=LONG_NAME)
    snoozes.snooze(account=busy, generation=2, days=30, reason="x" * 200, by=admin, now=now)
    handovers.hand_over(account=busy, generation=2, to=heir, by=admin, now=now)
    plan = rotation_plans.plan_rotation(account=busy, generation=2, planned_for=now + 9 * DAY, by=heir, now=now)
    early = {"account_id": busy.pk, "credential_id": plan.id, "status": 401, "reason": "prepared"}
    CallFactory.create(**early, agent="A" * 64)
    key_page = path("apikeys:api-key", busy)
    told = [key_page, forms[0], forms[2], *(path(f"apikeys:api-key-{name}", busy) for name in ("rotate", "deactivate"))]
    problems += [problem for address in told for problem in _problems(page, address)]
    problems += _problems(visitors.page(busy.members.get(role=Role.AUDITOR)), key_page)

    RotationPlan.objects.update(planned_for=now - DAY)
    problems += _problems(page, forms[0])  # late
    heir.leave(at=now)
    rotation_plans.wake(now=now)
    problems += [problem for address in (key_page, forms[0]) for problem in _problems(page, address)]  # did not run

    assert not problems


OF_A_GROUP = ("change", "add_accounts", "remove_accounts", "remove")
OF_A_SUNSET = ("change", "edit", "withdraw", "forecast")
OF_A_PERSON = ("address", "remove_operator", "deactivate", "reactivate")


def test_the_pages_of_an_operation_in_the_admin(visitors: Visitors, busy: Account) -> None:
    operator = busy.super_admins().get()
    User.objects.filter(pk=operator.user_id).update(is_staff=True)
    page = visitors.page(operator)
    bounces.note(email=operator.user.email, kind=BouncedAddress.Kind.BOUNCED, why="550", now=timezone.now())
    app = connected_apps.register(
        name="Salesforce", redirect_uris=["https://a.example/"], scopes=["oauth"], by=SHELL, now=timezone.now()
    )
    sunset = SunsetFactory.create(group=GroupedAccountFactory.create(account=busy).group)
    addresses = [
        *(reverse(f"admin:accounts_account_{deed}", args=[busy.pk]) for deed in ("plan", "suspend", "close", "reopen")),
        *(reverse(f"admin:{page}") for page in ("index", "accounts_user_add_operator")),
        *(reverse(f"admin:accounts_user_{deed}", args=[operator.user_id]) for deed in OF_A_PERSON),
        reverse("admin:apikeys_connectedapp_register"),
        *(reverse(f"admin:apikeys_connectedapp_{deed}", args=[app.pk]) for deed in ("edit", "withdraw", "change")),
        *(reverse(f"admin:{page}") for page in ("accounts_accountgroup_create", "apikeys_sunset_announce")),
        *(reverse(f"admin:accounts_accountgroup_{deed}", args=[sunset.group_id]) for deed in OF_A_GROUP),
        *(reverse(f"admin:apikeys_sunset_{deed}", args=[sunset.pk]) for deed in OF_A_SUNSET),
    ]

    assert not _problems_in_the_admin(visitors, page, addresses)


def _operators_page(visitors: Visitors, account: Account) -> Page:
    """A window of one of the account's super admins, who is an operator too."""
    operator = account.super_admins().get()
    User.objects.filter(pk=operator.user_id).update(is_staff=True)
    return visitors.page(operator)


@pytest.fixture
def listed(busy: Account) -> dict[type[Model], str]:
    """Whatever is registered in the admin, and how its pages are called."""
    SunsetFactory.create(group=GroupedAccountFactory.create(account=busy).group)
    return {model: f"admin:{model._meta.label_lower.replace('.', '_')}" for model in admin.site._registry}  # noqa: SLF001 -- every model that has pages there


def test_the_lists_of_the_admin(visitors: Visitors, busy: Account, listed: dict[type[Model], str]) -> None:
    page = _operators_page(visitors, busy)
    addresses = [
        *("/admin/", "/admin/accounts/", "/admin/nowhere/"),
        *(reverse(f"{name}_changelist") for name in listed.values()),
        f"{reverse('admin:auditlog_call_changelist')}?q=nothing",
    ]

    assert not _problems_in_the_admin(visitors, page, addresses)


def test_the_rows_of_the_admin(visitors: Visitors, busy: Account, listed: dict[type[Model], str]) -> None:
    """A new model of which nothing here makes a row fails."""
    page = _operators_page(visitors, busy)
    rows = {model: model._default_manager.latest("pk").pk for model in listed}  # noqa: SLF001 -- documented API
    addresses = [
        *(reverse(f"{name}_change", args=[rows[model]]) for model, name in listed.items()),
        reverse("admin:accounts_account_history", args=[busy.pk]),
    ]

    assert not _problems_in_the_admin(visitors, page, addresses)


def test_the_pages_of_kept_mails(visitors: Visitors, busy: Account, settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND, settings.MAIL_IS_KEPT, settings.MAIL_DIR = "keyportal.mail.EmlFileBackend", True, tmp_path
    page = _operators_page(visitors, busy)
    empty = _problems(page, "/mail/")
    remind(now=timezone.now())
    send_mails()

    addresses = ["/mail/", *(f"/mail/{file.stem}/" for file in tmp_path.iterdir())]

    assert len(addresses) > 1
    assert not [*empty, *(problem for address in addresses for problem in _problems(page, address))]


def test_the_previews_of_mails(visitors: Visitors, busy: Account) -> None:
    page = _operators_page(visitors, busy)
    addresses = [
        "/mail/previews/",
        reverse("mail-preview", args=["apikeys.rotation_due", "super-admin"]),
        reverse("mail-preview", args=["accounts.digest", "two"]),
    ]

    assert not [problem for address in addresses for problem in _problems(page, address)]
    frames = [frame for frame in page.frames if frame is not page.main_frame]
    looks = [frame.locator(".sheet").evaluate("one => getComputedStyle(one).backgroundColor") for frame in frames]
    assert sorted(set(looks)) == ["rgb(24, 28, 35)", "rgb(255, 255, 255)"]


def test_the_page_that_switches_mails_off(visitors: Visitors, busy: Account) -> None:
    user = busy.super_admins().get().user
    page = visitors.page()
    address = urlsplit(mail_choices.switch_off_link(user, [access_requests.MAIL])).path

    asked = _problems(page, address)
    page.get_by_role("button", name="Switch off").click()
    page.get_by_role("heading", name="These mails do not come any more").wait_for()
    done = [problem for theme in THEMES for problem in _violations(page, theme)]

    assert not asked + done
    assert not user.mail_choices.exclude(delivery="never").exists()


def test_the_pages_of_a_person(visitors: Visitors, busy: Account) -> None:
    ada = busy.super_admins().get()
    page = visitors.page(ada)
    remind(now=timezone.now())
    MemberFactory.create(user=ada.user)
    InvitationFactory.create(email=ada.user.email)
    addresses = [
        "/accounts/",
        "/notices/",
        "/profile/",
        "/auth/password/change/",
        "/auth/reauthenticate/",
        "/auth/logout/",
        "/auth/email/",
        "/auth/email/change/nothing/",
        urlsplit(proofs_by_mail.new_address_link(ada.user, "ada@new.example")).path,
        urlsplit(proofs_by_mail.new_password_link(ada.user)).path,
        "/auth/password/reset/key/1-nothing/",
        "/auth/inactive/",
        "/auth/sessions/",
        "/auth/second-factor/",
        "/auth/second-factor/app/add/",
        "/auth/second-factor/passkeys/",
        "/auth/second-factor/passkeys/add/",
        "/auth/no-proof/",
        "/docs",
    ]

    problems = [problem for address in addresses for problem in _problems(page, address)]

    assert not problems


def test_the_pages_of_second_factors(visitors: Visitors, busy: Account) -> None:
    user = busy.super_admins().get().user
    page = visitors.page()
    secret = add_app(user)
    page.goto("/auth/login/")
    page.get_by_label("E-mail address").fill(user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/auth/second-factor/authenticate/")
    half_way = _problems(page, "/auth/second-factor/authenticate/")
    page.get_by_label("Code").fill(code(secret, lasts=10))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/accounts/**")
    pages = ["", "app/remove/", "recovery-codes/", "recovery-codes/new/", "reauthenticate/"]

    problems = [problem for each in pages for problem in _problems(page, f"/auth/second-factor/{each}")]
    data = {"name": "Maximiliane’s very own and quite new laptop computer in the office", "passwordless": True}
    passkey = Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data=data).pk
    of_passkeys = ["passkeys/", f"passkeys/{passkey}/name/", f"passkeys/{passkey}/remove/"]
    problems += [problem for each in of_passkeys for problem in _problems(page, f"/auth/second-factor/{each}")]

    assert not half_way + problems


def test_the_page_to_choose_a_password_for_who_has_none(visitors: Visitors, busy: Account) -> None:
    user = busy.super_admins().get().user
    user.set_unusable_password()
    user.save()
    page = visitors.page(busy.super_admins().get(), proved_by="single_sign_on")

    problems = _problems(page, "/auth/password/set/")

    assert page.url.endswith("/auth/password/set/")
    assert not problems


def test_the_pages_for_those_who_are_not_signed_in(visitors: Visitors) -> None:
    page = visitors.page()
    unproved = UserFactory.create(address_proved=False)
    EmailAddress.objects.create(user=unproved, email=unproved.email, primary=True)
    SunsetFactory.create(creation_ends_at=timezone.now())
    addresses = [
        "/auth/login/",
        "/auth/password/reset/",
        "/auth/password/reset/done/",
        "/auth/password/reset/key/done/",
        "/auth/signup/",
        "/nowhere/",
        "/docs",
        "/migrate/",
        "/auth/confirm-email/",
        "/auth/confirm-email/nothing/",
        proofs_by_mail.confirmation_link(EmailAddress.objects.get(user=unproved)),
    ]

    problems = [problem for address in addresses for problem in _problems(page, urlsplit(address).path)]

    assert not problems


def test_the_pages_that_an_invitation_opens(visitors: Visitors, busy: Account) -> None:
    new, void = (f"/invitations/{invitations.token_of(one.issue)}/" for one in busy.invitations.order_by("-created_at"))
    member = busy.members.get(role=Role.MEMBER)
    known = InvitationFactory.create(email=member.user.email)
    to_them = f"/invitations/{invitations.token_of(known.issue)}/"
    asked = [(None, new), (None, void), (None, to_them), (member, to_them), (member, new)]

    problems = [problem for person, address in asked for problem in _problems(visitors.page(person), address)]

    assert not problems


def test_the_pages_that_the_link_to_a_role_mailbox_opens(visitors: Visitors, busy: Account) -> None:
    page = visitors.page()
    link = urlsplit(role_mailboxes.link_of(busy.role_mailboxes.get(confirmed_at=None))).path

    problems = [problem for address in (link, "/role-mailboxes/nothing/") for problem in _problems(page, address)]
    page.goto(link)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("heading", name="The mailbox is confirmed").wait_for()

    assert not [*problems, *(problem for theme in THEMES for problem in _violations(page, theme))]


def test_the_page_of_the_set_up_link(visitors: Visitors) -> None:
    link = setup.link()
    assert link is not None

    problems = _problems(visitors.page(), urlsplit(link).path)

    assert not problems


def test_the_page_that_shows_the_secret_without_script(visitors: Visitors, busy: Account) -> None:
    page = visitors.page(busy.super_admins().get())
    page.goto(path("apikeys:api-key", busy))

    with page.expect_navigation():
        page.locator("form[data-secret]").evaluate("form => form.submit()")  # past the script

    assert page.get_by_text("This page leaves by itself").is_visible()
    assert not [problem for theme in THEMES for problem in _violations(page, theme)]


def test_menus_open_with_the_keyboard_and_the_first_stop_skips_to_the_content(
    visitors: Visitors, busy: Account
) -> None:
    page = visitors.page(busy.super_admins().get())
    page.goto(path("apikeys:api-key", busy))

    page.keyboard.press("Tab")
    skips = page.evaluate("document.activeElement.getAttribute('href')")
    page.locator(".user-menu > summary").focus()
    page.keyboard.press("Enter")

    assert skips == "#content"
    assert page.get_by_role("button", name="Sign out").is_visible()
    assert not [problem for theme in THEMES for problem in _violations(page, theme)]


@pytest.mark.parametrize("name", ["apikeys:api-key", "accounts:settings"])
def test_on_a_phone_the_place_where_one_is_stands_in_the_list_where_it_is_seen(
    visitors: Visitors, busy: Account, name: str
) -> None:
    page = visitors.page(busy.super_admins().get(), width=PHONE)

    page.goto(path(name, busy))

    expect(page.locator(".nav-list [aria-current]")).to_be_in_viewport(ratio=0.9)


@pytest.mark.parametrize("script", [True, False])
def test_the_theme_follows_the_system_until_it_is_chosen(visitors: Visitors, script: bool) -> None:  # noqa: FBT001 -- pytest passes it
    page = visitors.page(theme="dark", script=script)
    page.goto("/auth/login/")
    dark = _background(page)
    page.emulate_media(color_scheme="light")

    light = _background(page)

    assert dark != light


def _background(page: Page) -> str:
    shot: str = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    return shot
