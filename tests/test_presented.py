"""Request -> the credential it presents: transports, traps seen in real clients, mistakes."""

import json

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from apikeys import secrets
from apikeys.gate import refusals
from apikeys.gate.presented import Presented, may_hold_secret, presented
from apikeys.gate.reasons import Reason
from apikeys.secrets import Kind

BODY = "7kQ2mZx9LpW4cVb8NsT3rYh6GfJ1dA"  # the same in every process of a run, since these name tests


def a_secret(prefix: str, body: str = BODY) -> str:
    return f"{prefix}_{body}{secrets.checksum(body)}"


KEY = a_secret("kp")
OTHER_KEY = a_secret("kp", BODY[::-1])
PRIVATE_APP = a_secret("kpp")
CONNECTED_APP = a_secret("kpa")
REFRESH = a_secret("kpr")


def show(*authorization: str, key: tuple[str, ...] = (), query: str = "") -> Presented:
    return presented(authorization=authorization, api_key=key, query=query)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("secret", [KEY, PRIVATE_APP, CONNECTED_APP])
def test_any_kind_may_come_as_a_bearer_token_whatever_the_case_of_the_scheme(scheme: str, secret: str) -> None:
    assert show(f"{scheme} {secret}").secret == secret


@pytest.mark.parametrize("value", [f"Bearer {KEY} ", f"Bearer   {KEY}", f" Bearer {KEY}\t"])
def test_blanks_around_the_token_are_trimmed(value: str) -> None:
    assert show(value).secret == KEY


def test_the_account_key_may_come_as_x_api_key() -> None:
    assert show(key=(f"{KEY} ",)).secret == KEY


@pytest.mark.parametrize("empty", ["", " ", "Bearer", "Bearer ", "bearer  "])
def test_an_empty_authorization_counts_as_absent(empty: str) -> None:
    assert show(empty).reason is Reason.NO_CREDENTIAL
    assert show(empty, key=(KEY,)).secret == KEY


def test_two_different_credentials_are_refused_and_twice_the_same_is_fine() -> None:
    assert show(f"Bearer {KEY}", key=(OTHER_KEY,)).reason is Reason.TWO_CREDENTIALS
    assert show(key=(KEY, OTHER_KEY)).reason is Reason.TWO_CREDENTIALS
    assert show(f"Bearer {KEY}", key=(KEY,)).secret == KEY
    assert show(f"Bearer {PRIVATE_APP}", key=(PRIVATE_APP,)).secret == PRIVATE_APP


def test_two_authorization_headers_are_refused_even_if_they_agree() -> None:
    assert show(f"Bearer {KEY}", f"Bearer {KEY}").reason is Reason.TWO_CREDENTIALS


def test_who_sent_two_credentials_is_told_what_also_helps_who_sent_one_header_twice() -> None:
    said = json.loads(refusals.body(Reason.TWO_CREDENTIALS, b"id"))["message"]

    assert said.endswith("Send one, in one header: Authorization or X-API-Key.")


@pytest.mark.parametrize(
    "text",
    [
        "xx" + KEY[2:],
        KEY[:-1],
        KEY + "a",
        KEY[:-1] + ("0" if KEY[-1] != "0" else "1"),
        KEY.swapcase(),
        "k" * 10_000,
        KEY + "%0a",
        KEY[:5] + "\uff11" + KEY[6:],
        KEY[:5] + "\u0430" + KEY[6:],
        KEY[:5] + "\u200b" + KEY[5:],
        KEY + "\n",
        "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",
    ],
)
def test_what_is_not_exactly_a_secret_is_malformed(text: str) -> None:
    assert show(f"Bearer {text}").reason is Reason.MALFORMED
    assert show(key=(text,)).reason is Reason.MALFORMED


def test_a_nul_is_bad_input(settings: Settings) -> None:
    settings.API_KEY_QUERY_PARAM = "hapikey"

    assert show(f"Bearer {KEY}\0").reason is Reason.BAD_CREDENTIAL
    assert show(query=f"hapikey={KEY}%00").reason is Reason.BAD_CREDENTIAL


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Digest username=x", "garbage"])
def test_another_scheme_is_refused_like_a_bad_token(value: str) -> None:
    assert show(value).reason is Reason.MALFORMED


@pytest.mark.parametrize(("secret", "kind"), [(PRIVATE_APP, Kind.PRIVATE_APP), (CONNECTED_APP, Kind.CONNECTED_APP)])
def test_a_token_where_the_account_key_belongs_is_recognised(secret: str, kind: Kind) -> None:
    shown = show(key=(secret,))

    assert (shown.reason, shown.kind) == (Reason.WRONG_TRANSPORT, kind)


