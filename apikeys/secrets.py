"""Secrets: how they look, how they are found, how they are kept.

A secret is `<prefix>_<30 random base62><6 base62 of the CRC-32 of those 30>`, base62 being `0-9A-Za-z` and the
checksum left-padded with `0`. So anything can tell a typo or a guess from a secret without asking the store.

It is kept twice: as a keyed digest, to be found, and sealed, to be shown again. In clear it is nowhere.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from accounts import sealing
from auditlog import shapes

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH = 30  # 178 bits
CHECKSUM_LENGTH = 6


class Kind(StrEnum):
    API_KEY = "api_key"
    PRIVATE_APP = "private_app"
    CONNECTED_APP = "connected_app"
    REFRESH = "refresh"


def prefixes() -> dict[Kind, str]:
    """The text before the underscore, by kind: with SECRET_PREFIX=kp kp, kpp, kpa, kpr."""
    return {kind: prefix for prefix, kind in _kinds(settings.SECRET_PREFIX).items()}


@cache
def _kinds(prefix: str) -> dict[str, Kind]:
    return {f"{prefix}{suffix}": kind for kind, suffix in zip(Kind, shapes.SUFFIXES, strict=True)}


def generate(kind: Kind) -> str:
    body = "".join(secrets.choice(BASE62) for _ in range(RANDOM_LENGTH))
    return f"{prefixes()[kind]}_{body}{checksum(body)}"


def checksum(body: str) -> str:
    """The six base62 characters of the CRC-32 (ISO 3309) of a secret's random part."""
    rest, last = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]


_PAIRS = [high + low for high in BASE62 for low in BASE62]  # of base62 digits, in order: two at a time cost half


def kind_of(text: str) -> Kind | None:
    """Which kind of secret this is, or None if it is none: wrong prefix, length, characters or checksum."""
    prefix, _, rest = text.partition("_")
    kind = _kinds(settings.SECRET_PREFIX).get(prefix)
    is_whole = kind and _BODY.fullmatch(rest) and checksum(rest[:RANDOM_LENGTH]) == rest[RANDOM_LENGTH:]
    return kind if is_whole else None


_BODY = re.compile(rf"[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


def garbage_test() -> Callable[[bytes], bool]:
    """What tells cheaply that a token is one word and no secret; what else it may be (blanks, a NUL) is left open."""
    prefix = "|".join(map(re.escape, prefixes().values()))
    secret = re.compile(rf"(?:{prefix})_([0-9A-Za-z]{{{RANDOM_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})").fullmatch
    word = re.compile(rb"[0-9A-Za-z_]+").fullmatch

    def is_garbage(token: bytes) -> bool:
        if not word(token):
            return False
        parts = secret(token.decode())
        return parts is None or checksum(parts[1]) != parts[2]

    return is_garbage


mask = shapes.mask


# --- To be found --------------------------------------------------------------------------------------------------
def digest(secret: str, *, pepper: bytes) -> bytes:
    """Keyed BLAKE2b (RFC 7693, 2.9) of 32 bytes: a third of HMAC-SHA-256's cost on the gate's path."""
    hasher = keyed_hasher(pepper)
    hasher.update(secret.encode())
    return hasher.digest()


def keyed_hasher(pepper: bytes) -> "hashlib.blake2b":
    """To be copied for each digest: a copy costs two thirds of what a new one does."""
    return hashlib.blake2b(digest_size=32, key=pepper)


def newest_digest(secret: str) -> bytes:
    return next(digests(secret))


def digests(secret: str) -> Iterator[bytes]:
    """Under every pepper that may still be in use, newest first."""
    return (digest(secret, pepper=pepper) for pepper in settings.DIGEST_PEPPERS.values())


# --- To be shown again --------------------------------------------------------------------------------------------
class Binding(NamedTuple):
    """What a sealed secret belongs to; moved to another row, it does not open."""

    account_id: int
    kind: Kind
    credential_id: UUID
    generation: int


def seal(secret: str, binding: Binding) -> tuple[str, bytes]:
    """The id of the key-encryption key, and the sealed secret."""
    return sealing.seal(secret, bound_to=_bound_to(binding))


def unseal(key_id: str, sealed: bytes, binding: Binding) -> str:
    """:raises accounts.sealing.UnsealError: if it does not open."""
    return sealing.unseal(key_id, sealed, bound_to=_bound_to(binding))


def _bound_to(binding: Binding) -> str:
    return "\n".join(["keyportal/1", *map(str, binding)])
