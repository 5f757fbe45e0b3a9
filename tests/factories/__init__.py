"""Rows for tests, made as the operations make them."""

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import uuid4

import factory
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts import invitations
from accounts.models import Account, AccountGroup, GroupedAccount, Invitation, Member, User
from accounts.operations import prove_address
from accounts.permissions import Role
from apikeys import secrets
from apikeys.models import ApiKey, ConnectedApp, Connection, Sunset
from auditlog.call_rollups import RollUps
from auditlog.models import Call

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
PASSWORD = "correct horse battery staple"


@cache
def _hashed_password() -> str:
    return make_password(PASSWORD)


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@acme.example")
    name = factory.Sequence(lambda n: f"Person {n}")
    password = factory.LazyFunction(_hashed_password)

    @factory.post_generation
    def address_proved(self, create: bool, extracted: bool | None, **_others: Any) -> None:  # noqa: FBT001 -- factory-boy's signature
        """As an invitation or a mailed link proves it; `address_proved=False` for who has not shown it yet."""
        if create and extracted is not False:
            prove_address(self)  # type: ignore[arg-type]  # the person, by then


class AccountFactory(factory.django.DjangoModelFactory[Account]):
    class Meta:
        model = Account

    name = factory.Sequence(lambda n: f"Acme {n}")
    slug = factory.Sequence(lambda n: f"acme-{n}")


class MemberFactory(factory.django.DjangoModelFactory[Member]):
    class Meta:
        model = Member

    account = factory.SubFactory(AccountFactory)
    user = factory.SubFactory(UserFactory)
    role = Role.MEMBER


class SuperAdminFactory(MemberFactory):
    role = Role.SUPER_ADMIN


class InvitationFactory(factory.django.DjangoModelFactory[Invitation]):
    """One that was sent an hour ago; its link: `invitations.link_of(…)`."""

    class Meta:
        model = Invitation

    account = factory.SubFactory(AccountFactory)
    invited_by = factory.SubFactory(SuperAdminFactory, account=factory.SelfAttribute("..account"))
    email = factory.Sequence(lambda n: f"guest{n}@acme.example")
    role = Role.MEMBER
    issue = factory.LazyFunction(uuid4)
    token_digest = factory.LazyAttribute(lambda one: sha256(invitations.token_of(one.issue).encode()).digest())
    created_at = factory.LazyFunction(lambda: timezone.now() - timedelta(hours=1))
    sent_at = factory.SelfAttribute("created_at")
    expires_at = factory.LazyAttribute(lambda one: one.sent_at + invitations.LASTS)


class ApiKeyFactory(factory.django.DjangoModelFactory[ApiKey]):
    """An active key; `secret=` for one that the test must know."""

    class Meta:
        model = ApiKey

    account = factory.SubFactory(AccountFactory)
    generation = 1
    created_at = NOW
    created_by = factory.SubFactory(SuperAdminFactory, account=factory.SelfAttribute("..account"))

    @classmethod
    def _create(cls, model_class: type[ApiKey], **kwargs: Any) -> ApiKey:  # noqa: ARG003 -- factory-boy's signature
        secret = kwargs.pop("secret", None) or secrets.generate(secrets.Kind.API_KEY)
        key = ApiKey(**kwargs)
        key.keep(secret)
        key.save()
        return key


class ConnectedAppFactory(factory.django.DjangoModelFactory[ConnectedApp]):
    class Meta:
        model = ConnectedApp

    name = factory.Sequence(lambda n: f"App {n}")
    redirect_uris = factory.LazyFunction(lambda: ["https://app.example.com/callback"])
    scopes = factory.LazyFunction(lambda: ["contacts.read", "contacts.write"])
    registered_at = NOW


class ConnectionFactory(factory.django.DjangoModelFactory[Connection]):
    """An app that is connected now."""

    class Meta:
        model = Connection

    account = factory.SubFactory(AccountFactory)
    app = factory.SubFactory(ConnectedAppFactory)
    scopes = factory.LazyFunction(lambda: ["contacts.read"])
    connected_at = NOW
    connected_by = factory.SubFactory(SuperAdminFactory, account=factory.SelfAttribute("..account"))


class CallFactory(factory.django.DjangoModelFactory[Call]):
    """An accepted call, made just now; counted in the roll-ups."""

    class Meta:
        model = Call

    at = factory.LazyFunction(timezone.now)
    method = "GET"
    path = "/contacts"
    status = 200
    credential_kind = "api_key"
    agent = "python-requests"
    network = "203.0.113.0/24"
    user_agent = "python-requests/2.32.3"
    address = "203.0.113.9"
    request_id = factory.LazyFunction(uuid4)

    @classmethod
    def _create(cls, model_class: type[Call], **kwargs: Any) -> Call:
        call: Call = super()._create(model_class, **kwargs)
        RollUps().add_rows([call])
        return call


class AccountGroupFactory(factory.django.DjangoModelFactory[AccountGroup]):
    class Meta:
        model = AccountGroup

    name = factory.Sequence(lambda n: f"Wave {n}")
    created_at = NOW


class GroupedAccountFactory(factory.django.DjangoModelFactory[GroupedAccount]):
    class Meta:
        model = GroupedAccount

    account = factory.SubFactory(AccountFactory)
    group = factory.SubFactory(AccountGroupFactory)


class SunsetFactory(factory.django.DjangoModelFactory[Sunset]):
    """For all accounts, announced an hour ago: no calls from 90 days on."""

    class Meta:
        model = Sunset

    announced_at = factory.LazyFunction(lambda: timezone.now().replace(microsecond=0) - timedelta(hours=1))
    changed_at = factory.SelfAttribute("announced_at")
    authentication_ends_at = factory.LazyAttribute(lambda one: one.announced_at + timedelta(days=90))