@pytest.mark.parametrize("secret", [KEY, PRIVATE_APP])
@pytest.mark.parametrize("scheme", ["", "Token "])
def test_a_secret_without_the_bearer_scheme_is_told_from_garbage(secret: str, scheme: str) -> None:
    expected = Reason.WRONG_TRANSPORT if not scheme else Reason.MALFORMED

    assert show(f"{scheme}{secret}").reason is expected


def test_a_refresh_token_is_no_access_token() -> None:
    assert show(f"Bearer {REFRESH}").reason is Reason.WRONG_KIND


QUERY_PARTS = ("hapikey", "api key", "api+key", "%68apikey", "%", "+", "=", "&", "?", "a", "", KEY, OTHER_KEY, "\xfc")


@given(st.lists(st.sampled_from(QUERY_PARTS), max_size=12).map("".join), st.sampled_from(["", "hapikey", "api key"]))
def test_a_query_that_cannot_hold_a_secret_changes_nothing(query: str, param: str) -> None:
    with override_settings(API_KEY_QUERY_PARAM=param):
        if not may_hold_secret(param)(query.encode("latin-1")):
            assert show(f"Bearer {KEY}", query=query) == show(f"Bearer {KEY}")
            assert show(query=query).reason is Reason.NO_CREDENTIAL


def test_a_key_in_the_query_is_refused_where_it_is_not_let_in() -> None:
    assert show(query=f"a=1&hapikey={KEY}").reason is Reason.QUERY_NOT_ALLOWED
    assert show("Bearer ", query=f"hapikey={KEY}").reason is Reason.QUERY_NOT_ALLOWED


@pytest.mark.parametrize("name", ["hapikey", "%68apikey"])
def test_a_key_in_the_query_is_taken_where_it_is_let_in(settings: Settings, name: str) -> None:
    settings.API_KEY_QUERY_PARAM = "hapikey"

    shown = show("Bearer ", query=f"limit=10&{name}={KEY}&x")

    assert (shown.secret, shown.in_query) == (KEY, True)


def test_query_and_header_must_agree(settings: Settings) -> None:
    settings.API_KEY_QUERY_PARAM = "hapikey"

    assert show(f"Bearer {PRIVATE_APP}", query=f"hapikey={KEY}").reason is Reason.TWO_CREDENTIALS
    assert show(query=f"hapikey={KEY}&hapikey={OTHER_KEY}").reason is Reason.TWO_CREDENTIALS
    assert show(query=f"hapikey={KEY}&hapikey={KEY}").secret == KEY
    assert show(query=f"hapikey={PRIVATE_APP}").reason is Reason.WRONG_TRANSPORT
    assert show(query="hapikey=").reason is Reason.NO_CREDENTIAL
    assert show(query=f"hapikey={KEY}%0a").reason is Reason.MALFORMED


def test_a_bare_question_mark_and_no_credential_is_just_that() -> None:
    assert show(query="").reason is Reason.NO_CREDENTIAL


def test_the_secret_is_not_in_the_representation() -> None:
    assert KEY not in repr(show(f"Bearer {KEY}"))


@given(authorization=st.lists(st.text(), max_size=2), key=st.lists(st.text(), max_size=2), query=st.text())
def test_whatever_comes_is_judged_and_never_accepted(authorization: list[str], key: list[str], query: str) -> None:
    shown = presented(authorization=authorization, api_key=key, query=query)

    assert shown.reason
    assert not shown.secret


TOKENS = st.one_of(
    st.binary(max_size=60),
    st.text(st.sampled_from("kpar_09AZaz \t\0é"), max_size=60).map(lambda text: text.encode("latin-1")),
    st.builds(lambda position, character: f"{KEY[:position]}{character}{KEY[position + 1 :]}".encode(),
              st.integers(0, len(KEY)), st.sampled_from(secrets.BASE62 + "_")),
)  # fmt: skip


@given(TOKENS)
def test_what_the_gates_short_way_calls_garbage_the_long_way_calls_malformed(token: bytes) -> None:
    if secrets.garbage_test()(token):
        assert show(f"Bearer {token.decode()}").reason is Reason.MALFORMED


def test_a_mistyped_key_is_garbage_and_a_key_is_not() -> None:
    is_garbage = secrets.garbage_test()

    assert all(is_garbage(token) for token in (KEY[:-1].encode(), b"kp_", KEY.swapcase().encode()))
    assert not any(is_garbage(token) for token in (KEY.encode(), f"{KEY} ".encode(), b"", b"kp\0"))
