"""A mail provider, as anymail's backends speak to one, that takes no mail for anybody."""

from typing import Any

from anymail.backends.test import EmailBackend as TestBackend
from anymail.message import AnymailRecipientStatus


class EmailBackend(TestBackend):
    def post_to_esp(self, payload: Any, message: Any) -> Any:
        refused = AnymailRecipientStatus(message_id=None, status="rejected")
        message.anymail_test_response = {"recipient_status": {message.to[0]: refused}}
        return super().post_to_esp(payload, message)
