"""Secrets: their shape, their digests, their sealing (G10)."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.sealing import UnsealError
from apikeys import secrets
from apikeys.secrets import Binding, Kind

BINDING = Binding(account_id=7, kind=Kind.API_KEY, credential_id=UUID(int=1), generation=3)


def test_a_generated_secret_has_its_kinds_prefix_36_characters_and_a_checksum() -> None:
    secret = secrets.generate(Kind.API_KEY)

    prefix, _, rest = secret.partition("_")
    assert (prefix, len(rest)) == ("kp", 36)
    assert secrets.kind_of(secret) is Kind.API_KEY


def test_the_checksum_is_that_of_the_public_example() -> None:
    assert secrets.checksum("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ") == "0mLq17"


@pytest.mark.parametrize("kind", Kind)
def test_the_prefix_tells_the_kind(kind: Kind) -> None:
    assert secrets.kind_of(secrets.generate(kind)) is kind


@given(position=st.integers(3, 38), character=st.sampled_from(secrets.BASE62))
def test_one_wrong_character_is_told_from_a_secret(position: int, character: str) -> None:
    secret = secrets.generate(Kind.API_KEY)
    mistyped = secret[:position] + character + secret[position + 1 :]

    assert (secrets.kind_of(mistyped) is None) == (mistyped != secret)


@given(st.text())
def test_text_that_is_no_secret_has_no_kind(text: str) -> None:
    assert secrets.kind_of(text) is None


@pytest.mark.parametrize(
    "other",
    [
        BINDING._replace(account_id=8),
        BINDING._replace(kind=Kind.PRIVATE_APP),
        BINDING._replace(credential_id=UUID(int=2)),
        BINDING._replace(generation=4),
    ],
)
def test_a_sealed_secret_opens_only_in_its_own_row(other: Binding) -> None:
    key_id, sealed = secrets.seal("kp_example", BINDING)

    assert secrets.unseal(key_id, sealed, BINDING) == "kp_example"
    with pytest.raises(UnsealError):
        secrets.unseal(key_id, sealed, other)


def test_an_altered_ciphertext_does_not_open() -> None:
    key_id, sealed = secrets.seal("kp_example", BINDING)

    for position in range(len(sealed)):
        altered = bytes(byte ^ (index == position) for index, byte in enumerate(sealed))
        with pytest.raises(UnsealError):
            secrets.unseal(key_id, altered, BINDING)


def test_an_old_key_of_the_ring_still_opens_what_it_sealed(settings: Settings) -> None:
    key_id, sealed = secrets.seal("kp_example", BINDING)
    settings.KEY_ENCRYPTION_KEYS = {"newer": b"n" * 32} | settings.KEY_ENCRYPTION_KEYS

    assert secrets.unseal(key_id, sealed, BINDING) == "kp_example"
    assert secrets.seal("kp_example", BINDING)[0] == "newer"


def test_a_key_that_left_the_ring_is_named_in_the_error(settings: Settings) -> None:
    key_id, sealed = secrets.seal("kp_example", BINDING)
    settings.KEY_ENCRYPTION_KEYS = {"newer": b"n" * 32}

    with pytest.raises(UnsealError, match=key_id):
        secrets.unseal(key_id, sealed, BINDING)


def test_the_digest_depends_on_the_pepper() -> None:
    assert secrets.digest("kp_example", pepper=b"a" * 32) != secrets.digest("kp_example", pepper=b"b" * 32)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("around", ["{}", "/crm/{}/x", "key={}&limit=1", "curl/8 {}", "x{}"])
def test_masking_leaves_nothing_of_a_secret_but_its_prefix(kind: Kind, around: str) -> None:
    secret = secrets.generate(kind)

    masked = secrets.mask(around.format(secret))

    assert secret[-20:] not in masked
    assert masked == around.format(secret.partition("_")[0] + "_…")


def test_masking_sees_through_percent_encoding() -> None:
    secret = secrets.generate(Kind.API_KEY)
    encoded = "".join(f"%{ord(character):02x}" for character in secret)

    assert secrets.mask(f"/contacts/{encoded}/x%20y") == "/contacts/kp_…/x y"
    assert secrets.mask("/contacts/x%20y") == "/contacts/x%20y"


def test_masking_leaves_other_text_alone() -> None:
    assert secrets.mask("/crm/v3/objects/contacts?kp=1&skp_short") == "/crm/v3/objects/contacts?kp=1&skp_short"
