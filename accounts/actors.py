"""Who acts: a member from the pages, or an operator. Operations take either as `by`."""

from dataclasses import dataclass

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


By = Member | Operator


def as_member(by: By) -> Member | None:
    """The member, for a foreign key; operators have no place in the account."""
    return by if isinstance(by, Member) else None
