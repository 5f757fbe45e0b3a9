"""Method and path of a call -> the operation of the API's document, and whether a credential's scopes are enough.

Paths are compared as an API would read them: percent-encoding undone, a slash at the end left out. What APIs read in
different ways (`//`, `..`, an encoded slash, `;`) is no operation, and no scoped credential may send it: the gate would
judge one path and the API serve another.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from apikeys.gate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apikeys.api_document import Operation

Scopes = frozenset[str] | None  # None: everything
EVERYTHING: Scopes = None

_PARAMETER = re.compile(r"\{[^{}]+\}")
# In a path: reason to look closer. In a decoded segment: what servers read in ways of their own, which are control
# characters, separators, dots, nothing at all, and what is encoded still.
_UNUSUAL = re.compile(rb"[^0-9A-Za-z_/.~:@!$&'()*+,=-]|//|/\.\.?(?:/|\Z)")
_READ_DIFFERENTLY = re.compile(rb"[\x00-\x1f\x7f/\\;?#]|%[0-9A-Fa-f]{2}|\A\.{0,2}\Z")


class Ruling(NamedTuple):
    """Why a call may not go on, and the scopes that it lacks or needs; without a reason it may."""

    reason: Reason
    scopes: tuple[str, ...] = ()  # all that the operation asks for
    either: bool = False  # it has other ways in, with other scopes


PASSES = Ruling(Reason.ACCEPTED)
UNKNOWN = Ruling(Reason.UNKNOWN_ROUTE)


class Routes:
    """A document's operations, to be found by path."""

    def __init__(self, operations: Iterable[Operation], *, refuse_unknown: bool) -> None:
        """:raises ValueError: if two operations answer to the same method and path."""
        self._root = _Node()
        self._for_unknown = UNKNOWN if refuse_unknown else PASSES
        for operation in operations:
            self._root.add(operation)

    def rule(self, scopes: Scopes, method: bytes, path: bytes) -> Ruling:
        """Judge a call.

        :param path: as it came, without the query.
        """
        segments = _segments(path)
        if segments is None:
            return UNKNOWN if scopes is not None else self._for_unknown
        operation = self._root.find(method, segments)
        if operation is None and method == b"HEAD":  # answered as GET without its body (RFC 9110, 9.3.2)
            operation = self._root.find(b"GET", segments)
        if operation is None:
            return self._for_unknown
        if scopes is None or not operation.scopes or any(needed <= scopes for needed in operation.scopes):
            return PASSES
        nearest = min(operation.scopes, key=lambda needed: len(needed - scopes))
        return Ruling(Reason.MISSING_SCOPES, tuple(sorted(nearest)), either=len(operation.scopes) > 1)


class _Node:
    """A place in the tree of paths: what may come next, literal text before parts before anything."""

    __slots__ = ("anything", "literal", "operations", "parts")

    def __init__(self) -> None:
        self.literal: dict[bytes, _Node] = {}
        self.parts: dict[re.Pattern[bytes], _Node] = {}  # segments that are a parameter in part: "{name}.json"
        self.anything: _Node | None = None  # a segment that is a parameter
        self.operations: dict[bytes, Operation] = {}

    def add(self, operation: Operation) -> None:
        node = self
        for segment in operation.template.removesuffix("/").split("/")[1:]:
            node = node._next(segment)
        method = operation.method.encode()
        if method in node.operations:
            raise ValueError(f"{operation.method} {operation.template} stands there twice.")
        node.operations[method] = operation

    def _next(self, segment: str) -> _Node:
        texts = _PARAMETER.split(segment)
        if len(texts) == 1:
            return self.literal.setdefault(unquote_to_bytes(segment), _Node())
        if texts == ["", ""]:
            self.anything = self.anything or _Node()
            return self.anything
        pattern = b".+".join(re.escape(unquote_to_bytes(text)) for text in texts)
        return self.parts.setdefault(re.compile(pattern, re.DOTALL), _Node())

    def find(self, method: bytes, segments: list[bytes], start: int = 0) -> Operation | None:
        """The operation of the path that is the least general; one without this method leaves it to the next."""
        if start == len(segments):
            return self.operations.get(method)
        segment = segments[start]
        node = self.literal.get(segment)
        found = node.find(method, segments, start + 1) if node is not None else None
        if found is None and self.parts:
            nodes = (node for pattern, node in self.parts.items() if pattern.fullmatch(segment))
            found = next(filter(None, (node.find(method, segments, start + 1) for node in nodes)), None)
        if found is None and self.anything is not None:
            found = self.anything.find(method, segments, start + 1)
        return found


def _segments(path: bytes) -> list[bytes] | None:
    """The path's parts, decoded; None if it is one that servers read differently."""
    if path[:1] != b"/":
        return None
    segments = path.removesuffix(b"/").split(b"/")[1:]
    if not _UNUSUAL.search(path):
        return segments
    segments = [unquote_to_bytes(segment) for segment in segments]
    return None if any(map(_READ_DIFFERENTLY.search, segments)) else segments
