"""Which operation a call is of, whether scopes are enough for it, and what tries to be taken for another path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.api_document import Operation
from apikeys.gate.reasons import Reason
from apikeys.gate.routes import PASSES, Routes, Ruling

READ, WRITE = frozenset({"contacts.read"}), frozenset({"contacts.write"})
OPERATIONS = [
    Operation("GET", "/contacts", (READ,)),
    Operation("POST", "/contacts", (WRITE,)),
    Operation("GET", "/contacts/{id}", (READ,)),
    Operation("POST", "/contacts/search", (READ,)),
    Operation("GET", "/contacts/{id}.vcf", (frozenset({"contacts.export"}),)),
    Operation("GET", "/{kind}/mine", (frozenset({"mine.read"}),)),
    Operation("GET", "/both", (READ | WRITE, frozenset({"everything.read"}))),
    Operation("GET", "/open", ()),
    Operation("GET", "/r%C3%A4ume", (frozenset({"rooms"}),)),
]
LENIENT = Routes(OPERATIONS, refuse_unknown=False)
STRICT = Routes(OPERATIONS, refuse_unknown=True)


def needed(method: str, path: str) -> list[str] | None:
    """The scopes that a credential without any lacks; None: the route is unknown."""
    ruling = STRICT.rule(frozenset(), method.encode(), path.encode())
    return None if ruling.reason is Reason.UNKNOWN_ROUTE else list(ruling.scopes)


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("GET", "/contacts", ["contacts.read"]),
        ("GET", "/contacts/", ["contacts.read"]),
        ("HEAD", "/contacts", ["contacts.read"]),
        ("POST", "/contacts", ["contacts.write"]),
        ("GET", "/contacts/7", ["contacts.read"]),
        ("GET", "/contacts/a%20b", ["contacts.read"]),
        ("GET", "/%63ontacts/7", ["contacts.read"]),
        ("GET", "/contacts/7.vcf", ["contacts.export"]),  # the least general of what fits
        ("POST", "/contacts/search", ["contacts.read"]),
        ("GET", "/contacts/search", ["contacts.read"]),  # as a contact of that name: the search is a POST
        ("GET", "/contacts/mine", ["contacts.read"]),
        ("GET", "/deals/mine", ["mine.read"]),
        ("GET", "/räume", ["rooms"]),
        ("GET", "/r%c3%a4ume", ["rooms"]),
        ("GET", "/open", []),
        ("DELETE", "/contacts", None),
        ("OPTIONS", "/contacts", None),
        ("get", "/contacts", None),
        ("GET", "/Contacts", None),
        ("GET", "/contacts/7/notes", None),
        ("GET", "/", None),
    ],
)
def test_a_call_is_of_the_operation_that_its_path_names(method: str, path: str, scopes: list[str] | None) -> None:
    assert needed(method, path) == scopes


@pytest.mark.parametrize(
    ("granted", "ruling"),
    [
        (READ, Ruling(Reason.MISSING_SCOPES, ("contacts.read", "contacts.write"), either=True)),
        (READ | WRITE, PASSES),
        (frozenset({"everything.read"}), PASSES),
        (None, PASSES),  # the account key
    ],
)
def test_one_alternative_has_to_be_granted_whole(granted: frozenset[str] | None, ruling: Ruling) -> None:
    assert STRICT.rule(granted, b"GET", b"/both") == ruling


@pytest.mark.parametrize("granted", [None, frozenset(), READ])
def test_unknown_routes_are_for_all_or_for_none(granted: frozenset[str] | None) -> None:
    assert LENIENT.rule(granted, b"GET", b"/other").reason is Reason.ACCEPTED
    assert STRICT.rule(granted, b"GET", b"/other").reason is Reason.UNKNOWN_ROUTE


@pytest.mark.parametrize(
    "path",
    [
        "//contacts",
        "/contacts//",
        "/./contacts",
        "/other/../contacts",
        "/other/%2e%2e/contacts",
        "/other/.%2E/contacts",
        "/other%2f..%2fcontacts",
        "/other%252f..%252fcontacts",
        "/other\\..\\contacts",
        "/other%5c..%5ccontacts",
        "/contacts;v=1",
        "/contacts%3bv=1",
        "/contacts%00",
        "/contacts%0a",
        "/contacts#",
        "/contacts%3f",
        "contacts",
        "*",
        "",
    ],
)
def test_a_path_that_servers_read_differently_is_for_the_account_key_alone(path: str) -> None:
    """With unknown routes allowed it would else pass without the scope of the operation that the API makes of it."""
    assert LENIENT.rule(frozenset(), b"GET", path.encode()).reason is Reason.UNKNOWN_ROUTE
    assert LENIENT.rule(None, b"GET", path.encode()).reason is Reason.ACCEPTED
    assert STRICT.rule(None, b"GET", path.encode()).reason is Reason.UNKNOWN_ROUTE


@given(path=st.binary(max_size=60), method=st.binary(max_size=8))
def test_any_bytes_are_judged(path: bytes, method: bytes) -> None:
    assert STRICT.rule(frozenset(), method, b"/" + path).reason in {
        Reason.ACCEPTED,
        Reason.MISSING_SCOPES,
        Reason.UNKNOWN_ROUTE,
    }


def test_two_templates_of_one_shape_are_one_place() -> None:
    twice = [Operation("GET", "/a/{id}", ()), Operation("GET", "/a/{name}", ())]

    with pytest.raises(ValueError, match=r"GET /a/\{name\} stands there twice"):
        Routes(twice, refuse_unknown=False)
