"""What the gate has read of a credential, as the hot path wants it; and packed, for while its account does not call."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from apikeys.gate.decide import standing
from apikeys.gate.packed import ACCOUNT, CREDENTIAL, with_hyphens
from apikeys.gate.reasons import Reason
from apikeys.gate.windows import Numbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apikeys.gate.limits import Window
    from apikeys.gate.store import Credential

PACKED_LIMIT = 2**8 - 1  # credentials of an account


class Rights:
    """What many credentials have in common; one object for all of them."""

    __slots__ = ("ends_at", "head", "is_bounded", "kind", "scopes", "standing", "sunset")

    def __init__(self, credential: Credential, *, is_bounded: bool) -> None:
        """:param is_bounded: the call's method and path are to be judged, too."""
        self.kind, self.scopes, self.sunset = credential.kind.value, credential.scopes, credential.sunset
        self.standing = standing(credential)
        self.is_bounded = is_bounded
        self.ends_at = self.sunset.next_refusal(0) if self.sunset else inf  # Unix seconds by the database's clock
        scopes = "*" if self.scopes is None else " ".join(sorted(self.scopes))
        sunset = self.sunset.headers if self.sunset else b""
        # What an answer says, to be completed by the account's number and slug, and the credential's id.
        self.head = sunset.replace(b"%", b"%%") + (
            b"X-Account-Id: %%d\r\nX-Account-Slug: %%b\r\n"
            b"X-Credential-Kind: %b\r\nX-Credential-Id: %%b\r\nX-Scopes: %b\r\n"
        ) % (self.kind.encode(), scopes.replace("%", "%%").encode())

    def refused(self, at: float) -> Reason:
        """Why an announced end refuses them at a moment of the database's clock, if it does."""
        if self.sunset is None or at < self.ends_at:
            return Reason.ACCEPTED
        self.ends_at = self.sunset.next_refusal(at)
        return self.sunset.refuses(at)


class AllRights(Numbered[Rights]):
    """Those that occur."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[object, Rights] = {}

    def of(self, credential: Credential, *, is_bounded: bool) -> Rights:
        key = (credential.kind, standing(credential), credential.scopes, credential.sunset)
        found = self._of.get(key)
        if found is None:
            found = Rights(credential, is_bounded=is_bounded)
            if self.number(found) is not None:
                self._of[key] = found
        return found


class Kept:
    """A credential."""

    __slots__ = ("head", "number", "rights", "slug", "who", "window")

    def __init__(self, rights: Rights, window: Window, *, number: int, slug: bytes, identity: str) -> None:
        """:param number: the account's public one; `identity`: the credential's, 32 hex digits."""
        self.rights, self.window, self.number, self.slug = rights, window, number, slug
        self.who = (window.account_id, rights.kind, identity)
        self.head = rights.head % (number, slug, with_hyphens(identity))  # after the plan's, which are the window's


def pack(kept: Mapping[bytes, Kept], rights: AllRights) -> bytes | None:
    """An account's credentials by digest, in few bytes; None if they cannot be."""
    parts = []
    for digest, one in kept.items():
        number = rights.number(one.rights)
        if number is None:
            return None
        parts.append(CREDENTIAL.pack(number, bytes.fromhex(one.who[2]), digest))
    return b"".join((ACCOUNT.pack(one.number, len(kept)), *parts, one.slug)) if kept else b""


def digests(packed: bytes) -> list[bytes]:
    """Whose credentials these are."""
    return [digest for _, _, digest in _credentials(packed)] if packed else []


def unpack(packed: bytes, rights: AllRights, window: Window) -> Iterator[tuple[bytes, Kept]]:
    if packed:
        number, count = ACCOUNT.unpack_from(packed)
        slug = packed[ACCOUNT.size + count * CREDENTIAL.size :]
        for its_rights, identity, digest in _credentials(packed):
            yield digest, Kept(rights[its_rights], window, number=number, slug=slug, identity=identity.hex())


def _credentials(packed: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    _, count = ACCOUNT.unpack_from(packed)
    return CREDENTIAL.iter_unpack(packed[ACCOUNT.size : ACCOUNT.size + count * CREDENTIAL.size])
