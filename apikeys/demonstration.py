"""What `./portal up --demo` shows: three accounts with people, keys, their history and a week of calls. All made up.

Names are of the reserved domains (RFC 2606), addresses of the documentation networks (RFC 5737, RFC 3849).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts import operations, revisions
from accounts.actors import Operator
from accounts.models import Account, Member, User
from accounts.permissions import Role
from apikeys import demonstration_calls, secrets
from apikeys.models import ApiKey, ConnectedApp, Connection
from apikeys.operations import connected_apps, reminders
from auditlog import journal, origin
from auditlog.actions import Action

DAY = timedelta(days=1)

BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
OFFICE = origin.Origin(address="203.0.113.12", user_agent=BROWSER)
HOME = origin.Origin(
    address="2001:db8:7a2::51",
    user_agent="Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0",
)
PHONE = origin.Origin(
    address="198.51.100.203",
    user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Mobile/15E148 Safari/604.1",
)

OPERATOR = ("operator@portal.example", "Olivia Park")
ACME = [
    ("superadmin@acme.example", "Ada Okafor", Role.SUPER_ADMIN),
    ("superadmin2@acme.example", "Grace Lindqvist", Role.SUPER_ADMIN),
    ("developer@acme.example", "Mira Patel", Role.DEVELOPER),
    ("auditor@acme.example", "Tomás Herrera", Role.AUDITOR),
    ("member@acme.example", "Jun Sato", Role.MEMBER),
]
GLOBEX = [("superadmin@globex.example", "Hannah Weiss", Role.SUPER_ADMIN)]
INITECH = [("superadmin@initech.example", "Bill Moreau", Role.SUPER_ADMIN)]

# name, scopes, days ago that Acme connected it
APPS = [
    ("Salesforce", ["crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.contacts.write"], 214),
    ("Lakeside Reports", ["crm.objects.companies.read", "crm.objects.deals.read"], 58),
]


class InUseError(Exception):
    """The database belongs to people who are none of the demonstration's."""


def fill(*, password: str) -> None:
    """Make the demonstration in an empty database; later, only see to it that the password is what is printed.

    :raises InUseError: if there are users, but not the demonstration's operator.
    """
    with transaction.atomic():
        if not User.objects.exists():
            _fill(make_password(password), now=timezone.now())
    operator = User.objects.filter(email=OPERATOR[0]).first()
    if operator is None:
        raise InUseError("The database is in use. The demonstration needs an empty one.")
    if not operator.check_password(password):
        User.objects.update(password=make_password(password))


def _fill(password: str, *, now: datetime) -> None:
    user = _user(*OPERATOR, password, at=now - 400 * DAY, is_staff=True, is_superuser=True)
    operator = Operator(user)
    acme = _account("Acme", "acme", "America/New_York", ACME, password, by=operator, at=now - 390 * DAY)
    _account("Globex", "globex", "Europe/Berlin", GLOBEX, password, by=operator, at=now - 9 * DAY)
    initech = _account("Initech", "initech", "America/Chicago", INITECH, password, by=operator, at=now - 301 * DAY)
    _live_acme(acme, operator=operator, now=now)
    _live_initech(initech, now=now)
    reminders.remind(now=now)


def _user(email: str, name: str, password: str, *, at: datetime, **fields: bool) -> User:
    user = User.objects.create(email=email, name=name, password=password, created_at=at, **fields)
    operations.prove_address(user)
    return user


def _account(
    name: str,
    slug: str,
    zone: str,
    people: list[tuple[str, str, Role]],
    password: str,
    *,
    by: Operator,
    at: datetime,
) -> Account:
    (email, full_name, _), *others = people
    first = _user(email, full_name, password, at=at)
    with _from(OFFICE):
        account = operations.create_account(name=name, slug=slug, super_admin=first, by=by, now=at, time_zone=zone)
        invited_by = account.members.get()
        for days, (email, full_name, role) in enumerate(others, start=1):
            user = _user(email, full_name, password, at=at + days * DAY)
            operations.join(account=account, user=user, role=role, by=invited_by, now=at + days * DAY)
    User.objects.filter(memberships__account=account).update(time_zone=zone)
    return account


