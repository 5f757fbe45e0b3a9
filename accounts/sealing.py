"""Seals what second factors are made of (TOTP secrets, seeds of recovery codes): the database alone opens none."""

import base64
import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_NONCE_BYTES = 12  # NIST SP 800-38D, 8.2


def seal(text: str) -> str:
    """Encrypt under the newest key-encryption key: its id, a colon, base64 of nonce, ciphertext, tag (AES-256-GCM)."""
    key_id, key = next(iter(settings.KEY_ENCRYPTION_KEYS.items()))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), _associated_data(key_id))
    return f"{key_id}:{base64.b64encode(sealed).decode()}"


def unseal(sealed: str) -> str:
    """Decrypt what `seal` made.

    :raises KeyError: if the key-encryption key is gone.
    :raises cryptography.exceptions.InvalidTag: if the text was altered.
    """
    key_id, _, encoded = sealed.partition(":")
    content = base64.b64decode(encoded)
    opened = AESGCM(settings.KEY_ENCRYPTION_KEYS[key_id]).decrypt(
        content[:_NONCE_BYTES], content[_NONCE_BYTES:], _associated_data(key_id)
    )
    return opened.decode()


def _associated_data(key_id: str) -> bytes:
    return f"keyportal/second-factor/1\n{key_id}".encode()
