"""The protected API's OpenAPI document: which operations and scopes are read out of it, and what it may not be."""

import json
from pathlib import Path
from typing import Any

import pytest

from apikeys import api_document
from apikeys.api_document import ApiDocumentError, Operation

SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "oauth": {"type": "oauth2", "flows": {}},
    "token": {"type": "http", "scheme": "bearer"},
}


def document(paths: Any, **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "components": {"securitySchemes": SCHEMES}, "paths": paths} | more


def read(directory: Path, said: Any) -> list[Operation]:
    path = directory / "openapi.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return api_document.read(path)


def scopes_of(directory: Path, security: Any, **more: Any) -> list[list[str]]:
    (operation,) = read(directory, document({"/things": {"get": {"security": security}}}, **more))
    return [sorted(alternative) for alternative in operation.scopes]


def test_each_method_of_each_path_is_an_operation(tmp_path: Path) -> None:
    paths = {"/things": {"get": {}, "post": {}, "summary": "Things"}, "/things/{id}": {"parameters": [], "delete": {}}}

    found = read(tmp_path, document(paths))

    assert [(one.method, one.template) for one in found] == [
        ("GET", "/things"),
        ("POST", "/things"),
        ("DELETE", "/things/{id}"),
    ]


def test_yaml_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(
        "openapi: 3.0.3\n"
        "components: {securitySchemes: {oauth: {type: oauth2}}}\n"
        "paths:\n  /things:\n    get:\n      security:\n        - oauth: [things.read]\n"
    )

    assert api_document.read(path) == [Operation("GET", "/things", (frozenset({"things.read"}),))]


@pytest.mark.parametrize(
    ("security", "scopes"),
    [
        ([{"oauth": ["a"]}], [["a"]]),
        ([{"oauth": ["a", "b"]}], [["a", "b"]]),
        ([{"oauth": ["a"]}, {"oauth": ["b"]}], [["a"], ["b"]]),
        ([{"key": []}, {"oauth": ["a"]}], [["a"]]),  # the key's own way in is none for apps
        ([{"oauth": ["a"]}, {"token": ["a"]}], [["a"]]),
        ([{"oauth": ["a"], "key": []}], [["a"]]),
        ([{"key": ["a"]}], [["a"]]),  # not of OpenAPI 3.0's own, but written so
        ([{"key": []}], []),
        ([{"oauth": []}], []),
        ([{"oauth": ["a"]}, {}], []),  # who needs no credential needs no scope
        ([], []),
    ],
)
def test_alternatives_of_security_are_alternatives_of_scopes(
    tmp_path: Path, security: Any, scopes: list[list[str]]
) -> None:
    assert scopes_of(tmp_path, security) == scopes


def test_what_an_operation_does_not_say_the_document_says(tmp_path: Path) -> None:
    paths: Any = {"/things": {"get": {}, "put": {"security": []}}}

    found = read(tmp_path, document(paths, security=[{"oauth": ["a"]}]))

    assert [one.scopes for one in found] == [(frozenset({"a"}),), ()]


@pytest.mark.parametrize(
    ("servers", "templates"),
    [
        ([{"url": "https://api.example.com"}], ["/things"]),
        ([{"url": "https://api.example.com/v3/"}], ["/v3/things"]),
        ([{"url": "/v3"}, {"url": "https://eu.example.com/v3"}, {"url": "/beta"}], ["/v3/things", "/beta/things"]),
        ([{"url": "https://{host}/{base}", "variables": {"base": {"default": "v3"}, "host": {}}}], ["/v3/things"]),
    ],
)
def test_the_servers_paths_stand_before_the_operations(tmp_path: Path, servers: Any, templates: list[str]) -> None:
    found = read(tmp_path, document({"/things": {"get": {}}}, servers=servers))

    assert [one.template for one in found] == templates


def test_a_reference_within_the_document_is_followed(tmp_path: Path) -> None:
    shared = {"get": {"security": [{"oauth": ["a"]}]}}
    more = {"components": {"securitySchemes": SCHEMES, "pathItems": {"a/b": shared}}}

    found = read(tmp_path, document({"/things": {"$ref": "#/components/pathItems/a~1b"}}) | more)

    assert found == [Operation("GET", "/things", (frozenset({"a"}),))]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "not an object"),
        ("[]", "not an object"),
        ("{", "not JSON"),
        ('{"openapi": "3.1.0", "paths": {"/a": {"get": {}}, "/a": {}}}', "'/a' stands there twice"),
        ("openapi: 3.1.0\npaths:\n  /a: {get: {}}\n  /a: {}\n", "'/a' stands there twice"),
        ("a: [", "not YAML"),
        ("[" * 100_000, "not YAML"),
        ('{"a":' * 100_000, "nested too deeply"),
        ({"swagger": "2.0", "paths": {}}, "3.0 and 3.1"),
        ({"openapi": "3.2.0", "paths": {"/a": {"get": {}}}}, "3.0 and 3.1"),
        (document({}), "names no operation"),
        (document({"things": {"get": {}}}), "not a path"),
        (document({"/things/{id": {"get": {}}}), "not a path"),
        (document({"/things": []}), "not an object"),
        (document({"/things": {"get": None}}), "not an object"),
        (document({"/things": {"$ref": "things.yaml"}}), "put all into one document"),
        (document({"/things": {"$ref": "#/paths/~1things"}}), "put all into one document"),
        (document({"/things": {"$ref": "#/paths/nothing"}}), "not an object"),
        (document({"/things": {"get": {"security": {"oauth": []}}}}), "not a list"),
        (document({"/things": {"get": {"security": ["oauth"]}}}), "not an object"),
        (document({"/things": {"get": {"security": [{"other": ["a"]}]}}}), "securitySchemes does not have"),
        (document({"/things": {"get": {"security": [{"oauth": "a"}]}}}), "that are none"),
        (document({"/things": {"get": {"security": [{"oauth": ['a"\r\nX: y']}]}}}), "that are none"),
        (document({"/things": {"get": {}}}, servers={"url": "/"}), "servers is not a list"),
    ],
)
def test_what_is_not_understood_is_an_error_that_says_where(tmp_path: Path, said: Any, why: str) -> None:
    with pytest.raises(ApiDocumentError, match=why) as refusal:
        read(tmp_path, said)

    assert "openapi.json" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ApiDocumentError, match="No such file"):
        api_document.read(tmp_path / "openapi.yaml")


def test_a_file_without_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(api_document, "SIZE_LIMIT", 100)

    with pytest.raises(ApiDocumentError, match="larger than 100 bytes"):
        read(tmp_path, document({"/things": {"get": {}}}))
