"""What has the shape of a secret, so that whatever keeps or shows a text can do so without it."""

import re
from functools import cache
from urllib.parse import unquote

from django.conf import settings

SUFFIXES = ("", "p", "a", "r")  # with SECRET_PREFIX=kp kp, kpp, kpa, kpr; whose they are is `apikeys.secrets`'s


@cache
def _secret_shape() -> re.Pattern[str]:
    longest_first = sorted((re.escape(settings.SECRET_PREFIX + suffix) for suffix in SUFFIXES), key=len, reverse=True)
    return re.compile(rf"({'|'.join(longest_first)})_[0-9A-Za-z]{{8,}}")


def mask(text: str) -> str:
    """Replace whatever has the shape of a secret, whole or cut short, by its prefix and an ellipsis.

    A secret hidden by percent-encoding is masked too; the text then comes back decoded.
    """
    masked = _secret_shape().sub(r"\1_…", text)
    if "%" not in masked:
        return masked
    decoded = unquote(masked)
    return _secret_shape().sub(r"\1_…", decoded) if _secret_shape().search(decoded) else masked
