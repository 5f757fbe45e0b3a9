"""The scenes of the mails about keys and connected apps; see `accounts.mail_previews`."""

from datetime import timedelta

from accounts import mail_previews, outbox
from accounts.actors import SHELL
from accounts.mail_previews import Mails, Scene
from accounts.models import AccountGroup, GroupedAccount, RoleMailbox
from accounts.permissions import Role
from apikeys import secrets
from apikeys.models import ApiKey, ConnectedApp, Connection, Sunset
from apikeys.operations import connections, reminders, word_of_changes, word_of_sunset
from auditlog.actions import Action
from auditlog.models import CallsByCaller

SCOPES = ["crm.objects.contacts.read", "crm.objects.deals.read"]
CALLERS = [
    ("python-requests", "203.0.113.0/24", 41_207),
    ("node-fetch", "198.51.100.0/24", 962),
    ("", "2001:db8:7a2::/48", 1),
]


@mail_previews.of(reminders.MAIL)
def _rotation_due(scene: Scene) -> Mails:
    """As a super admin, somebody who is none any more, and the role mailbox read it; and of a key that nobody uses."""
    key = make_key(scene, days=203)
    make_calls(scene, key)
    event = f"{key.pk}:1"
    mailbox = f"platform-team@{scene.account.slug}.invalid"
    RoleMailbox.objects.create(account=scene.account, email=mailbox, named_at=scene.now, confirmed_at=scene.now)
    return {
        "super-admin": scene.mail(reminders.MAIL, about=f"{event}:{scene.ada.user_id}"),
        "made-the-key": scene.mail(reminders.MAIL, about=f"{event}:{scene.jun.user_id}", to=scene.jun.user.email),
        "role-mailbox": scene.mail(reminders.MAIL, about=f"{event}:{outbox.MAILBOX}", to=mailbox),
    }


@mail_previews.of(word_of_changes.MAIL)
def _key_changed(scene: Scene) -> Mails:
    key = make_key(scene, days=1)
    done = {
        "created": scene.entry(Action.API_KEY_CREATED, by=scene.ada, target=key),
        "shown-from-a-new-network": scene.entry(Action.API_KEY_VIEWED, by=scene.ada, target=key),
        "shown-by-operators": scene.entry(Action.API_KEY_VIEWED, by=SHELL, target=key),
        "rotated": scene.entry(Action.API_KEY_ROTATED, by=scene.ada, target=key, replaced="x7Qd"),
        "deactivated": scene.entry(Action.API_KEY_DEACTIVATED, by=scene.ada, target=key),
    }
    grace = mail_previews.make_member(scene.account, "grace", "Grace Lindqvist", Role.SUPER_ADMIN)
    by_another = scene.mail(word_of_changes.MAIL, about=f"{done['rotated'].pk}:{grace.user_id}", to=grace.user.email)
    to_ada = {
        word: scene.mail(word_of_changes.MAIL, about=f"{entry.pk}:{scene.ada.user_id}") for word, entry in done.items()
    }
    return {**to_ada, "rotated-by-another": by_another}


@mail_previews.of(word_of_sunset.MAIL)
def _key_ends(scene: Scene) -> Mails:
    """Thirty days before, with a rehearsal to come; of a group, so that what is announced to all does not matter."""
    make_calls(scene, make_key(scene, days=120))
    group = AccountGroup.objects.create(name=scene.account.slug, created_at=scene.now)
    GroupedAccount.objects.create(group=group, account=scene.account)
    end = scene.now + timedelta(days=30)
    rehearsal = [end - timedelta(days=9), end - timedelta(days=9) + timedelta(minutes=10)]
    sunset = Sunset.objects.create(
        group=group,
        creation_ends_at=scene.now - timedelta(days=10),
        authentication_ends_at=end,
        brownouts=[[at.isoformat() for at in rehearsal]],
        announced_at=scene.now - timedelta(days=40),
        changed_at=scene.now - timedelta(days=40),
    )
    word = f"{sunset.pk}:{sunset.edition}:30:{scene.account.pk}"
    return {"thirty-days-before": scene.mail(word_of_sunset.MAIL, about=f"{word}:{scene.ada.user_id}")}


@mail_previews.of(connections.MAIL)
def _connection_changed(scene: Scene) -> Mails:
    app = ConnectedApp.objects.create(
        name=scene.names.app,
        redirect_uris=["https://reports.example/callback"],
        scopes=SCOPES,
        registered_at=scene.now,
        withdrawn_at=scene.now,  # so that it takes no real app's name
    )
    connection = Connection.objects.create(
        account=scene.account, app=app, scopes=SCOPES, connected_at=scene.now, connected_by=scene.ada
    )
    done = {
        "connected": scene.entry(Action.CONNECTED_APP_CONNECTED, by=scene.ada, target=connection, scopes=SCOPES),
        "scopes-changed": scene.entry(
            Action.CONNECTED_APP_SCOPES_CHANGED, by=scene.ada, target=connection, scopes=SCOPES
        ),
        "disconnected": scene.entry(Action.CONNECTED_APP_DISCONNECTED, by=scene.ada, target=connection),
        "withdrawn": scene.entry(
            Action.CONNECTED_APP_DISCONNECTED, by=SHELL, target=connection, reason="Its maker closes it."
        ),
    }
    return {word: scene.mail(connections.MAIL, about=f"{entry.pk}:{scene.ada.user_id}") for word, entry in done.items()}


def make_key(scene: Scene, *, days: int, generation: int = 2) -> ApiKey:
    """One that somebody made who has since become a developer."""
    key = ApiKey(
        account=scene.account, generation=generation, created_at=scene.now - timedelta(days=days), created_by=scene.jun
    )
    key.keep(secrets.generate(secrets.Kind.API_KEY))
    key.save(force_insert=True)
    return key


def make_calls(scene: Scene, key: ApiKey) -> None:
    """Of each caller what the reminder names: how many, of late."""
    at = scene.now - timedelta(hours=1)
    CallsByCaller.objects.bulk_create(
        CallsByCaller(
            account_id=scene.account.pk,
            hour=at.replace(minute=0, second=0, microsecond=0),
            credential_id=key.pk,
            agent=agent,
            network=network,
            calls=calls,
            failed=0,
            first_at=at,
            last_at=at,
        )
        for agent, network, calls in CALLERS
    )
