"""What a new account still has to do, read from how things stand; nothing but "don't show me this" is stored."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import second_factors
from accounts.models import Member
from accounts.permissions import Permission
from auditlog.models import LastUse


@dataclass(frozen=True, slots=True)
class Step:
    label: Promise
    why: Promise
    done: bool
    address: str = ""  # where to do it; empty: further down on this page


def of(member: Member, *, has_had_a_key: bool) -> list[Step]:
    """The steps, for a super admin who has not dismissed them; none once all are done."""
    if not member.may(Permission.MANAGE_API_KEY) or member.first_steps_dismissed_at is not None:
        return []
    steps = [_second_factor(member), _second_super_admin(member), _key(done=has_had_a_key), _first_call(member)]
    return [] if all(step.done for step in steps) else steps


def _second_factor(member: Member) -> Step:
    done = second_factors.has_one(member.user)
    why = _("A password that somebody else has learned then opens nothing.")
    return Step(_("Set up a second factor for yourself"), why, done, reverse("mfa_index"))


def _second_super_admin(member: Member) -> Step:
    done = member.account.super_admins().exclude(pk=member.pk).exists()
    why = _("So that somebody can rotate the key when you are away.")
    return Step(_("Have a second super admin"), why, done, reverse("accounts:members", args=[member.account.slug]))


def _key(*, done: bool) -> Step:
    return Step(_("Create the API key"), _("Programs call the API with it."), done)


def _first_call(member: Member) -> Step:
    keys = member.account.api_keys.values("id")
    done = LastUse.objects.filter(credential_id__in=keys).exists()
    why = _("Have your gateway ask the gate at /check. This is done with the first call that is let through.")
    address = reverse("auditlog:calls", args=[member.account.slug])
    return Step(_("Point a gateway here and make a call"), why, done, address)
