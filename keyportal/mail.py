"""The embedded installation's mail: one message a file, so that a person without a mail server can read them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

KEPT_FOR = timedelta(days=30)  # links in them have long ended


class EmlFileBackend(BaseEmailBackend):
    """Write each message to DATA_DIR/mail as `<UTC time>-<id>.eml` (RFC 5322)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.directory = settings.MAIL_DIR

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            stamp = timezone.now().strftime("%Y%m%dT%H%M%S.%fZ")
            unfinished = self.directory / f".{stamp}-{uuid4().hex}"
            unfinished.write_bytes(message.message().as_bytes())
            unfinished.rename(self.directory / f"{stamp}-{uuid4().hex[:8]}.eml")
        return len(email_messages)


def prune(*, now: datetime) -> None:
    """Delete the files of old mails."""
    oldest_kept = (now - KEPT_FOR).timestamp()
    for file in settings.MAIL_DIR.glob("*.eml"):
        if file.stat().st_mtime < oldest_kept:
            file.unlink(missing_ok=True)
