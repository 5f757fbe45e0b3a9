"""E-mail addresses, as far as the portal writes to them: one person's, at a public domain, in plain ASCII."""

import ipaddress
import re
import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.translation import gettext_lazy as _

from accounts.names import refuse_secret

LONGEST_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
LONGEST = 254  # RFC 5321, 4.5.3.1.3, as corrected by RFC erratum 1690
_IS_ADDRESS = EmailValidator(allowlist=[])
_SEVERAL = re.compile(r"[,;\s]|@.*@")


def parse(text: str) -> str:
    """The one address that was typed; its domain in lower case, and in punycode if it was not ASCII.

    What looks like a known domain and is another (with a Cyrillic letter in it) thereby shows as what it is.

    :raises ValidationError: for everything else, in words for whoever typed it.
    """
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in text):
        raise ValidationError(_("Line breaks and invisible characters have no place in an e-mail address."))
    address = text.strip()
    if "<" in address or '"' in address:
        raise ValidationError(_("Enter the address alone, without a name and quotation marks: ada@example.com"))
    if _SEVERAL.search(address):
        raise ValidationError(_("Enter one e-mail address. For several people, one after another."))
    local, at, domain = address.rpartition("@")
    if not at or not local:
        raise ValidationError(_("This is not an e-mail address. Example: ada@example.com"))
    _refuse_local_part(local)
    whole = f"{local}@{_public(domain)}"
    if len(whole) > LONGEST:
        raise ValidationError(_("An e-mail address has at most 254 characters."))
    try:
        _IS_ADDRESS(whole)
    except ValidationError as error:
        raise ValidationError(_("This is not an e-mail address. Example: ada@example.com")) from error
    refuse_secret(whole)
    return whole


def _refuse_local_part(local: str) -> None:
    if not local.isascii():
        raise ValidationError(_("Before the @ only unaccented Latin letters, digits and signs can be written to."))
    if len(local) > LONGEST_LOCAL_PART:
        raise ValidationError(_("Before the @ stand at most 64 characters."))


def _public(domain: str) -> str:
    """The domain in ASCII (RFC 3490).

    :raises ValidationError: for an IP address, for a host without a domain, and for what is no domain.
    """
    if _is_number(domain.strip("[]").removeprefix("IPv6:")):
        raise ValidationError(_("An IP address cannot be written to: after the @ stands a domain such as example.com."))
    if "." not in domain.strip("."):
        raise ValidationError(_("After the @ stands a whole domain such as example.com, not a host alone."))
    try:
        ascii_domain = domain.lower().encode("idna").decode().lower()
    except UnicodeError as error:
        raise ValidationError(_("After the @ stands no domain that can exist. Example: example.com")) from error
    if not domain.isascii() and ascii_domain.encode().decode("idna") != domain.lower():  # "ß" would become "ss"
        raise ValidationError(_("Spell the domain after the @ in ASCII: these characters can mean two domains."))
    if ascii_domain.rpartition(".")[2].isdigit():
        raise ValidationError(_("An IP address cannot be written to: after the @ stands a domain such as example.com."))
    return ascii_domain


def _is_number(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        return False
    return True
