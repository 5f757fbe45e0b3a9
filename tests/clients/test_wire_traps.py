"""What clients in the field do, as they do it: bytes on a socket."""

import http.client

import pytest

from apikeys import secrets
from apikeys.models import ApiKey
from tests.clients import server
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory.create()


def ask(
    web: server.Server, target: str, *headers: tuple[str, str], method: str = "GET"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.mark.parametrize("empty", ["Bearer ", "Bearer", "bearer  "])
def test_an_empty_bearer_beside_a_key_counts_as_absent(web: server.Server, key: ApiKey, empty: str) -> None:
    answer, _ = ask(web, f"/integrations/v1/me?hapikey={key.secret()}", ("Authorization", empty))

    assert answer.status == 200


def test_two_different_credentials_are_refused_and_told_so(web: server.Server, key: ApiKey) -> None:
    other = secrets.generate(secrets.Kind.API_KEY)

    answer, body = ask(web, f"/integrations/v1/me?hapikey={key.secret()}", ("Authorization", f"Bearer {other}"))

    assert answer.status == 400
    assert b"two credentials" in body


def test_twice_the_same_credential_is_fine(web: server.Server, key: ApiKey) -> None:
    bearer = ("Authorization", f"Bearer {key.secret()}")

    answer, _ = ask(web, f"/integrations/v1/me?hapikey={key.secret()}", bearer, ("X-API-Key", key.secret()))

    assert answer.status == 200


@pytest.mark.parametrize("target", ["/integrations/v1/me?", "/integrations/v1/me"])
def test_a_bare_question_mark_and_no_user_agent_are_fine(web: server.Server, key: ApiKey, target: str) -> None:
    answer, _ = ask(web, target, ("X-API-Key", key.secret()))

    assert answer.status == 200


@pytest.mark.parametrize("name", ["hapikey", "%68apikey"])
def test_a_key_in_the_query_is_answered_with_a_deprecation(web: server.Server, key: ApiKey, name: str) -> None:
    answer, body = ask(web, f"/integrations/v1/me?{name}={key.secret()}")

    assert (answer.status, answer.headers["Deprecation"]) == (200, "@1669766400")
    assert key.secret().encode() not in body


def test_a_delete_has_a_content_type_even_when_refused(web: server.Server, key: ApiKey) -> None:
    answer, _ = ask(web, "/integrations/v1/me", ("X-API-Key", key.secret()), method="DELETE")

    assert (answer.status, answer.headers["Content-Type"]) == (405, "application/json")


def test_a_private_app_s_token_in_the_wrong_header_is_told_which_is_right(web: server.Server) -> None:
    token = secrets.generate(secrets.Kind.PRIVATE_APP)

    answer, body = ask(web, "/integrations/v1/me", ("X-API-Key", token))

    assert answer.status == 401
    assert b"private app" in body
    assert b"Authorization: Bearer" in body
    assert token.encode() not in body


def test_reaching_the_burst_limit_says_both_what_clients_look_for(web: server.Server, key: ApiKey) -> None:
    key.account.burst_limit = 1
    key.account.save()
    ask(web, "/integrations/v1/me", ("X-API-Key", key.secret()))

    answer, body = ask(web, "/integrations/v1/me", ("X-API-Key", key.secret()))

    assert answer.status == 429
    assert b'"policyName": "TEN_SECONDLY_ROLLING"' in body
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_daily_headers_count_down_from_the_limit(web: server.Server, key: ApiKey) -> None:
    remaining = [
        ask(web, "/integrations/v1/me", ("X-API-Key", key.secret()))[0].headers["X-HubSpot-RateLimit-Daily-Remaining"]
        for _ in range(3)
    ]

    assert remaining == ["249999", "249998", "249997"]


def test_head_leaves_the_body_away(web: server.Server, key: ApiKey) -> None:
    whole, body = ask(web, "/integrations/v1/me", ("X-API-Key", key.secret()))

    answer, nothing = ask(web, "/integrations/v1/me", ("X-API-Key", key.secret()), method="HEAD")

    assert (answer.status, nothing) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(body)) == whole.headers["Content-Length"]


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_a_header_sent_twice_is_no_single_credential(web: server.Server, key: ApiKey, name: str) -> None:
    form = "Bearer {}" if name == "Authorization" else "{}"
    other = secrets.generate(secrets.Kind.API_KEY)

    answer, _ = ask(web, "/integrations/v1/me", (name, form.format(key.secret())), (name, form.format(other)))

    assert answer.status == 400


@pytest.mark.parametrize("letters", ["\u0430", "\uff11", "\u200b", "\u00e9"])
def test_letters_that_look_alike_make_no_secret(web: server.Server, key: ApiKey, letters: str) -> None:
    sent = (key.secret()[:-1] + letters).encode().decode("latin-1")

    answer, body = ask(web, "/integrations/v1/me", ("X-API-Key", sent))

    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/json")
    assert key.secret()[:-1].encode() not in body
