"""A real mail server on loopback, to which the portal's mails go while a test asks for the fixture `mail_server`."""

from aiosmtpd.smtp import SMTP, Envelope, Session


class MailServer:
    """Takes what comes, or refuses it while told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[Envelope] = []
        self.refuses = False

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        if self.refuses:
            return "451 Later"
        self.received.append(envelope)
        return "250 OK"


def message_ids(server: MailServer) -> list[str]:
    """Of what it received, in that order."""
    lines = [line for one in server.received for line in (one.original_content or b"").decode().splitlines()]
    return [line.removeprefix("Message-ID: ") for line in lines if line.startswith("Message-ID: ")]
