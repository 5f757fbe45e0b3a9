"""Accounts that are packed while they seldom call: nothing is decided or said otherwise for it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.gate import known, windows
from apikeys.gate.clock import boot_seconds
from apikeys.gate.kept import AllRights, Kept
from apikeys.gate.known import Known
from apikeys.gate.limits import TICKS_PER_SECOND, Mode, Window
from apikeys.gate.protected_api import ProtectedApi
from apikeys.gate.reasons import Reason
from apikeys.gate.sharing import process
from apikeys.gate.sharing.process import Sharing
from apikeys.gate.windows import Windows
from apikeys.secrets import Kind
from tests.factories import ApiKeyFactory
from tests.gates import ThreadGate, ask, bearer
from tests.test_limits import NOON, NoOthers, credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from apikeys.gate.store import Credential

BURST, DAILY = 8, 500


class Side:
    """A process's windows and what it keeps, as calls meet them; shared limits of which nobody ever answers."""

    def __init__(self) -> None:
        self.sharing = NoOthers()
        self.windows = Windows()
        self.process = Sharing(self.windows, lambda what: what())
        self.windows.sharing = self.sharing
        self.known = Known(self.windows, ProtectedApi(), look=lambda: None)
        self.now = 1_000.0

    def keep(self, *credentials: Credential) -> None:
        with mock.patch.multiple(known, time=lambda: NOON, boot_seconds=lambda: self.now):
            for one in credentials:
                self.known.keep(one)

    def window(self, account_id: int = 1) -> Window:
        window = self.windows.get(account_id)
        assert window is not None
        return window

    def pack(self) -> None:
        with mock.patch.object(windows, "boot_seconds", return_value=self.now):
            self.windows.pack_some(len(self.windows.unpacked()))

    def call(self, one: Credential, boot: float, wall: float = NOON) -> tuple[object, ...]:
        """What is decided, logged and said."""
        self.now = boot
        kept = self.known.kept.get(one.digest) or self.known.packed_call(one.digest)
        assert kept is not None
        window = kept.window
        reason = window.take(boot, wall)
        if reason:
            return (reason,)
        said = (kept.head, window.headers, window.left_today + window.beyond, window.left, window.room)
        return reason, kept.who, window.day, *said


def account(
    number: int, *, keys: int = 1, burst: int = BURST, daily: int = DAILY, zone: str = "UTC"
) -> list[Credential]:
    return [
        replace(
            credential(burst=burst, daily=DAILY, zone=zone), account_id=number, account_number=2519445 + number,
            account_slug=f"account-{number}", id=uuid4(), digest=bytes([number, key]) * 16,
            kind=Kind.PRIVATE_APP if key else Kind.API_KEY, scopes=frozenset({"a.read", "b%s"}) if key else None,
        )
        for key in range(keys)
    ]  # fmt: skip


ACCOUNTS = [account(1), account(2, zone="Pacific/Auckland"), account(3, keys=3)]
CREDENTIALS = [one for of_account in ACCOUNTS for one in of_account]


