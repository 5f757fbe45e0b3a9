"""Where people land, which accounts they may open, who is in them, and the pages for what went wrong."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import invitations
from accounts.permissions import GRANTS, Permission, Role
from apikeys import secrets
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, InvitationFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db


def test_signed_out_the_start_page_is_the_sign_in_form(client: Client) -> None:
    answer = client.get("/", follow=True)

    assert answer.redirect_chain == [("/auth/login/", 302)]
    assert b'name="login"' in answer.content
    assert b'name="password"' in answer.content


def test_signing_in_leads_to_the_page_that_was_asked_for(client: Client) -> None:
    member = MemberFactory.create()
    asked = path("apikeys:api-key", member.account)
    sign_in = client.get(asked).headers["Location"]

    answer = client.post(sign_in, {"login": member.user.email, "password": PASSWORD, "next": asked})

    assert sign_in == f"/auth/login/?next={asked}"
    assert answer.headers["Location"] == asked


@pytest.mark.parametrize("address", ["/", "/accounts/", "/profile/", "/auth/email/"])
def test_who_asks_for_the_head_of_a_page_gets_that(address: str) -> None:
    client = signed_in(MemberFactory.create())

    assert client.head(address).status_code == client.get(address).status_code


def test_the_only_account_opens_by_itself() -> None:
    member = MemberFactory.create()

    answer = signed_in(member).get("/", follow=True)

    assert answer.redirect_chain[-1] == (path("apikeys:api-key", member.account), 302)


def test_of_several_accounts_one_is_chosen() -> None:
    member = MemberFactory.create()
    other = MemberFactory.create(user=member.user, role=Role.AUDITOR)

    text = signed_in(member).get("/accounts/").content.decode()

    assert member.account.name in text
    assert other.account.name in text


def test_a_person_without_an_account_is_told_what_to_do(client: Client) -> None:
    user = UserFactory.create()
    client.post("/auth/login/", {"login": user.email, "password": PASSWORD})

    text = client.get("/accounts/").content.decode()

    assert "You are not a member of any account." in text
    assert f"ask a super admin of it to invite {user.email}" in text


def test_who_is_invited_finds_the_invitation_among_their_accounts() -> None:
    invited = InvitationFactory.create(account__name="Acme & Sons")
    expired = InvitationFactory.create(email=invited.email, created_at=timezone.now() - timedelta(days=8))
    client = Client()
    user = UserFactory.create(email=invited.email)
    client.post("/auth/login/", {"login": user.email, "password": PASSWORD})

    text = client.get("/accounts/").content.decode()

    assert f'href="{invitations.path_of(invited)}"' in text
    assert "Acme &amp; Sons" in text
    assert invitations.path_of(expired) not in text
    assert "You are not a member of any account." not in text


def test_who_lacks_the_permission_is_told_whom_to_ask_and_where() -> None:
    member = MemberFactory.create()
    admin = SuperAdminFactory.create(account=member.account, user__name="Ada")

    text = signed_in(member).get(path("accounts:members-invite", member.account)).content.decode()

    assert f"mailto:{admin.user.email}" in text
    assert f'href="{path("apikeys:api-key", member.account)}#ask"' in text
    assert 'id="ask"' in signed_in(member).get(path("apikeys:api-key", member.account)).content.decode()


def test_members_are_listed_with_their_roles() -> None:
    member = MemberFactory.create()
    SuperAdminFactory.create(account=member.account, user__name="Ada")
    stranger = MemberFactory.create(user__name="Mallory")

    text = signed_in(member).get(path("accounts:members", member.account)).content.decode()

    assert "Ada" in text
    assert "Super admin" in text
    assert stranger.user.name not in text


def test_the_page_of_roles_says_of_each_permission_which_roles_have_it() -> None:
    member = MemberFactory.create(role=Role.AUDITOR)

    text = signed_in(member).get(path("accounts:members-roles", member.account)).content.decode()

    rows = re.findall(r'<tr>\s*<td data-label="May">(.*?)</td>(.*?)</tr>', text, re.DOTALL)
    shown = {label: re.findall(r'data-label="([^"]+)">.*?(Yes|No)<', cells, re.DOTALL) for label, cells in rows}
    assert shown == {
        permission.label: [(role.label, "Yes" if permission in GRANTS[role] else "No") for role in Role]
        for permission in Permission
    }


def test_a_person_chooses_their_time_zone() -> None:
    member = MemberFactory.create()

    answer = signed_in(member).post(
        "/profile/", {"name": "Ada", "language": "en", "time_zone": "Asia/Kolkata"}, follow=True
    )

    member.user.refresh_from_db()
    assert (member.user.name, member.user.time_zone) == ("Ada", "Asia/Kolkata")
    assert b"Times are in Asia/Kolkata." in answer.content


def test_another_name_is_an_entry_that_tells_both() -> None:
    member = MemberFactory.create(user__name="Ada")
    client = signed_in(member)

    client.post("/profile/", {"name": "Ada Okafor", "language": "en", "time_zone": "UTC"})
    client.post("/profile/", {"name": "Ada Okafor", "language": "en", "time_zone": "Asia/Kolkata"})

    entry = AuditEntry.objects.get(action=Action.MEMBER_RENAMED)
    assert (entry.account_id, entry.actor_email) == (member.account_id, member.user.email)
    assert entry.details == {"before": "Ada", "after": "Ada Okafor"}


def test_a_key_that_was_pasted_into_the_name_is_refused() -> None:
    member = MemberFactory.create()
    before, secret = member.user.name, secrets.generate(secrets.Kind.API_KEY)

    answer = signed_in(member).post("/profile/", {"name": secret, "language": "en", "time_zone": "UTC"})

    member.user.refresh_from_db()
    assert member.user.name == before
    assert b"This looks like a key" in answer.content
    assert secret.encode() not in answer.content


def test_a_zone_that_is_none_changes_nothing() -> None:
    member = MemberFactory.create()

    answer = signed_in(member).post("/profile/", {"name": "Ada", "time_zone": "Mars/Olympus"})

    member.user.refresh_from_db()
    assert answer.status_code == 200
    assert member.user.time_zone == "UTC"


def test_the_theme_is_kept_without_script(client: Client) -> None:
    answer = client.post("/theme/", {"theme": "dark", "next": "/auth/login/"}, follow=True)

    assert answer.redirect_chain == [("/auth/login/", 302)]
    assert b'data-bs-theme="dark"' in answer.content


@pytest.mark.parametrize("theme", ["", "pink", "<script>"])
def test_a_theme_that_is_none_is_ignored(client: Client, theme: str) -> None:
    client.post("/theme/", {"theme": theme})
    client.cookies["theme"] = theme

    assert b"data-bs-theme" not in client.get("/auth/login/").content


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x"])
def test_switching_the_theme_leads_nowhere_else(client: Client, elsewhere: str) -> None:
    answer = client.post("/theme/", {"theme": "dark", "next": elsewhere})

    assert answer.headers["Location"] == "/"


def test_a_missing_page_says_what_to_do(client: Client) -> None:
    answer = client.get("/nowhere/")

    assert answer.status_code == 404
    assert b"Check the address" in answer.content


def test_a_form_without_its_token_is_explained() -> None:
    answer = Client(enforce_csrf_checks=True).post("/theme/", {"theme": "dark"})

    assert answer.status_code == 403
    assert b"This form has expired" in answer.content


def test_signing_out_and_in_leaves_no_chatter(client: Client) -> None:
    member = MemberFactory.create()
    client = signed_in(member)

    text = client.get(path("apikeys:api-key", member.account)).content.decode()

    assert "Successfully signed in" not in text


@pytest.mark.parametrize(
    "address", ["/auth/login/", "/auth/password/reset/", "/auth/signup/", "/auth/password/reset/done/"]
)
def test_the_pages_around_signing_in_are_ours(client: Client, address: str) -> None:
    answer = client.get(address)

    assert answer.status_code == 200
    assert b"css/portal.css" in answer.content


@pytest.mark.parametrize("address", ["/auth/login/", "/nowhere/", "/accounts/"])
def test_the_policy_of_each_page_allows_nothing_inline(client: Client, address: str) -> None:
    policy = client.get(address).headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