def _live_acme(account: Account, *, operator: Operator, now: datetime) -> None:
    """Generation 1 was rotated away 203 days ago; its successor is overdue, and still in five callers' hands."""
    ada, grace, mira, jun = (_member(account, ACME[person][0]) for person in (0, 1, 2, 4))
    rotated_at = now - 203 * DAY - timedelta(hours=2)
    old = _key(account, 1, by=ada, at=now - 384 * DAY)
    _write(Action.API_KEY_CREATED, old, by=ada, at=old.created_at, where=OFFICE)
    _write(Action.API_KEY_VIEWED, old, by=ada, at=now - 380 * DAY, where=OFFICE)
    _write(Action.API_KEY_VIEWED, old, by=grace, at=now - 291 * DAY, where=HOME)
    _end(old, ApiKey.End.ROTATED, by=grace, at=rotated_at)
    key = _key(account, 2, by=grace, at=rotated_at)
    _write(Action.API_KEY_ROTATED, key, by=grace, at=rotated_at, where=OFFICE, replaced=old.last4)
    _write(Action.API_KEY_VIEWED, key, by=grace, at=rotated_at + timedelta(minutes=6), where=OFFICE)
    _write(Action.API_KEY_VIEWED, key, by=ada, at=now - 121 * DAY, where=OFFICE)
    _write(Action.API_KEY_VIEWED, key, by=ada, at=now - 41 * DAY, where=PHONE)
    _refuse(Action.API_KEY_VIEWED, account, by=mira, at=now - 12 * DAY, where=OFFICE)
    _write(Action.API_KEY_VIEWED, key, by=grace, at=now - 6 * DAY - timedelta(hours=3), where=HOME)
    _refuse(Action.API_KEY_ROTATED, account, by=jun, at=now - 3 * DAY - timedelta(hours=5), where=OFFICE)
    revisions.take(account=account, now=rotated_at)
    for app, days in _register_apps(by=operator, at=now - 395 * DAY):
        _connect(app, account, by=ada, at=now - days * DAY)
    demonstration_calls.make_acme(account, old=old, key=key, now=now)


def _live_initech(account: Account, *, now: datetime) -> None:
    """The key was deactivated five days ago; two callers have not noticed."""
    bill = _member(account, INITECH[0][0])
    key = _key(account, 1, by=bill, at=now - 300 * DAY)
    _write(Action.API_KEY_CREATED, key, by=bill, at=key.created_at, where=OFFICE)
    _write(Action.API_KEY_VIEWED, key, by=bill, at=now - 299 * DAY, where=OFFICE)
    _write(Action.API_KEY_VIEWED, key, by=bill, at=now - 37 * DAY, where=PHONE)
    ended_at = now - 5 * DAY - timedelta(hours=4)
    _end(key, ApiKey.End.DEACTIVATED, by=bill, at=ended_at)
    _write(Action.API_KEY_DEACTIVATED, key, by=bill, at=ended_at, where=OFFICE)
    revisions.take(account=account, now=ended_at)
    demonstration_calls.make_initech(account, key=key, now=now)


def _register_apps(*, by: Operator, at: datetime) -> Iterator[tuple[ConnectedApp, int]]:
    for name, scopes, days in APPS:
        slug = name.lower().replace(" ", "-")
        callback = f"https://{slug}.example/oauth/callback"
        with _from(OFFICE):
            app = connected_apps.register(name=name, redirect_uris=[callback], scopes=scopes, by=by, now=at)
        yield app, days


def _connect(app: ConnectedApp, account: Account, *, by: Member, at: datetime) -> None:
    """As `connections.connect` does, without the mails and notices of so long ago."""
    connection = Connection.objects.create(
        account=account, app=app, scopes=app.scopes, connected_at=at, connected_by=by
    )
    with _from(OFFICE):
        journal.record(Action.CONNECTED_APP_CONNECTED, of=account, by=by, target=connection, at=at)


def _end(key: ApiKey, end: ApiKey.End, *, by: Member, at: datetime) -> None:
    key.deactivate(at=at, by=by, end=end)
    key.settled_at = at + timedelta(seconds=revisions.SETTLE_SECONDS)
    key.save(update_fields=["settled_at"])


def _member(account: Account, email: str) -> Member:
    return account.members.select_related("user").get(user__email=email)


def _key(account: Account, generation: int, *, by: Member, at: datetime) -> ApiKey:
    key = ApiKey(account=account, generation=generation, created_at=at, created_by=by)
    key.keep(secrets.generate(secrets.Kind.API_KEY))
    key.save(force_insert=True)
    return key


def _write(action: Action, key: ApiKey, *, by: Member, at: datetime, where: origin.Origin, **details: Any) -> None:
    with _from(where):
        journal.record(action, of=key.account, by=by, target=key, at=at, **details)


def _refuse(action: Action, account: Account, *, by: Member, at: datetime, where: origin.Origin) -> None:
    with _from(where):
        reason = f"The role {by.get_role_display()} may not."
        journal.record_refusal(action, of=account, by=by, reason=reason, at=at)


@contextmanager
def _from(where: origin.Origin) -> Iterator[None]:
    token = origin.current.set(where)
    try:
        yield
    finally:
        origin.current.reset(token)
