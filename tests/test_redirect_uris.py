"""Where a connected app may be sent back to: one place, with one spelling."""

import pytest
from django.core.exceptions import ValidationError

from apikeys import redirect_uris

ACCEPTED = [
    "https://app.example.com/callback",
    "https://app.example.com/",
    "https://app.example.com:8443/oauth/callback?tenant=1&x=%2F",
    "https://xn--bcher-kva.example/cb",
    "https://203.113.0.9/cb",
    "http://127.0.0.1/cb",
    "http://127.0.0.1:53682/",
    "http://[::1]:8080/cb",
]
REFUSED = {
    "wildcards": ["https://*.example.com/cb", "https://app.example.com/*"],
    "fragment": ["https://app.example.com/cb#", "https://app.example.com/#/cb"],
    "no user": [
        "https://app@evil.example/cb",
        "https://app.example.com:pass@evil.example/",
        "https://@app.example.com/",
    ],
    "Plain http": [
        "http://app.example.com/cb",
        "http://localhost/cb",
        "http://127.0.0.2/",
        "http://127.0.0.1.evil.example/",
    ],
    "begins with https": [
        "javascript:alert(1)",
        "ftp://app.example.com/",
        "//app.example.com/cb",
        "app.example.com/cb",
        "data:,x",
    ],
    "a path": ["https://app.example.com", "https://app.example.com?x=1"],
    "Write the path out": [
        "https://app.example.com/a/../cb",
        "https://app.example.com/./cb",
        "https://app.example.com/a/%2e%2E/cb",
        "https://app.example.com//cb",
    ],
    "small letters, without": [
        "HTTPS://app.example.com/cb",
        "https://App.example.com/cb",
        "https://app.example.com:443/cb",
        "https://app.example.com:/cb",
        "http://127.0.0.1:80/",
    ],
    "whole domain": [
        "https:///cb",
        "https://intranet/cb",
        "https://localhost/cb",
        "https://10.0.0.1/cb",
        "https://169.254.169.254/cb",
        "https://2130706433/cb",
        "https://0x7f.1/cb",
        "https://-a.example/cb",
        "https://app.example.com./cb",
        "https://a..example/cb",
    ],
    "outside of ASCII": [
        "https://app.example.com/ cb",
        "https://app.example.com/c\tb",
        "https://app.example.com/cb\\..\\",
        "https://аpp.example.com/cb",  # noqa: RUF001 -- a Cyrillic letter
        "https://app.example.com/cb\u202e",
        "https://app.example.com/<b>",
    ],
    "not a URI": ["https://app.example.com:99999/cb", "https://app.example.com:x/cb", "https://[::1/cb"],
    "500 characters": [f"https://app.example.com/{'x' * 500}"],
    "looks like a key": ["https://app.example.com/kp_123456789"],
}


@pytest.mark.parametrize("uri", ACCEPTED)
def test_a_redirect_uri_that_leads_to_one_place_is_accepted(uri: str) -> None:
    redirect_uris.validate(uri)


@pytest.mark.parametrize(("why", "uri"), [(why, uri) for why, uris in REFUSED.items() for uri in uris])
def test_any_other_is_refused_with_its_reason(why: str, uri: str) -> None:
    with pytest.raises(ValidationError) as refused:
        redirect_uris.validate(uri)

    assert why in refused.value.messages[0]
