"""The API's description, for programs and for people."""

import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def test_the_document_is_openapi_3_1_and_names_this_portal(document: dict[str, Any], settings: Settings) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": settings.SITE_ORIGIN}]


def test_the_document_lists_every_endpoint_in_every_spelling(document: dict[str, Any]) -> None:
    spellings = [f"/account-info/{version}" for version in ("v3", "2026-03", "2026-09")]

    assert set(document["paths"]) == {
        "/integrations/v1/me",
        "/integrations/v1/limit/daily",
        *(f"{spelling}/details" for spelling in spellings),
        *(f"{spelling}/api-usage/daily" for spelling in spellings),
    }
    operation_ids = [operation["get"]["operationId"] for operation in document["paths"].values()]
    assert len(operation_ids) == len(set(operation_ids))


def test_every_endpoint_says_which_errors_it_answers_and_as_what(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        assert set(methods["get"]["responses"]) == {"200", "400", "401", "403", "405", "429", "503"}
    for response in document["components"]["responses"].values():
        assert set(response["content"]) == {"application/json"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in re.findall(r"'\$ref': '#/([^']+)'", str(document)):
        place: Any = document
        for step in reference.split("/"):
            place = place[step]


def test_the_query_parameter_is_described_only_where_it_is_let_in(client: Client, settings: Settings) -> None:
    without = client.get("/openapi.json").json()["components"]["securitySchemes"]
    settings.API_KEY_QUERY_PARAM = "hapikey"

    with_it = client.get("/openapi.json").json()["components"]["securitySchemes"]

    assert set(without) == {"bearer", "header"}
    assert with_it["query"]["name"] == "hapikey"


def test_the_page_shows_each_endpoint_with_a_command_and_an_answer(client: Client, settings: Settings) -> None:
    page = client.get("/docs").content.decode()

    for path in ("/integrations/v1/me", "/account-info/v3/details", "/account-info/2026-09/api-usage/daily"):
        assert path in page
    assert f"curl {settings.SITE_ORIGIN}/integrations/v1/me" in page
    assert "Authorization: Bearer $API_KEY" in page.replace("&quot;", '"')
    assert "TEN_SECONDLY_ROLLING" in page


def test_the_page_works_under_the_strict_policy(client: Client) -> None:
    answer = client.get("/docs")

    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", answer.content.decode())


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_description_is_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
