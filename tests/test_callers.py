"""Who is behind a key: user agent family and network."""

import pytest

from auditlog import callers


@pytest.mark.parametrize(
    ("user_agent", "product"),
    [
        ("python-requests/2.32.3", "python-requests"),
        ("Zapier", "Zapier"),
        ("  curl/8.5.0 (x86_64)", "curl"),
        ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101", "Mozilla"),
        ("", ""),
        ("(nothing but a comment)", ""),
        ("a" * 100, "a" * 64),
    ],
)
def test_a_user_agent_is_known_by_its_first_product_without_version(user_agent: str, product: str) -> None:
    assert callers.product_token(user_agent) == product


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1:2::9", "2001:db8:1::/48"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("not an address", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_an_address_is_known_by_its_network(address: str | None, network: str) -> None:
    assert callers.network(address) == network
