"""What a new account still has to do, read from how things stand; nothing but "don't show me this" is stored."""

from dataclasses import dataclass

from django.db.models import Exists
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import second_factors
from accounts.models import Account, Member
from accounts.permissions import Permission, Role
from auditlog.models import LastUse


@dataclass(frozen=True, slots=True)
class Step:
    label: Promise
    why: Promise
    done: bool
    address: str  # where to do it


def of(member: Member, *, has_had_a_key: bool, gets_a_key: bool) -> list[Step]:
    """The steps, for a super admin who has not dismissed them; none once all are done.

    :param gets_a_key: whether it has one or may create one.
    """
    if not member.may(Permission.MANAGE_API_KEY) or member.first_steps_dismissed_at is not None:
        return []
    steps = [_second_factor(member), _second_super_admin(member)]
    if gets_a_key:
        steps += [_key(done=has_had_a_key), _first_call(member)]
    return [] if all(step.done for step in steps) else steps


def _second_factor(member: Member) -> Step:
    done = second_factors.has_one(member.user)
    why = _("A password that somebody else has learned then opens nothing.")
    return Step(_("Set up a second factor for yourself"), why, done, reverse("mfa_index"))


def _second_super_admin(member: Member) -> Step:
    others = member.account.super_admins().exclude(pk=member.pk)
    invited = member.account.invitations.open().filter(role=Role.SUPER_ADMIN)
    done, waits = Account.objects.filter(pk=member.account_id).values_list(Exists(others), Exists(invited)).get()
    why = _("So that somebody can rotate the key when you are away.")
    if waits:
        why = _("Somebody is invited. Once they join, this is ticked off.")
    return Step(_("Have a second super admin"), why, done, reverse("accounts:members", args=[member.account.slug]))


def _key(*, done: bool) -> Step:
    return Step(_("Create the API key"), _("Programs call the API with it."), done, "#none")


def _first_call(member: Member) -> Step:
    keys = member.account.api_keys.values("id")
    done = LastUse.objects.filter(credential_id__in=keys).exists()
    address = reverse("auditlog:calls", args=[member.account.slug])
    if member.user.is_staff:
        why = _("Have it ask the gate at /check: deploy/ shows how. The first call that is let through ticks this off.")
        return Step(_("Point a gateway here and make a call"), why, done, address)
    why = _("Send the key with it, as shown further down. The first call that is let through ticks this off.")
    return Step(_("Make a first call"), why, done, address)