CHANGES: list[Callable[[Side, int, int], object]] = [
    lambda side, number, _: side.window(number).lend(7),
    lambda side, number, _: side.window(number).keep(BURST),
    lambda side, number, _: side.window(number).keep(BURST // 2),
    lambda side, number, tick: side.window(number).give(tick),
    lambda side, number, tick: side.window(number).know_beyond(50, tick),
    lambda side, number, _: side.keep(replace(ACCOUNTS[number - 1][0], burst_limit=BURST + 1)),
    lambda side, *_: _follow(side, Mode(*side.windows.mode)),
    lambda side, *_: _follow(side, Mode(side.windows.mode.life + 1)),
    lambda side, *_: side.windows.keep_to_shares(Mode(side.windows.mode.life, equal_shares=3, raise_tick=0)),
    lambda side, _, tick: side.windows.keep_to_shares(Mode(side.windows.mode.life, 2, tick + 100)),
    lambda side, _, tick: side.windows.keep_to_shares(Mode(side.windows.mode.life, 4, tick + 100)),
    lambda side, *_: _freeze(side),
]


def _follow(side: Side, mode: Mode) -> None:
    """Windows that are not packed do so before anything else happens to what they hold."""
    side.windows.mode = mode
    for window in side.windows.unpacked():
        window.adapt()


def _freeze(side: Side) -> None:
    with mock.patch.object(process, "boot_seconds", return_value=side.now):
        side.process.freeze(0)


STEP = st.one_of(
    st.tuples(st.just("call"), st.integers(0, len(CREDENTIALS) - 1), st.sampled_from([0.0, 0.05, 0.1, 1.0, 4.0, 10.0])),
    st.tuples(st.just("change"), st.integers(0, len(CHANGES) - 1), st.integers(1, 3)),
    st.tuples(st.just("day"), st.just(0), st.just(0)),
)


@given(steps=st.lists(st.tuples(STEP, st.booleans()), max_size=60))
def test_calls_are_decided_logged_and_answered_as_if_nothing_were_packed(
    steps: list[tuple[tuple[str, int, float], bool]],
) -> None:
    plain, packing = Side(), Side()
    for side in (plain, packing):
        side.keep(*CREDENTIALS)
        for number in range(1, 4):
            side.window(number).keep(BURST)
            side.window(number).lend(40)
    boot, wall = 1_000.0, NOON
    for (what, which, much), is_packed in steps:
        if is_packed:
            packing.pack()
        if what == "call":
            boot += much
            assert packing.call(CREDENTIALS[which], boot, wall) == plain.call(CREDENTIALS[which], boot, wall)
        elif what == "change":
            boot += 1 / TICKS_PER_SECOND  # a window follows what changed with its next tick
            for side in (plain, packing):
                side.now = boot
                CHANGES[which](side, int(much), int(boot * TICKS_PER_SECOND))
        else:
            wall += 13 * 3600


def test_a_packed_account_asks_for_more_calls_of_the_day_ahead_of_need() -> None:
    side = Side()
    side.keep(*account(1))
    side.window().keep(BURST)
    side.window().lend(4)
    side.pack()

    asked = []
    for second in range(4):
        side.call(account(1)[0], 1_000.0 + second)
        asked.append(len(side.sharing.asked))
        side.pack()

    assert asked == [0, 0, 0, 1]  # less than half of them was left


def test_a_packed_account_hears_of_the_others_calls_while_there_are_others() -> None:
    side = Side()
    side.keep(*account(1))
    side.window().keep(BURST - 1)
    side.window().lend(40)
    side.call(account(1)[0], 1_000.0)
    side.sharing.asked.clear()
    side.pack()

    asked = []
    for at in (1_001.0, 1_004.9, 1_005.0, 1_006.0):
        side.call(account(1)[0], at)
        asked.append(len(side.sharing.asked))
        side.pack()

    assert asked == [0, 0, 1, 1]


def test_a_packed_account_is_unpacked_while_it_calls_often() -> None:
    side = Side()
    side.keep(*account(1, burst=100))
    side.window().keep(100)
    side.window().lend(400)
    side.pack()

    for call in range(40):
        side.call(account(1)[0], 1_000.0 + call / 10)

    assert not any(side.windows.packed.values())
    assert side.call(account(1)[0], 1_004.0)[0] is Reason.ACCEPTED
    assert side.window().left == 100 - 41


def test_a_dropped_credential_stays_so_and_what_was_counted_stays_counted() -> None:
    side = Side()
    first, second = account(1, keys=2)
    side.keep(first, second)
    side.window().keep(BURST)
    side.window().lend(40)
    for _ in range(3):
        side.call(first, 1_000.0)
    side.pack()

    side.known.forget(1)
    dropped = [side.known.find(one.digest) for one in (first, second)]
    side.pack()
    side.keep(second)

    assert dropped == [None, None]
    assert side.known.find(first.digest) is None
    assert side.call(second, 1_001.0)[5:7] == (36, BURST - 4)


def test_everything_is_dropped_whether_it_is_packed_or_not() -> None:
    side = Side()
    side.keep(*account(1), *account(2, keys=3))
    side.pack()
    side.keep(*account(3))

    side.known._drop_all()  # noqa: SLF001 -- what a poll does that brings a change of all accounts
    again = [side.windows.get(number) for number in (1, 2, 3)]

    assert all(again)
    assert len(side.known.account_of) == 0


def test_calls_that_have_left_the_window_are_not_packed() -> None:
    side = Side()
    side.keep(*account(1, burst=200))
    side.window().keep(200)
    side.window().lend(400)
    for call in range(90):
        side.call(account(1)[0], 1_000.0 + call / 10)
    side.pack()
    while_they_count = len(side.windows.packed[1])
    side.window()
    side.now += 11

    side.pack()

    assert while_they_count > 700
    assert len(side.windows.packed[1]) < 160
    assert side.window().left == 200


def test_what_was_heard_of_the_others_calls_is_not_said_for_ever() -> None:
    """As long as a window is: then they may have made others."""
    one = account(1)[0]
    said = []
    for is_packed in (False, True):
        side = Side()
        side.keep(one)
        side.window().keep(BURST // 2)
        side.window().lend(40)
        side.window().know_beyond(50, 10_000)
        side.window().keep(BURST)
        if is_packed:
            side.pack()
        said.append([side.call(one, at)[5] for at in (1_001.0, 1_020.0)])

    assert said == [[485, 38], [485, 38]]


def _be_answered(sharing: Sharing) -> None:
    """By a counter that has half of what is asked for; others have the rest."""
    questions = [sharing.questions.get_nowait() for _ in range(sharing.questions.qsize())]
    for one in questions:
        one.allotted, one.calls, one.lent = one.burst.keep + one.burst.want // 2, one.day.want, one.day.want
    sharing.answered(questions)


@pytest.mark.parametrize("keys", [1, 2, 3])
@pytest.mark.parametrize("is_packed", [True, False])
def test_no_more_credentials_are_kept_than_the_bound_however_many_an_account_has(
    keys: int, monkeypatch: pytest.MonkeyPatch, *, is_packed: bool
) -> None:
    for name, number in {"KEPT_LIMIT": 60, "LOOKED_AT": 20, "LET_GO": 5}.items():
        monkeypatch.setattr(known, name, number)
    side = Side()

    for number in range(200):
        side.keep(*account(number, keys=keys))
        if is_packed:
            side.pack()

    kept_now = {account_id for account_id in range(200) if side.known.find(account(account_id)[0].digest)}
    assert 40 <= len(side.known.account_of) <= 60 + keys
    assert max(kept_now) == 199


def test_no_more_accounts_are_known_than_the_bound_once_they_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what shares limits in operation: it must not ask for more on the occasion of giving back."""
    monkeypatch.setattr(windows, "ACCOUNTS_KEPT", 30)
    monkeypatch.setattr(windows, "UNPACKED", 10)
    now = boot_seconds()
    side = Side()
    sharing = Sharing(side.windows, lambda what: what())

    for number in range(200):
        side.now = now + 7 * number
        side.keep(account(number)[0])
        side.window(number).move_to(int(side.now * TICKS_PER_SECOND))
        _be_answered(sharing)

    assert len(side.windows.packed) <= 30 + windows.TRIED
    assert side.windows.get(199) is not None
    assert len(side.known.account_of) <= len(side.windows.packed)


def test_whoever_has_just_got_a_window_is_at_work_with_the_accounts_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "UNPACKED", 1)
    side = Side()
    side.keep(*account(1), *account(2), *account(3))

    window = side.window(1)

    assert side.window(1) is window


def test_tables_do_not_grow_by_what_has_gone() -> None:
    table, gone = dict.fromkeys(range(5_000), 0), 0
    for number in range(50_000):
        table[5_000 + number] = 0
        del table[number]
        table, gone = windows.without_holes(table, gone + 1)

    assert sys.getsizeof(table) == sys.getsizeof(dict.fromkeys(range(5_000), 0))


def test_a_packed_account_keeps_to_the_most_shares_that_others_reckoned_with_meanwhile() -> None:
    """One more process was there for a while: it may have used a fourth of the limit, until it counts no more."""
    side, one = Side(), account(1, burst=12)[0]
    side.keep(one)
    side.windows.keep_to_shares(Mode(equal_shares=2, raise_tick=0))
    side.window().lend(40)
    side.call(one, 1_000.0)
    side.pack()

    side.windows.keep_to_shares(Mode(equal_shares=4, raise_tick=10_300))
    side.windows.keep_to_shares(Mode(equal_shares=2, raise_tick=10_600))
    accepted = [side.call(one, at)[0] for at in [1_040.0] * 7 + [1_060.0] * 3]

    assert accepted == [Reason.ACCEPTED] * 3 + [Reason.BURST_LIMIT] * 4 + [Reason.ACCEPTED] * 3


def test_who_waited_while_an_account_was_packed_is_counted_with_it() -> None:
    side = Side()
    side.keep(*account(1))
    before = side.window()
    before.keep(BURST)
    before.lend(40)
    side.pack()
    side.call(account(1)[0], 1_000.0)

    current = side.windows.current(before)

    assert current is not before
    assert current.left == BURST - 1


def test_idle_accounts_make_room_once_the_counter_has_heard_that_they_hold_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "ACCOUNTS_KEPT", 1)
    side = Side()
    side.keep(*account(1))
    idle = side.window()
    idle.keep(BURST)
    idle.told = BURST
    idle.lend(5)

    side.windows.of(account(2)[0], boot=2_000.0, wall=NOON)
    given_back = side.window()
    said = (given_back.allotted, given_back.left_today, given_back.back)
    given_back.told = given_back.back = 0  # the counter has heard it
    side.windows.of(account(3)[0], boot=2_020.0, wall=NOON)

    assert said == (0, 0, 5)
    assert (given_back, False) in side.sharing.asked
    assert side.windows.get(1) is None
    assert len(side.known.account_of) == 0
    assert side.windows.current(idle).allotted == 0  # a call that waited for it after all


def test_rights_that_are_too_many_to_number_are_kept_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AllRights, "LIMIT", 1)
    side = Side()
    side.keep(*account(1), *account(2, keys=2), *account(4))

    side.pack()

    assert {number for number, packed in side.windows.packed.items() if packed} == {1, 4}
    assert all(isinstance(side.known.find(one.digest), Kept) for one in account(2, keys=2))


def test_numbers_that_are_too_large_to_pack_are_kept_unpacked() -> None:
    side = Side()
    side.keep(*account(1))
    side.window().keep(BURST)
    side.window().lend(2**40)

    side.pack()

    assert not any(side.windows.packed.values())
    assert isinstance(side.known.kept[account(1)[0].digest], Kept)


@pytest.mark.django_db(transaction=True)
def test_a_gate_answers_the_same_while_accounts_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "UNPACKED", 1)
    keys = [ApiKeyFactory.create() for _ in range(4)]

    with ThreadGate() as gate:
        answers = [ask(gate.port, bearer(key.secret())) for _ in range(3) for key in keys]
        packed, of_keys = sum(map(bool, gate.gate.windows.packed.values())), len(gate.gate.known.account_of)

    assert [answer.status for answer in answers] == [204] * 12
    assert [answer.headers["x-account-slug"] for answer in answers] == [key.account.slug for key in keys] * 3
    assert [answer.headers["x-hubspot-ratelimit-remaining"] for answer in answers] == ["99"] * 4 + ["98"] * 4 + [
        "97"
    ] * 4
    assert packed >= 2
    assert of_keys == 4
