"""Words, dates and times are written for whoever reads them: in their language, in their time zone."""

from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation

from accounts.models import User


@contextmanager
def written_for(person: User) -> Iterator[None]:
    """What is written in here, a page or a mail, is for this person."""
    # Somebody may have chosen a language that is not offered any more.
    language = person.language if person.language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
    with translation.override(language), timezone.override(ZoneInfo(person.time_zone)):
        yield
