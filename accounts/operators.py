"""Who is an operator: staff of the company, across accounts. Their entries belong to no account."""

from datetime import datetime

from django.db import transaction

from accounts import second_factors
from accounts.actors import By, require_operator
from accounts.models import User
from auditlog import journal
from auditlog.actions import Action


class OperatorError(Exception):
    """This person cannot be made an operator, or is none; the text says why."""


class LastOperatorError(OperatorError):
    """Without this one, nobody could look after the portal's accounts any more."""


@transaction.atomic
def add_operator(*, email: str, by: By, now: datetime) -> User:
    """Make a person an operator; one whose address is not known yet becomes a person first.

    :raises OperatorError: if they are one already, or may not sign in.
    :raises django.core.exceptions.ValidationError: for what is not an e-mail address.
    """
    list(User.objects.operators().order_by("pk").select_for_update())  # in the order that everybody locks them in
    require_operator(by)
    person = User.objects.select_for_update().get(pk=User.objects.find_or_make(email).pk)
    if not person.is_active:
        raise OperatorError(f"{person.email} may not sign in.")
    if person.is_staff:
        raise OperatorError(f"{person.email} is an operator already.")
    second_factors.expect(person, now=now)
    person.is_staff = True
    person.save(update_fields=["is_staff"])
    journal.record(Action.OPERATOR_ADDED, of=None, by=by, target=person, at=now)
    return person


@transaction.atomic
def remove_operator(*, email: str, by: By, now: datetime) -> User:
    """Make an operator an ordinary person, from their next request on; one whose sign-in is switched off, too.

    :raises OperatorError: if they are none.
    :raises LastOperatorError: if they are the last who may sign in.
    """
    # All rows are locked, in one order: of two operators who remove each other at once, one stays.
    staff = list(User.objects.filter(is_staff=True).order_by("pk").select_for_update())
    require_operator(by)
    person = next((one for one in staff if one.email.lower() == email.lower()), None)
    if person is None:
        raise OperatorError(f"{email} is no operator.")
    if person.is_active and not any(one.is_active for one in staff if one != person):
        raise LastOperatorError(f"{person.email} is the last operator. Add another one first.")
    person.is_staff = person.is_superuser = False
    person.save(update_fields=["is_staff", "is_superuser"])
    journal.record(Action.OPERATOR_REMOVED, of=None, by=by, target=person, at=now)
    return person
