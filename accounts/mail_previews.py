"""What each kind of mail looks like: written by its own composer, from rows that are made up and then rolled back.

A preview can therefore not differ from the mail. Each room adds the scenes of its kinds: `of` marks a function that
makes the rows and answers the mails that are owed then, by a word for each variation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.utils import timezone, translation
from django.utils.crypto import get_random_string

from accounts import (
    access_requests,
    bounces,
    invitations,
    letters,
    mail_kinds,
    operations,
    outbox,
    proofs_by_mail,
    role_mailboxes,
)
from accounts.actors import SHELL
from accounts.models import Account, BouncedAddress, Member, OutgoingMail, User
from accounts.permissions import Role
from auditlog import journal, origin
from auditlog.actions import Action
from auditlog.models import AuditEntry

REASON = "The nightly import into our warehouse stopped, and I would like to see which key it has."
OFFICE = origin.Origin(
    address="203.0.113.12",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    request_id="00000000-0000-4000-8000-000000000000",
)


@dataclass(frozen=True, slots=True)
class Names:
    """What people and accounts chose to be called; tests choose worse."""

    account: str = "Acme"
    reader: str = "Ada Okafor"
    other: str = "Jun Sato"
    app: str = "Harbor Reports"


@dataclass(frozen=True, slots=True)
class Scene:
    """An account with a super admin, who reads the mails, and another member."""

    names: Names
    account: Account
    ada: Member
    jun: Member
    now: datetime

    def mail(self, kind: str, *, about: object, to: str = "") -> OutgoingMail:
        """One that is owed; by default to Ada."""
        found, _made = OutgoingMail.objects.get_or_create(
            kind=kind,
            about=str(about),
            to=to or self.ada.user.email,
            defaults={"created_at": self.now, "due_at": self.now},
        )
        return found

    def entry(self, action: Action, *, by: Any, **said: Any) -> AuditEntry:
        return journal.record(action, of=self.account, by=by, at=self.now, **said)


Mails = dict[str, OutgoingMail]  # by variation; a word of a-z and hyphens
Scenes = Callable[[Scene], Mails]

_scenes: dict[str, Scenes] = {}


def of(kind: str) -> Callable[[Scenes], Scenes]:
    """Say that this function makes the mails of a kind that are shown."""

    def register(scenes: Scenes) -> Scenes:
        _scenes[kind] = scenes
        return scenes

    return register


def variations(kind: str) -> list[str]:
    """The words for what a mail of the kind may be about; none if it has no preview."""
    with scene(Names()) as made_up:
        return list(mails(kind, made_up))


def mails(kind: str, made_up: Scene) -> Mails:
    return _scenes[kind](made_up) if kind in _scenes else {}


def messages(kind: str, *, names: Names = Names(), variation: str = "") -> dict[str, EmailMultiAlternatives]:
    """The mails of a kind as they would go out now, in the language and zone that are active, by variation.

    :param variation: that one alone.
    """
    with scene(names) as made_up:
        found = mails(kind, made_up)
        asked = {variation: found[variation]} if variation in found else {} if variation else found
        return {word: _message(mail, now=made_up.now) for word, mail in asked.items()}


def _message(mail: OutgoingMail, *, now: datetime) -> EmailMultiAlternatives:
    letter = outbox.compose(mail, now=now)
    if letter is None:
        raise RuntimeError(f"The scene of {mail.kind} holds a mail that is not due.")
    return letters.message_of(mail, letter)


@contextmanager
def scene(names: Names) -> Iterator[Scene]:
    """All that is made in here, by us or by whoever asked, is gone afterwards."""
    now = timezone.now()
    token = origin.current.set(OFFICE)
    try:
        with transaction.atomic():
            account = Account.objects.create(name=names.account, slug=_free_slug(), time_zone="Europe/Berlin")
            ada = make_member(account, "ada", names.reader, Role.SUPER_ADMIN)
            yield Scene(names, account, ada, make_member(account, "jun", names.other, Role.DEVELOPER), now)
            transaction.set_rollback(True)
    finally:
        origin.current.reset(token)


def _free_slug() -> str:
    return (
        "example" if not Account.objects.filter(slug="example").exists() else f"example-{get_random_string(8).lower()}"
    )


def make_member(account: Account, word: str, name: str, role: Role) -> Member:
    """Of a domain that can be nobody's (RFC 2606)."""
    user = User.objects.create(
        email=f"{word}@{account.slug}.invalid",
        name=name,
        language=translation.get_language() or "en",
        time_zone=timezone.get_current_timezone_name(),
    )
    return Member.objects.create(account=account, user=user, role=role)


# --- The scenes of accounts and people ------------------------------------------------------------------------------


