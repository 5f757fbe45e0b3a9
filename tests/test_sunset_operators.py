"""Announcing an end of API keys from the shell and in the admin; groups of accounts likewise."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, AccountGroup, User
from apikeys.models import Sunset
from auditlog.models import AuditEntry
from tests.commands import facts, run
from tests.factories import AccountFactory, AccountGroupFactory, GroupedAccountFactory, SunsetFactory
from tests.operator_pages import operator_at_the_pages

pytestmark = pytest.mark.django_db(transaction=True)

END = datetime(2099, 11, 30, tzinfo=UTC)
SAID = "2099-11-30T00:00:00Z"


# --- The shell ----------------------------------------------------------------------------------------------------
def test_an_end_is_announced_changed_listed_and_withdrawn_from_the_shell() -> None:
    made = facts(
        *("sunset", "announce", "--creation-end", "2099-07-15T00:00:00Z", "--authentication-end", SAID),
        *("--brownout", "2099-10-01T14:00:00Z", "10", "--brownout", "2099-10-08T14:00:00Z", "30"),
    )
    name = str(made["id"])
    moved = facts("sunset", "change", name, "--authentication-end", "2099-12-31T00:00:00+01:00")
    bare = facts("sunset", "change", name, "--creation-end", "none", "--no-brownouts")
    listed = facts("sunset", "list")["sunsets"]
    gone = facts("sunset", "withdraw", name, "--reason", "Not this year")

    assert made["brownouts"] == [
        {"starts_at": "2099-10-01T14:00:00Z", "minutes": 10},
        {"starts_at": "2099-10-08T14:00:00Z", "minutes": 30},
    ]
    assert (made["group"], made["creation_ends_at"], made["authentication_ends_at"], made["withdrawn_at"]) == (
        *(None, "2099-07-15T00:00:00Z", SAID),
        None,
    )
    assert (moved["creation_ends_at"], moved["brownouts"]) == (made["creation_ends_at"], made["brownouts"])
    assert moved["authentication_ends_at"] == "2099-12-30T23:00:00Z"
    assert (bare["creation_ends_at"], bare["brownouts"]) == (None, [])
    assert listed == [bare]
    assert gone["withdrawn_at"] is not None
    assert facts("sunset", "list")["sunsets"] == []
    assert facts("sunset", "list", "--all")["sunsets"] == [gone]
    assert [entry.actor_name for entry in AuditEntry.objects.all()] == ["operator (shell)"] * 4


def test_an_end_for_a_group_at_once() -> None:
    AccountGroupFactory.create(name="Wave 1")

    made = facts("sunset", "announce", "--group", "wave 1", "--authentication-end", "now")

    assert made["group"] == "Wave 1"
    assert Sunset.objects.get().authentication_ends_at is not None
    assert "Wave 1: no new keys from –, no calls from" in run("sunset", "list")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["announce"], "Name a date"),
        (["announce", "--authentication-end", "2020-01-01T00:00:00Z"], "lies in the past"),
        (["announce", "--authentication-end", SAID, "--group", "nobody"], "no group “nobody”"),
        (["announce", "--authentication-end", SAID, "--brownout", SAID, "10"], "over before"),
        (["change", "4711", "--authentication-end", SAID], "no announcement 4711"),
        (["withdraw", "99999999999999999999", "--reason", "x"], "no announcement"),
        (["withdraw", "4711", "--reason", ""], "required"),
    ],
)
def test_what_cannot_be_announced_is_refused_with_the_reason(words: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why) as refused:
        run("sunset", *words)

    assert refused.value.returncode == 1
    assert not Sunset.objects.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["announce", "--authentication-end", "tomorrow"],
        ["announce", "--authentication-end", "2099-11-30T00:00:00"],
        ["announce", "--authentication-end", SAID, "--brownout", "2099-10-01", "10"],
        ["announce", "--authentication-end", SAID, "--brownout", "2099-10-01T14:00:00Z", "ten"],
        ["announce", "--authentication-end", SAID, "--brownout", "9999-12-31T23:59:00Z", "10"],
        ["change", "zero"],
        ["forget"],
        [],
    ],
)
def test_wrong_usage_is_told_apart(words: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        run("sunset", *words)

    assert refused.value.returncode == 2 or refused.value.args[0].startswith("Error:")
    assert not Sunset.objects.exists()


def test_groups_are_made_filled_listed_and_deleted_from_the_shell() -> None:
    for slug in ("acme", "globex", "initech"):
        AccountFactory.create(slug=slug)

    facts("account_group", "create", "Wave 1")
    facts("account_group", "create", "Wave 2")
    filled = facts("account_group", "add", "Wave 1", "acme", "globex")
    moved = facts("account_group", "add", "wave 2", "globex")
    with pytest.raises(CommandError, match="Take them out first"):
        run("account_group", "delete", "Wave 2")
    elsewhere = facts("account_group", "remove", "Wave 2", "acme")
    emptied = facts("account_group", "remove", "Wave 2", "globex", "initech")
    run("account_group", "delete", "Wave 2")

    assert filled == {"group": "Wave 1", "moved": 2, "accounts": 2}
    assert moved == {"group": "Wave 2", "moved": 1, "accounts": 1}
    assert elsewhere["moved"] == 0
    assert emptied == {"group": "Wave 2", "moved": 1, "accounts": 0}
    assert facts("account_group", "list") == {"groups": [{"group": "Wave 1", "accounts": 1}]}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["create", "wave 1"], "already"),
        (["add", "Wave 1", "acme", "nowhere"], "no account “nowhere”"),
        (["add", "Wave 2", "acme"], "no group"),
    ],
)
def test_what_cannot_be_done_to_a_group_is_refused(words: list[str], why: str) -> None:
    AccountFactory.create(slug="acme")
    AccountGroupFactory.create(name="Wave 1")

    with pytest.raises(CommandError, match=why):
        run("account_group", *words)

    assert not Account.objects.filter(grouped__isnull=False).exists()


# --- The admin ----------------------------------------------------------------------------------------------------
@pytest.fixture
def operator() -> Client:
    """In Berlin, to see whose times count."""
    return operator_at_the_pages(email="olivia@portal.example", time_zone="Europe/Berlin")


def test_an_end_is_announced_changed_and_withdrawn_in_the_admin(operator: Client) -> None:
    group = AccountGroupFactory.create()
    said = {
        "group": group.pk,
        "creation_ends_at": "",
        "authentication_ends_at": "2099-11-30T01:00",
        "brownouts": "2099-10-01 14:00 10\r\n\r\n2099-11-01 14:00 5\r\n",
    }
    announced = operator.post(reverse("admin:apikeys_sunset_announce"), said)
    sunset = Sunset.objects.get()
    filled = operator.get(reverse("admin:apikeys_sunset_edit", args=[sunset.pk])).content.decode()
    moved = operator.post(
        reverse("admin:apikeys_sunset_edit", args=[sunset.pk]), said | {"authentication_ends_at": "2099-12-30T01:00"}
    )
    operator.post(reverse("admin:apikeys_sunset_withdraw", args=[sunset.pk]), {"reason": "Not this year"})

    shown = reverse("admin:apikeys_sunset_change", args=[sunset.pk])
    assert (announced.headers["Location"], moved.headers["Location"]) == (shown, shown)
    assert (sunset.group, sunset.creation_ends_at, sunset.authentication_ends_at) == (group, None, END)
    assert [(one.starts_at.isoformat(), one.minutes) for one in sunset.rehearsals] == [
        ("2099-10-01T12:00:00+00:00", 10),
        ("2099-11-01T13:00:00+00:00", 5),
    ]
    for value in ('value="2099-11-30T01:00"', "2099-10-01 14:00 10\n2099-11-01 14:00 5"):
        assert value in filled
    sunset.refresh_from_db()
    assert sunset.authentication_ends_at == END + timedelta(days=30)
    assert sunset.withdrawn_at is not None
    by = User.objects.get(email="olivia@portal.example")
    assert set(AuditEntry.objects.filter(category="sunset").values_list("actor_id", flat=True)) == {by.pk}
    assert "2099" in operator.get(shown).content.decode()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"group": ""}, "Name a date"),
        ({"authentication_ends_at": "9999-12-31T23:59"}, "No date after"),
        ({"authentication_ends_at": "2020-01-01T00:00"}, "lies in the past"),
        ({"authentication_ends_at": "soon"}, "valid date"),
        ({"authentication_ends_at": "2099-03-29T02:30"}, "couldn’t be interpreted"),  # an hour that Berlin skips
        ({"authentication_ends_at": "2099-11-30T01:00", "brownouts": "2099-10-01 14:00"}, "“2099-10-01 14:00” is not"),
        (
            {"authentication_ends_at": "2099-11-30T01:00", "brownouts": "2099-10-01 14:00 0"},
            "is not a start and minutes",
        ),
        (
            {"authentication_ends_at": "2099-11-30T01:00", "brownouts": "9999-12-31 23:59 9"},
            "is not a start and minutes",
        ),
        ({"authentication_ends_at": "2099-11-30T01:00", "group": "4711"}, "valid choice"),
    ],
)
def test_what_cannot_be_announced_is_said_at_the_form(operator: Client, said: dict[str, str], error: str) -> None:
    answer = operator.post(reverse("admin:apikeys_sunset_announce"), said)

    assert answer.status_code == 400
    assert error in answer.content.decode().replace("&#x27;", "’")
    assert not Sunset.objects.exists()


def test_a_second_announcement_and_a_late_change_are_refused_at_the_form(operator: Client) -> None:
    sunset = SunsetFactory.create()
    again = operator.post(reverse("admin:apikeys_sunset_announce"), {"authentication_ends_at": "2099-11-30T01:00"})
    Sunset.objects.update(withdrawn_at=timezone.now())
    late = [
        operator.post(reverse("admin:apikeys_sunset_edit", args=[sunset.pk]), {"creation_ends_at": "2099-11-30T01:00"}),
        operator.post(reverse("admin:apikeys_sunset_withdraw", args=[sunset.pk]), {"reason": "x"}),
    ]

    assert "announced for all accounts already" in again.content.decode()
    assert [("was withdrawn" in answer.content.decode(), answer.status_code) for answer in late] == [(True, 400)] * 2


def test_groups_are_made_filled_and_deleted_in_the_admin(operator: Client) -> None:
    acme, globex = AccountFactory.create(slug="acme"), AccountFactory.create(slug="globex")
    other = GroupedAccountFactory.create()

    made = operator.post(reverse("admin:accounts_accountgroup_create"), {"name": "Wave 1"})
    group = AccountGroup.objects.latest("pk")
    add, take, remove = (
        reverse(f"admin:accounts_accountgroup_{deed}", args=[group.pk])
        for deed in ("add_accounts", "remove_accounts", "remove")
    )
    operator.post(add, {"accounts": f"acme\r\nglobex {other.account.slug}\r\n"})
    held = set(group.places.values_list("account", flat=True))
    full = operator.post(remove)
    stranger = operator.post(take, {"accounts": AccountFactory.create().slug})
    unknown = operator.post(add, {"accounts": "nowhere"})
    operator.post(take, {"accounts": f"acme globex {other.account.slug}"})
    operator.post(remove)

    assert made.headers["Location"] == reverse("admin:accounts_accountgroup_change", args=[group.pk])
    assert held == {acme.pk, globex.pk, other.account_id}
    assert [answer.status_code for answer in (full, stranger, unknown)] == [400] * 3
    assert not AccountGroup.objects.filter(pk=group.pk).exists()
    entries = AuditEntry.objects.filter(action="account.group_changed", account_id=acme.pk).order_by("pk")
    assert [entry.details for entry in entries] == [
        {"before": None, "after": "Wave 1"},
        {"before": "Wave 1", "after": None},
    ]


def test_a_name_that_is_taken_makes_no_second_group(operator: Client) -> None:
    AccountGroupFactory.create(name="Wave 1")

    answer = operator.post(reverse("admin:accounts_accountgroup_create"), {"name": "WAVE 1"})

    assert answer.status_code == 400
    assert AccountGroup.objects.count() == 1
