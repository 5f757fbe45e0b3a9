"""AES-256-GCM under the ring of key-encryption keys: the database alone opens nothing that is sealed."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12  # NIST SP 800-38D, 8.2


class UnsealError(Exception):
    """It does not open: bound to something else, altered, or its key-encryption key is gone."""


def seal(text: str, *, bound_to: str) -> tuple[str, bytes]:
    """Encrypt under the newest key: its id, and nonce + ciphertext + tag.

    :param bound_to: what the text belongs to; bound to anything else, it does not open.
    """
    key_id, key = next(iter(settings.KEY_ENCRYPTION_KEYS.items()))
    nonce = secrets.token_bytes(NONCE_BYTES)
    return key_id, nonce + AESGCM(key).encrypt(nonce, text.encode(), _associated_data(bound_to, key_id))


def unseal(key_id: str, sealed: bytes, *, bound_to: str) -> str:
    """Decrypt what `seal` made.

    :raises UnsealError: if it does not open.
    """
    key = settings.KEY_ENCRYPTION_KEYS.get(key_id)
    if key is None:
        raise UnsealError(f"The key-encryption key {key_id!r} is not in KEY_ENCRYPTION_KEYS.")
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, _associated_data(bound_to, key_id)).decode()
    except InvalidTag as failure:
        raise UnsealError("What is sealed does not belong here, or was altered.") from failure


def _associated_data(bound_to: str, key_id: str) -> bytes:
    return f"{bound_to}\n{key_id}".encode()
