"""The protected API's own OpenAPI document (3.0 or 3.1, JSON or YAML): its operations, and the scopes that they need.

Read are `paths`, their methods, `security`, `components.securitySchemes` and the paths of `servers`; what else the
document says is not looked at. What is not understood there is an error, never a scope less.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")  # the fields of a Path Item Object
SIZE_LIMIT = 20_000_000  # bytes
WITHOUT_SCOPES = frozenset({"apiKey", "http", "mutualTLS"})  # types of schemes that are not about granted scopes

_VERSION = re.compile(r"3\.[01]\.\d+")
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_TEMPLATE = re.compile(r"/(?:[^{}?#]|\{[^{}/?#]+\})*")


class ApiDocumentError(Exception):
    """The document cannot be read or is not understood; says where and why in one line."""


class Operation(NamedTuple):
    """What a caller can ask of the API."""

    method: str  # in capitals
    template: str  # the path, its parameters in braces: "/contacts/{contactId}", the server's path in front
    scopes: tuple[
        frozenset[str], ...
    ]  # alternatives, one of which has to be granted whole; none: any credential will do


def read(path: Path) -> list[Operation]:
    """Every operation of the document.

    :raises ApiDocumentError: as it says.
    """
    document = _Document(_parsed(path), path.name)
    operations = list(document.operations())
    if not operations:
        raise ApiDocumentError(f"{path.name} names no operation.")
    return operations


class _Document:
    def __init__(self, root: Any, name: str) -> None:
        self._root, self._name = _mapping(root, name), name
        version = str(self._root.get("openapi", ""))
        if not _VERSION.fullmatch(version):
            raise self._error("openapi", f"is {version!r}: documents of OpenAPI 3.0 and 3.1 are understood")
        schemes = self._at(self._at(self._root, "components"), "securitySchemes")
        self._types = {
            key: str(self._resolved(one, f"securitySchemes.{key}").get("type")) for key, one in schemes.items()
        }

    def operations(self) -> Iterator[Operation]:
        by_default = self._root.get("security", [])
        for template, item in self._at(self._root, "paths").items():
            where = f"paths.{template}"
            if not _TEMPLATE.fullmatch(str(template)):
                raise self._error(where, "is not a path such as /contacts/{contactId}")
            found = self._resolved(item, where)
            for method in METHODS:
                if method not in found:
                    continue
                its_place = f"{where}.{method}"
                operation = _mapping(found[method], f"{self._name}: {its_place}")
                scopes = self._scopes(operation.get("security", by_default), its_place)
                servers = operation.get("servers") or found.get("servers") or self._root.get("servers")
                for prefix in self._prefixes(servers, its_place):
                    yield Operation(method.upper(), prefix + str(template), scopes)

    def _scopes(self, security: Any, where: str) -> tuple[frozenset[str], ...]:
        """The alternatives that a scoped credential has (Security Requirement Objects).

        An alternative of keys alone, without scopes, is the account key's way in; where others stand beside it, it is
        none for apps.
        """
        if not isinstance(security, list):
            raise self._error(f"{where}.security", "is not a list")
        alternatives = [self._alternative(one, where) for one in security]
        for_apps = {scopes for scopes, is_for_keys in alternatives if not is_for_keys}
        if frozenset() in for_apps:  # no scope, or no credential at all
            return ()
        return tuple(sorted(for_apps, key=lambda scopes: (len(scopes), sorted(scopes))))

    def _alternative(self, requirement: Any, where: str) -> tuple[frozenset[str], bool]:
        """The scopes, all of which are needed, and whether this is a way for account keys alone."""
        schemes = _mapping(requirement, f"{self._name}: {where}.security")
        scopes: set[str] = set()
        for scheme, named in schemes.items():
            if scheme not in self._types:
                raise self._error(
                    f"{where}.security", f"names {scheme}, which components.securitySchemes does not have"
                )
            if not isinstance(named, list) or not all(isinstance(one, str) and _SCOPE.fullmatch(one) for one in named):
                raise self._error(f"{where}.security", f"names scopes of {scheme} that are none (RFC 6749, 3.3)")
            scopes.update(named)
        is_for_keys = bool(schemes) and not scopes and {self._types[one] for one in schemes} <= WITHOUT_SCOPES
        return frozenset(scopes), is_for_keys

    def _prefixes(self, servers: Any, where: str) -> list[str]:
        """The paths of the servers' addresses, each once; variables as they are by default."""
        if not servers:
            return [""]
        if not isinstance(servers, list):
            raise self._error(f"{where}.servers", "is not a list")
        return list(dict.fromkeys(self._prefix(_mapping(one, f"{self._name}: servers"), where) for one in servers))

    def _prefix(self, server: dict[str, Any], where: str) -> str:
        variables = self._at(server, "variables")

        def default(name: re.Match[str]) -> str:
            variable = _mapping(variables.get(name[1]), f"{self._name}: servers.variables.{name[1]}")
            return str(variable.get("default", ""))

        try:
            path = urlsplit(_VARIABLE.sub(default, str(server.get("url", "")))).path
        except ValueError:
            raise self._error(f"{where}.servers", "holds an address that is none") from None
        return path.rstrip("/") if path.startswith("/") else ""

    def _resolved(self, item: Any, where: str) -> dict[str, Any]:
        """The object, or the one that it refers to within the document."""
        found, seen = _mapping(item, f"{self._name}: {where}"), set()
        while "$ref" in found:
            reference = str(found["$ref"])
            if not reference.startswith("#/") or reference in seen:
                raise self._error(where, f"refers to {reference}: put all into one document")
            seen.add(reference)
            target: Any = self._root
            for part in reference[2:].split("/"):
                step = part.replace("~1", "/").replace("~0", "~")  # RFC 6901, 4
                target = _mapping(target, f"{self._name}: {reference}").get(step)
            found = _mapping(target, f"{self._name}: {reference}")
        return found

    def _at(self, parent: dict[str, Any], name: str) -> dict[str, Any]:
        return _mapping(parent.get(name) or {}, f"{self._name}: {name}")

    def _error(self, where: str, what: str) -> ApiDocumentError:
        return ApiDocumentError(f"{self._name}: {where} {what}.")


_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # scope-token of RFC 6749, 3.3


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiDocumentError(f"{where} is not an object.")
    return value


# --- Text -> objects ----------------------------------------------------------------------------------------------
def _parsed(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except OSError as failure:
        raise ApiDocumentError(f"{path} cannot be read: {failure.strerror}.") from None
    if len(raw) > SIZE_LIMIT:
        raise ApiDocumentError(f"{path.name} is larger than {SIZE_LIMIT:,} bytes.")
    try:
        if raw.lstrip()[:1] == b"{":
            return json.loads(raw, object_pairs_hook=_without_repeats)
        return yaml.load(raw, Loader=_Loader)  # noqa: S506 -- a safe loader, of ours
    except yaml.YAMLError as failure:
        raise ApiDocumentError(f"{path.name} is not YAML: {' '.join(str(failure).split())}.") from None
    except (ValueError, RecursionError) as failure:
        why = "it is nested too deeply" if isinstance(failure, RecursionError) else failure
        raise ApiDocumentError(f"{path.name} is not JSON or YAML: {why}.") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that comes twice is an error: the first path's scopes would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return found


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]  # either
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- PyYAML's
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            name = next(name for name in names if names.count(name) > 1)
            raise yaml.MarkedYAMLError(problem=f"{name!r} stands there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]  # PyYAML says nothing
