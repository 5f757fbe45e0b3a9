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
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from auditlog import shapes

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH = 30  # 178 bits
CHECKSUM_LENGTH = 6
NONCE_BYTES = 12  # NIST SP 800-38D, 8.2


class Kind(StrEnum):
    API_KEY = "api_key"
    PRIVATE_APP = "private_app"
    CONNECTED_APP = "connected_app"
    REFRESH = "refresh"


def prefixes() -> dict[Kind, str]:
    """The text before the underscore, by kind: with SECRET_PREFIX=kp kp, kpp, kpa, kpr."""
    return {kind: f"{settings.SECRET_PREFIX}{suffix}" for kind, suffix in zip(Kind, shapes.SUFFIXES, strict=True)}


def generate(kind: Kind) -> str:
    body = "".join(secrets.choice(BASE62) for _ in range(RANDOM_LENGTH))
    return f"{prefixes()[kind]}_{body}{checksum(body)}"


def checksum(body: str) -> str:
    """The six base62 characters of the CRC-32 (ISO 3309) of a secret's random part."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def kind_of(text: str) -> Kind | None:
    """Which kind of secret this is, or None if it is none: wrong prefix, length, characters or checksum."""
    prefix, _, rest = text.partition("_")
    for kind, its_prefix in prefixes().items():
        if prefix == its_prefix and _BODY.fullmatch(rest) and checksum(rest[:RANDOM_LENGTH]) == rest[RANDOM_LENGTH:]:
            return kind
    return None


_BODY = re.compile(rf"[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


mask = shapes.mask


# --- To be found --------------------------------------------------------------------------------------------------
def digest(secret: str, *, pepper: bytes) -> bytes:
    """Keyed BLAKE2b (RFC 7693, 2.9) of 32 bytes: a third of HMAC-SHA-256's cost on the gate's path."""
    return hashlib.blake2b(secret.encode(), digest_size=32, key=pepper).digest()


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


class UnsealError(Exception):
    """The sealed secret does not open: wrong row, altered bytes, or a key-encryption key that is gone."""


def seal(secret: str, binding: Binding) -> tuple[str, bytes]:
    """Encrypt under the newest key-encryption key: its id, and nonce + ciphertext + tag (AES-256-GCM)."""
    key_id, key = next(iter(settings.KEY_ENCRYPTION_KEYS.items()))
    nonce = secrets.token_bytes(NONCE_BYTES)
    return key_id, nonce + AESGCM(key).encrypt(nonce, secret.encode(), _associated_data(binding, key_id))


def unseal(key_id: str, sealed: bytes, binding: Binding) -> str:
    """Decrypt what `seal` made.

    :raises UnsealError: if it does not open.
    """
    key = settings.KEY_ENCRYPTION_KEYS.get(key_id)
    if key is None:
        raise UnsealError(f"The key-encryption key {key_id!r} is not in KEY_ENCRYPTION_KEYS.")
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, _associated_data(binding, key_id)).decode()
    except InvalidTag as failure:
        raise UnsealError("The sealed secret does not belong to this row, or was altered.") from failure


def _associated_data(binding: Binding, key_id: str) -> bytes:
    return "\n".join(["keyportal/1", *map(str, binding), key_id]).encode()
