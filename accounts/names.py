"""What people and accounts may be called: text that shows as it is and stays where it stands."""

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from auditlog import shapes

JOINERS = "\u200c\u200d"  # belong into Persian words and into emoji, and show nothing by themselves
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols by category, empty to the eye
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (bidirectional ones too), surrogates, line ends
RIGHT_TO_LEFT = {"R", "AL", "AN"}  # of Unicode's bidirectional classes
LONGEST_IN_SUBJECT = 50  # characters; phones show about 40 of a subject
SEEN = ("L", "N", "P", "S")  # letters, numbers, punctuation, symbols


def validate_name(name: str) -> None:
    """Refuse characters that hide, reorder or break text, names that show nothing, and secrets.

    :raises ValidationError: for these.
    """
    if any(unicodedata.category(char) in HIDDEN and char not in JOINERS for char in name):
        raise ValidationError(
            _("This name holds invisible characters (control or text-direction marks). Type it anew, without pasting."),
            code="hidden_characters",
        )
    if name and not any(unicodedata.category(char).startswith(SEEN) and char not in BLANKS for char in name):
        raise ValidationError(_("This name shows nothing. Type at least one letter."), code="blank_name")
    refuse_secret(name)


def refuse_secret(text: str) -> None:
    """:raises ValidationError: for text that has a secret in it and would be kept and shown."""
    if shapes.mask(text) != text:
        raise ValidationError(
            _("This looks like a key, and whoever reads it here would have it. Rotate the key if it is one."),
            code="secret",
        )


def validate_slug(slug: str) -> None:
    """:raises ValidationError: for what cannot stand in an address as it is: capitals and underscores among it."""
    if not re.fullmatch(r"[a-z0-9-]+", slug):
        raise ValidationError(_("Use a-z, 0-9 and hyphens alone. Example: acme-ltd."), code="bad_slug")


def tidy(name: str) -> str:
    """The name as it is kept: composed (Unicode's NFC), so that equal looks are equal texts, and without margins."""
    return unicodedata.normalize("NFC", name).strip()


def isolated(name: str) -> str:
    """The name for plain text: one from right to left stands between isolates, and turns nothing around (UAX #9)."""
    turns = any(unicodedata.bidirectional(char) in RIGHT_TO_LEFT for char in name)
    return f"\u2068{name}\u2069" if turns else name


def in_subject(name: object) -> str:
    """The name for a mail's subject: without what hides, isolated, and so short that what follows is still seen."""
    seen = (char for char in " ".join(str(name).split()) if unicodedata.category(char) not in HIDDEN or char in JOINERS)
    text = "".join(seen)
    if len(text) > LONGEST_IN_SUBJECT:
        text = text[: LONGEST_IN_SUBJECT - 1].rstrip(f" {JOINERS}") + "…"
    return isolated(text)
