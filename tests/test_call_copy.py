"""Calls by columns: whatever comes, a batch's rows are those that each call, cleaned and stored by itself, has."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from apikeys import secrets
from auditlog import callers
from auditlog.call_rollups import Recorder
from auditlog.call_rows import METHOD_LENGTH, NOBODY, PATH_LENGTH, USER_AGENT_LENGTH, Cleaner
from auditlog.call_rows import Call as QueuedCall
from auditlog.models import Call

pytestmark = pytest.mark.django_db

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECRET = secrets.generate(secrets.Kind.API_KEY)
PIECES = [b"/", b"\n", b"\0", b"\xe2\x82", b"\\N", b"\\.", b"\t", b'"', b"{}", b"%5F", SECRET.encode(), b"a" * 700]
FIELDS = [field.name for field in Call._meta.fields if field.name not in ("id", "size")]

raws = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.text(max_size=12).map(str.encode),
        st.sampled_from(PIECES),
    ),
    max_size=5,
).map(b"".join)  # fmt: skip
addresses = st.one_of(st.none(), st.ip_addresses().map(str), st.just("fe80::1%eth0"))
whos = st.one_of(
    st.just(NOBODY),
    st.tuples(st.integers(1, 2**63 - 1), st.sampled_from(["api_key", "é" * 16]), st.uuids().map(lambda one: one.hex)),
)
calls = st.tuples(
    whos,
    st.floats(0, 4e9),
    raws,
    raws,
    st.integers(0, 2**15 - 1),
    st.one_of(st.none(), st.integers(0, 2**31 - 1)),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=32),
    raws,
    addresses,
    st.integers(0, 2**128 - 1),
    st.one_of(st.none(), st.dates().map(str)),
)


def masked(raw: bytes, length: int) -> str:
    return secrets.mask(raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}"))[:length]


def row(call: QueuedCall) -> dict[str, Any]:
    """One call as a model's values, by the words of `Call`'s docstring and one at a time."""
    (account, kind, credential), at, method, path, status, duration_us, reason, user_agent, address, request_id, _ = (
        call
    )
    user_agent_kept = masked(user_agent, USER_AGENT_LENGTH)
    return {
        "account_id": account,
        "at": EPOCH + timedelta(microseconds=round(at * 1e6)),
        "method": method[:METHOD_LENGTH].decode("ascii", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
        "path": masked(path, PATH_LENGTH),
        "status": status,
        "duration_us": duration_us,
        "reason": reason,
        "credential_kind": kind,
        "credential_id": UUID(credential) if credential else None,
        "agent": callers.product_token(user_agent_kept),
        "network": callers.network(address),
        "user_agent": user_agent_kept,
        "address": address.partition("%")[0] if address else None,
        "request_id": UUID(int=request_id),
    }


def stored() -> list[dict[str, Any]]:
    """All rows, addresses parsed: an IPv4 one within IPv6 has two spellings."""
    rows = list(Call.objects.order_by("id").values(*FIELDS))
    return [found | {"address": found["address"] and ip_address(found["address"])} for found in rows]


@settings(deadline=None, max_examples=50)
@given(st.lists(calls, max_size=6))
def test_a_batchs_rows_are_those_of_each_call_stored_by_itself(batch: list[QueuedCall]) -> None:
    with transaction.atomic():
        recorder = Recorder(secrets.mask)
        recorder.record(recorder.cleaner.batch(batch))
        together = stored()
        Call.objects.all().delete()
        for call in sorted(batch, key=lambda call: (call[0][0] or 0, call[1])):
            Call.objects.create(**row(call))
        alone = stored()
        transaction.set_rollback(True)

    assert together == alone


@pytest.mark.postgresql("SQLite's columns hold whatever comes")
@pytest.mark.parametrize(
    "wrong",
    [
        {4: 2**15}, {5: 2**31}, {6: "r" * 33}, {6: "\0"}, {6: "\ud800"}, {8: "nowhere"}, {9: 2**128},
        {0: (2**63, "api_key", "0" * 32)}, {0: (1, "api_key", "no id")},
    ],
)  # fmt: skip
def test_a_value_that_its_column_cannot_hold_is_the_batchs_fault_and_not_told(wrong: dict[int, Any]) -> None:
    right = (NOBODY, 1.5, b"GET", b"/", 204, None, "", b"", None, 1, None)
    call: Any = tuple(wrong.get(n, value) for n, value in enumerate(right))
    recorder = Recorder(secrets.mask)
    batch = recorder.cleaner.batch([call])

    with pytest.raises(DataError) as refused, transaction.atomic():
        recorder.record(batch)

    assert "nowhere" not in str(refused.value)


@given(st.lists(raws, max_size=6))
def test_texts_cleaned_together_are_those_cleaned_alone(some: list[bytes]) -> None:
    batch = Cleaner(secrets.mask).batch((NOBODY, 0.0, b"GET", raw, 204, None, "", b"", None, 1, None) for raw in some)

    assert list(batch.path) == [masked(raw, PATH_LENGTH) for raw in some]
