"""What people and accounts may be called: text that shows as it is and stays where it stands."""

import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

JOINERS = "\u200c\u200d"  # belong into Persian words and into emoji, and show nothing by themselves
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols by category, empty to the eye
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (bidirectional ones too), surrogates, line ends
SEEN = ("L", "N", "P", "S")  # letters, numbers, punctuation, symbols


def validate_name(name: str) -> None:
    """:raises ValidationError: for characters that hide, reorder or break text, and for names that show nothing."""
    if any(unicodedata.category(char) in HIDDEN and char not in JOINERS for char in name):
        raise ValidationError(
            _("This name holds invisible characters (control or text-direction marks). Type it anew, without pasting."),
            code="hidden_characters",
        )
    if name and not any(unicodedata.category(char).startswith(SEEN) and char not in BLANKS for char in name):
        raise ValidationError(_("This name shows nothing. Type at least one letter."), code="blank_name")
