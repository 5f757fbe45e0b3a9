"""Calls by kind: counting kinds is counting calls."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apikeys import secrets
from auditlog.call_kinds import by_kind
from auditlog.call_rows import NOBODY, Call, Cleaner
from auditlog.callers import route_of
from tests.test_call_copy import calls, raws

SEGMENTS = [b"/", b"/17", b"/1a", b"17", b"/\xd9\xa3", b"/{id}", b"\n", b"/contacts", b"/2026-03"]

paths = st.lists(st.sampled_from(SEGMENTS), max_size=5).map(b"".join)
several = st.lists(st.tuples(calls, paths | raws).map(lambda one: (*one[0][:3], one[1], *one[0][4:])), max_size=8)


@given(several)
def test_kinds_come_to_what_their_calls_come_to(some: list[Call]) -> None:
    batch = Cleaner(secrets.mask).batch(some)

    kinds = by_kind(batch)

    counted, first, last = _nothing()
    for n, path in enumerate(batch.path):
        is_failed, hour = batch.status[n] >= 400, batch.at[n] // 3_600_000_000
        one = (
            *(batch.who[n], batch.caller[n], batch.method[n], route_of(path)),
            *(batch.reason[n], is_failed, hour, batch.day[n]),
        )
        counted[one] += 1
        first[one] = min(first.get(one, batch.at[n]), batch.at[n])
        last[one] = max(last.get(one, batch.at[n]), batch.at[n])
    found, found_first, found_last = _nothing()
    for kind, number, first_at, last_at in kinds:
        routed = kind._replace(path=route_of(kind.path))
        found[routed] += number
        found_first[routed] = min(found_first.get(routed, first_at), first_at)
        found_last[routed] = max(found_last.get(routed, last_at), last_at)
    assert (found, found_first, found_last) == (counted, first, last)


def test_calls_that_differ_in_numbers_alone_are_of_one_kind() -> None:
    paths = [b"/contacts/17/notes/4", b"/contacts/18/notes/5", b"/contacts/18a/notes/5"]

    kinds = by_kind(
        Cleaner(secrets.mask).batch((NOBODY, 1.0, b"GET", path, 204, None, "", b"", None, 1, None) for path in paths)
    )

    assert [(one.kind.path, one.calls) for one in kinds] == [
        ("/contacts/{id}/notes/{id}", 2), ("/contacts/18a/notes/{id}", 1),
    ]  # fmt: skip


def _nothing() -> tuple[Counter[Any], dict[Any, int], dict[Any, int]]:
    return Counter(), {}, {}
