"""People at the pages: signed in through the form, with or without fresh proof of who they are."""

import time

from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Member
from apikeys.models import ApiKey
from tests.factories import PASSWORD

JSON = {"Accept": "application/json"}  # as the page's script asks
HTML = {"Accept": "text/html"}  # as a browser without script asks


def admin_of(key: ApiKey) -> Member:
    """The super admin who created it."""
    assert key.created_by is not None
    return key.created_by


def signed_in(member: Member) -> Client:
    client = Client()
    client.post(reverse("account_login"), {"login": member.user.email, "password": PASSWORD})
    return client


def signed_in_by(member: Member, method: str) -> Client:
    """Without the form: by what a session remembers of another way in, such as `single_sign_on`."""
    client = Client()
    client.force_login(member.user)
    session = client.session
    session["account_authentication_methods"] = [{"method": method, "at": time.time()}]
    session["account_authentication_methods_user"] = str(member.user_id)
    session.save()
    return client


def signed_in_a_while_ago(member: Member) -> Client:
    """Long enough that the password is asked for again."""
    client = signed_in(member)
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] = time.time() - settings.RECENT_AUTHENTICATION_SECONDS - 1
    session.save()
    return client


def path(name: str, account: Account, *args: object) -> str:
    return reverse(name, args=[account.slug, *args])
