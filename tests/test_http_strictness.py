"""HTTP that is refused before anything reads the request, over the real server and raw sockets."""

import re
import socket
from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django import DjangoDbBlocker

from tests.clients import server

pytestmark = pytest.mark.django_db(transaction=True)

END = b"Connection: close\r\n\r\n"
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def web(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[server.Server]:
    process = server.web(tmp_path_factory.mktemp("web") / "log")
    with server.kept(process, django_db_blocker) as running:
        yield running


def ask(web: server.Server, request: bytes) -> tuple[int, bytes]:
    """The status and the whole answer to these bytes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        connection.sendall(request)
        while received := connection.recv(65536):
            answer += received
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert found, answer
    return int(found[1]), answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"TRACE /livez HTTP/1.1", 405),
        (b"CONNECT example.com:443 HTTP/1.1", 405),
        (b"BREW /livez HTTP/1.1", 405),
        (b"get /livez HTTP/1.1", 405),
        (b"GET /livez HTTP/9.9", 400),
        (b"GET /livez" + b"?" + b"a" * 5000 + b" HTTP/1.1", 414),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1", 414),
        (b"GET /a\0b HTTP/1.1", 400),
        (b"GET /a%00b HTTP/1.1", 404),
        (b"GET /%ff HTTP/1.1", 404),
        (b"GET /%C0%AE%C0%AE/ HTTP/1.1", 404),
        (b"GET /a/../livez/.. HTTP/1.1", 404),
        (b"GET /%2e%2e%2fetc/passwd HTTP/1.1", 404),
        (b"GET /static/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404),
        (b"GET //example.com/livez HTTP/1.1", 404),
        (b"GET /livez/%0d%0aX-Injected:1 HTTP/1.1", 404),
        (b"OPTIONS * HTTP/1.1", 404),
    ],
)
def test_a_request_line_that_is_not_served_is_refused(web: server.Server, request_line: bytes, status: int) -> None:
    assert ask(web, request_line + b"\r\n" + HOST + END)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 400),
        (b"Host:\r\n", 400),
        (b"Host: evil.example\r\n", 400),
        (b"Host: localhost\r\nHost: localhost\r\n", 400),
        (b"Host: localhost\r\nHost: evil.example\r\n", 400),
        (b"Host: a@localhost\r\n", 400),
        (b"Host: localhost:80a\r\n", 400),
        (HOST + b"X-Long: " + b"a" * 9000 + b"\r\n", 431),
        (HOST + b"".join(b"X-%d: a\r\n" % number for number in range(101)), 431),
        (HOST + b"X-Folded: a\r\n b\r\n", 400),
        (HOST + b"X-Nul: a\0b\r\n", 400),
        (HOST + b"X-Return: a\rb\r\n", 400),
        (HOST + b"Content-Encoding: gzip\r\n", 415),
    ],
)
def test_headers_that_are_wrong_are_refused(web: server.Server, headers: bytes, status: int) -> None:
    assert ask(web, b"GET /livez HTTP/1.1\r\n" + headers + END)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", 400),
        (b"Transfer-Encoding : chunked\r\n", 400),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", 400),
        (b"Content-Length: +1\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: 0x1\r\n", 400),
        (b"Content-Length: 3000000\r\n", 413),
    ],
)
def test_a_body_whose_end_is_unclear_or_far_is_refused(web: server.Server, headers: bytes, status: int) -> None:
    request = b"POST /integrations/v1/me HTTP/1.1\r\n" + HOST + headers + END + b"3\r\nabc\r\n0\r\n\r\n"

    assert ask(web, request)[0] == status


@pytest.mark.parametrize("target", [b"http://evil.example/livez", b"//evil.example/livez"])
def test_the_absolute_form_of_another_host_is_refused(web: server.Server, target: bytes) -> None:
    status, _ = ask(web, b"GET " + target + b" HTTP/1.1\r\n" + END)

    assert status == 400


@pytest.mark.parametrize("header", [b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override"])
def test_a_header_does_not_change_the_method(web: server.Server, header: bytes) -> None:
    status, _ = ask(web, b"GET /livez HTTP/1.1\r\n" + HOST + header + b": DELETE\r\n" + END)

    assert status == 200


def test_refusals_below_the_api_s_paths_have_its_error_shape(client: Client) -> None:
    answer = client.generic("TRACE", "/integrations/v1/me")

    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert answer.json()["category"] == "VALIDATION_ERROR"
    assert answer.json()["correlationId"] == answer.headers["X-Request-Id"]


def test_refusals_elsewhere_say_what_is_wrong_in_plain_text(client: Client) -> None:
    answer = client.get("/livez", headers={"Content-Encoding": "br"})

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content == b"Send the body as it is, without Content-Encoding.\n"


def test_the_unencoded_body_may_say_that_it_is(client: Client) -> None:
    assert client.get("/livez", headers={"Content-Encoding": "identity"}).status_code == 200