@of(invitations.MAIL)
def _invitation(scene: Scene) -> Mails:
    found = {}
    for word, guest, by in (("by-a-member", "kim", scene.ada), ("by-operators", "lee", SHELL)):
        email = f"{guest}@{scene.account.slug}.invalid"
        offered = invitations.invite(account=scene.account, email=email, role=Role.DEVELOPER, by=by, now=scene.now)
        found[word] = scene.mail(invitations.MAIL, about=offered.issue, to=email)
    return found


@of(access_requests.MAIL)
def _access_requested(scene: Scene) -> Mails:
    asked = access_requests.ask_for_key(member=scene.jun, reason=REASON, now=scene.now)
    return {"asked": scene.mail(access_requests.MAIL, about=asked.pk)}


@of(role_mailboxes.MAIL)
def _confirm_role_mailbox(scene: Scene) -> Mails:
    email = f"platform-team@{scene.account.slug}.invalid"
    mailbox = role_mailboxes.name(account=scene.account, email=email, by=scene.ada, now=scene.now)
    return {"named": scene.mail(role_mailboxes.MAIL, about=mailbox.pk, to=email)}


@of(proofs_by_mail.NEW_PASSWORD)
def _new_password(scene: Scene) -> Mails:
    return {"asked": scene.mail(proofs_by_mail.NEW_PASSWORD, about=f"{scene.ada.user_id}:x")}


@of(proofs_by_mail.CONFIRM_ADDRESS)
def _confirm_address(scene: Scene) -> Mails:
    EmailAddress.objects.create(user=scene.ada.user, email=scene.ada.user.email, primary=True)
    return {"asked": scene.mail(proofs_by_mail.CONFIRM_ADDRESS, about=f"{scene.ada.user_id}:x")}


@of(proofs_by_mail.NEW_ADDRESS)
def _new_address(scene: Scene) -> Mails:
    to = f"ada.okafor@{scene.account.slug}.invalid"
    return {"asked": scene.mail(proofs_by_mail.NEW_ADDRESS, about=f"{scene.ada.user_id}:x", to=to)}


@of(operations.SIGN_IN_MAIL)
def _sign_in_changed(scene: Scene) -> Mails:
    said = {
        "kind": "totp",
        "left": 3,
        "before": scene.ada.user.email,
        "after": f"ada.okafor@{scene.account.slug}.invalid",
        "through": "login.example.com",
    }
    by_themselves = {
        action.removeprefix("sign_in.").replace("_", "-"): scene.entry(action, by=scene.ada, **said)
        for action in sorted(operations.MAILED)
    }
    entries = {
        **by_themselves,
        "by-operators": scene.entry(Action.SECOND_FACTOR_REMOVED, by=SHELL, target=scene.ada, **said),
    }
    return {
        word: scene.mail(operations.SIGN_IN_MAIL, about=f"{entry.pk}:{scene.ada.user_id}")
        for word, entry in entries.items()
    }


@of(bounces.MAIL)
def _mail_bounced(scene: Scene) -> Mails:
    """Of another super admin, and of the role mailbox."""
    grace = make_member(scene.account, "grace", "Grace Lindqvist", Role.SUPER_ADMIN)
    addresses = {"super-admin": grace.user.email, "role-mailbox": f"platform-team@{scene.account.slug}.invalid"}
    found = {}
    for word, email in addresses.items():
        bounced = _bounced(email, since=scene.now)
        found[word] = scene.mail(bounces.MAIL, about=f"{bounced.pk}:{scene.account.pk}")
    return found


@of(bounces.NOBODY_REACHED_MAIL)
def _nobody_reached(scene: Scene) -> Mails:
    olivia = make_member(scene.account, "olivia", "Olivia Park", Role.MEMBER).user
    User.objects.filter(pk=olivia.pk).update(is_staff=True)
    _bounced(scene.ada.user.email, since=scene.now)
    return {"operator": scene.mail(bounces.NOBODY_REACHED_MAIL, about=f"{scene.account.pk}:x", to=olivia.email)}


def _bounced(email: str, *, since: datetime) -> BouncedAddress:
    kind = BouncedAddress.Kind.BOUNCED
    return BouncedAddress.objects.create(email=email, kind=kind, why="550 5.1.1 No such user here", since=since)


@of(mail_kinds.DIGEST)
def _digest(scene: Scene) -> Mails:
    """Two requests for access, as the daily mail holds them."""
    kim = make_member(scene.account, "kim", "Kim Larsen", Role.AUDITOR)
    digest = scene.mail(mail_kinds.DIGEST, about="x")
    for member in (scene.jun, kim):
        asked = access_requests.ask_for_key(member=member, reason=REASON, now=scene.now)
        part = scene.mail(access_requests.MAIL, about=asked.pk)
        OutgoingMail.objects.filter(pk=part.pk).update(digest=digest)
    return {"two": digest}
