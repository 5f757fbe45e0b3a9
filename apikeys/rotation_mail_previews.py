"""The scenes of the mails about planned and handed-over rotations; see `accounts.mail_previews`."""

from datetime import timedelta

from accounts import mail_previews
from accounts.mail_previews import Mails, Scene
from accounts.permissions import Role
from apikeys import secrets
from apikeys.mail_previews import make_calls, make_key
from apikeys.models import ApiKey, Handover, RotationPlan
from apikeys.operations import handovers, key_ends, rotation_plans, word_of_changes
from auditlog.actions import Action


@mail_previews.of(rotation_plans.PLANNED_MAIL)
def _rotation_planned(scene: Scene) -> Mails:
    return _before(scene, rotation_plans.PLANNED_MAIL)


@mail_previews.of(rotation_plans.SOON_MAIL)
def _rotation_soon(scene: Scene) -> Mails:
    return _before(scene, rotation_plans.SOON_MAIL)


def _before(scene: Scene, kind: str) -> Mails:
    """As a super admin and as who made the key and is none any more read it."""
    plan = _plan(scene)
    make_calls(scene, plan.replaces)
    return {
        "super-admin": scene.mail(kind, about=f"{plan.pk}:{scene.ada.user_id}"),
        "made-the-key": scene.mail(kind, about=f"{plan.pk}:{scene.jun.user_id}", to=scene.jun.user.email),
    }


@mail_previews.of(rotation_plans.RUN_MAIL)
def _rotation_run(scene: Scene) -> Mails:
    plan = _plan(scene)
    plan.finish(RotationPlan.End.RUN, at=scene.now, by=None, told=True)
    return {"run": scene.mail(rotation_plans.RUN_MAIL, about=f"{plan.pk}:{scene.ada.user_id}")}


@mail_previews.of(key_ends.PLAN_ENDED_MAIL)
def _plan_ended(scene: Scene) -> Mails:
    found: Mails = {}
    for end in RotationPlan.End:
        if end != RotationPlan.End.RUN:
            plan = _plan(scene, generation=len(found) + 1)
            by = None if end.is_nobodys_act else scene.ada
            plan.finish(end, at=scene.now, by=by, told=True)
            plan.replaces.deactivate(at=scene.now, by=scene.ada, end=ApiKey.End.ROTATED)
            word = end.replace("_", "-")
            found[word] = scene.mail(key_ends.PLAN_ENDED_MAIL, about=f"{plan.pk}:{scene.ada.user_id}")
    return found


@mail_previews.of(word_of_changes.PREPARED_MAIL)
def _prepared_key_shown(scene: Scene) -> Mails:
    entry = scene.entry(Action.PREPARED_KEY_VIEWED, by=scene.ada, target=_plan(scene))
    return {"planned": scene.mail(word_of_changes.PREPARED_MAIL, about=f"{entry.pk}:{scene.ada.user_id}")}


@mail_previews.of(handovers.MAIL)
def _rotation_handed_over(scene: Scene) -> Mails:
    grace = mail_previews.make_member(scene.account, "grace", "Grace Lindqvist", Role.SUPER_ADMIN)
    key = make_key(scene, days=184)
    handover = Handover.objects.create(key=key, handed_by=grace, handed_to=scene.ada, handed_at=scene.now)
    return {"handed-over": scene.mail(handovers.MAIL, about=handover.pk)}


def _plan(scene: Scene, *, generation: int = 1) -> RotationPlan:
    plan = RotationPlan(
        account=scene.account,
        replaces=make_key(scene, days=184, generation=generation),
        planned_for=scene.now + timedelta(days=3),
        planned_at=scene.now,
        planned_by=scene.ada,
    )
    plan.prepare(secrets.generate(secrets.Kind.API_KEY))
    plan.save(force_insert=True)
    return plan
