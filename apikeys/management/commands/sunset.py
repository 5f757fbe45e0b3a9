"""`sunset announce`, `sunset change`, `sunset withdraw` and `sunset list`."""

from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.actors import SHELL
from accounts.forms import ReasonForm
from accounts.shell import group_named
from apikeys.models import Sunset
from apikeys.models.sunset import Brownout
from apikeys.operations import sunsets
from keyportal.shell import OperatorCommand, instant_or_now, iso_instant, positive, refusal

NOTHING = "none"


class Command(OperatorCommand):
    help = "Announce an end of API keys, for all accounts or for a group; change what was announced, withdraw it, list."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="announce|change|withdraw|list")
        announce = verbs.add_parser("announce", help="name the dates")
        announce.add_argument("--group", metavar="NAME", help="of accounts; by default all accounts")
        change = verbs.add_parser("change", help="name other dates; those that are not named stay")
        withdraw = verbs.add_parser("withdraw", help="take an announcement back")
        every = verbs.add_parser("list", help="what is in force; with --all, what was withdrawn too")
        every.add_argument("--all", action="store_true")
        for verb in (change, withdraw):
            verb.add_argument("id", type=positive, help="as `sunset list` says it")
        withdraw.add_argument("--reason", required=True, help="who may read an account's audit log reads it there")
        for verb in (announce, change):
            verb.add_argument("--creation-end", type=_end, metavar="ISO|now|none", help="no new keys from then on")
            verb.add_argument("--authentication-end", type=_end, metavar="ISO|now|none", help="no calls from then on")
            verb.add_argument(
                "--brownout",
                nargs=2,
                action="append",
                metavar=("ISO", "MINUTES"),
                help="calls are refused for so long before their end; may come more than once",
            )
        change.add_argument("--no-brownouts", action="store_true", help="drop those that were announced")
        for verb in (announce, change, withdraw, every):
            super().add_arguments(verb)

    def handle(self, *, verb: str, json: bool, **options: Any) -> None:
        try:
            if verb == "announce":
                self._announce(json=json, **options)
            elif verb == "change":
                self._change(json=json, **options)
            elif verb == "withdraw":
                self._withdraw(json=json, **options)
            else:
                self._list(json=json, **options)
        except ValidationError as error:
            raise refusal(error) from None
        except sunsets.SunsetError as error:
            raise CommandError(str(error)) from None

    def _announce(
        self,
        *,
        group: str | None,
        creation_end: datetime | str | None,
        authentication_end: datetime | str | None,
        brownout: list[list[str]] | None,
        json: bool,
        **_: Any,
    ) -> None:
        sunset = sunsets.announce(
            group=group_named(group) if group else None,
            creation=_date(creation_end, None),
            authentication=_date(authentication_end, None),
            brownouts=_brownouts(brownout),
            by=SHELL,
            now=timezone.now(),
        )
        self._say(sunset, json=json)

    def _change(
        self,
        *,
        id: int,  # noqa: A002 -- the argument's name
        creation_end: datetime | str | None,
        authentication_end: datetime | str | None,
        brownout: list[list[str]] | None,
        no_brownouts: bool,
        json: bool,
        **_: Any,
    ) -> None:
        known = _sunset(id)
        kept = [] if no_brownouts else known.rehearsals
        changed = sunsets.change(
            sunset=known,
            creation=_date(creation_end, known.creation_ends_at),
            authentication=_date(authentication_end, known.authentication_ends_at),
            brownouts=_brownouts(brownout) or kept,
            by=SHELL,
            now=timezone.now(),
        )
        self._say(changed, json=json)

    def _withdraw(self, *, id: int, reason: str, json: bool, **_: Any) -> None:  # noqa: A002 -- likewise
        form = ReasonForm({"reason": reason})
        if not form.is_valid():
            raise CommandError(f"reason: {form.errors['reason'][0]}")
        sunset = _sunset(id)
        sunsets.withdraw(sunset=sunset, by=SHELL, now=timezone.now(), **form.cleaned_data)
        sunset.refresh_from_db()
        self.say(facts_about(sunset), f"Withdrawn: {sunset}. Keys count again.", as_json=json)

    def _list(self, *, all: bool, json: bool, **_: Any) -> None:  # noqa: A002 -- likewise
        found = Sunset.objects.all() if all else Sunset.objects.in_force()
        rows = list(found.select_related("group").order_by("pk"))
        self.say({"sunsets": [facts_about(one) for one in rows]}, "\n".join(map(_line, rows)), as_json=json)

    def _say(self, sunset: Sunset, *, json: bool) -> None:
        self.say(facts_about(sunset), _line(sunset), as_json=json)


def facts_about(sunset: Sunset) -> dict[str, Any]:
    return {
        "id": sunset.pk,
        "group": sunset.group.name if sunset.group else None,
        "creation_ends_at": sunset.creation_ends_at,
        "authentication_ends_at": sunset.authentication_ends_at,
        "brownouts": [{"starts_at": one.starts_at, "minutes": one.minutes} for one in sunset.rehearsals],
        "announced_at": sunset.announced_at,
        "withdrawn_at": sunset.withdrawn_at,
    }


def _line(sunset: Sunset) -> str:
    said = sunset.facts
    withdrawn = "  (withdrawn)" if not sunset.is_in_force else ""
    return (
        f"{sunset.pk}  {sunset.group or 'all accounts'}: no new keys from {said['creation_ends_at']}, "
        f"no calls from {said['authentication_ends_at']}, brownouts: {said['brownouts']}{withdrawn}"
    )


def _end(text: str) -> datetime | str:
    return NOTHING if text == NOTHING else instant_or_now(text)


def _date(named: datetime | str | None, before: datetime | None) -> datetime | None:
    """What an option says of a date; one that is not there leaves it as it was."""
    if named is None:
        return before
    return None if isinstance(named, str) else named


def _brownouts(named: list[list[str]] | None) -> list[Brownout]:
    found = []
    for start, minutes in named or ():
        try:
            starts_at, lasts = iso_instant(start), timedelta(minutes=positive(minutes))
            found.append(Brownout(starts_at, starts_at + lasts))
        except (ArgumentTypeError, OverflowError) as error:
            raise CommandError(f"--brownout: {error}", returncode=2) from None
    return found


def _sunset(pk: int) -> Sunset:
    found = Sunset.objects.select_related("group").filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise CommandError(f"There is no announcement {pk}. `sunset list` names them.")
    return found
