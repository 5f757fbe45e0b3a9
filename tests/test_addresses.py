"""Which e-mail addresses are written to, and what people may be called."""

import pytest
from django.core.exceptions import ValidationError

from accounts import addresses
from accounts.names import validate_name

REFUSED = {
    "victim@acme.example\nBcc: all@acme.example": "Line breaks",
    "victim@acme.example\r\n": "Line breaks",
    "victim@acme\u2028.example": "Line breaks",
    "victim@acme.example\0": "Line breaks",
    "victim\u202e@acme.example": "Line breaks",
    f"{'a' * 65}@acme.example": "at most 64",
    "ada@[127.0.0.1]": "IP address",
    "ada@[IPv6:2001:db8::1]": "IP address",
    "ada@127.0.0.1": "IP address",
    "ada@10.0.0.10": "IP address",
    "ada@localhost": "a whole domain",
    "ada@acme.example,eve@evil.example": "one e-mail address",
    "ada@acme.example;eve@evil.example": "one e-mail address",
    "ada@acme.example eve@evil.example": "one e-mail address",
    "ada@acme.example@evil.example": "one e-mail address",
    "Ada <ada@acme.example>": "the address alone",
    '"ada eve"@acme.example': "the address alone",
    "ädä@acme.example": "unaccented",
    "ada@straße.example": "two domains",
    "ada@\uff41cme.example": "two domains",
    "ada@acme..example": "no domain",
    "ada@-acme.example": "not an e-mail address",
    f"ada@{'.'.join(['a' * 60] * 5)}": "254",
    "ada": "not an e-mail address",
    "@acme.example": "not an e-mail address",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_is_not_one_address_that_can_be_written_to_is_refused_with_its_reason(typed: str) -> None:
    with pytest.raises(ValidationError, match=REFUSED[typed]):
        addresses.parse(typed)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (" ada@acme.example ", "ada@acme.example"),
        ("Ada.Lovelace+portal@ACME.Example", "Ada.Lovelace+portal@acme.example"),
        (f"{'a' * 64}@acme.example", f"{'a' * 64}@acme.example"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@\u0430cme.example", "ada@xn--cme-5cd.example"),  # a Cyrillic letter first
    ],
)
def test_an_address_is_kept_as_it_is_sent_to(typed: str, meant: str) -> None:
    assert addresses.parse(typed) == meant


@pytest.mark.parametrize(
    "name",
    [
        "Ada\u202egnp.exe",
        "Ada\nBcc: all@acme.example",
        "Ada\x07",
        "Ada\u200b",
        "\u200d\u200d",
        "\u3164",
        "\u2066Ada",
        "\u00ad",
    ],
)
def test_a_name_that_hides_reorders_or_shows_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        validate_name(name)


@pytest.mark.parametrize(
    "name", ["Ada Lovelace", "Маша", "محمد", "گل\u200cفروش", "👩\u200d💻 Ada", "O’Neil-Şahin", "A"]
)
def test_names_of_all_the_world_are_accepted(name: str) -> None:
    validate_name(name)
