"""Who acts: a member from the pages, or an operator. Operations take either as `by`."""

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied

from accounts.models import Member, User
from auditlog.journal import Actor


@dataclass(frozen=True, slots=True)
class Operator:
    """Staff of the company that runs the portal; without a user: the shell on the server."""

    user: User | None = None

    @property
    def actor(self) -> Actor:
        if self.user is None:
            return Actor(kind="operator", name="operator (shell)")
        return Actor(kind="operator", name=str(self.user), email=self.user.email, user_id=self.user.pk)


SHELL = Operator()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is a member of no account; without a user: whom the portal does not know."""

    user: User | None = None

    @property
    def actor(self) -> Actor:
        if self.user is None:
            return Actor(kind="person", name="unknown person")
        return Actor(kind="person", name=str(self.user), email=self.user.email, user_id=self.user.pk)


@dataclass(frozen=True, slots=True)
class Portal:
    """What the portal does by its clock, in nobody's name."""

    @property
    def actor(self) -> Actor:
        return Actor(kind="system", name="KeyPortal")


PORTAL = Portal()

By = Member | Operator


class NoOperatorError(PermissionDenied):
    """They were an operator when their request came in, and are none any more."""


def require_operator(by: By) -> None:
    """Ask the store whether an operator still is one, and hold them until commit. Members and the shell pass.

    :raises NoOperatorError: if not: somebody else may have been faster.
    """
    if isinstance(by, Operator) and by.user is not None:
        still = User.objects.operators().filter(pk=by.user.pk).select_for_update().first()
        if still is None:
            raise NoOperatorError


def as_member(by: By) -> Member | None:
    """The member, for a foreign key; operators have no place in the account."""
    return by if isinstance(by, Member) else None
