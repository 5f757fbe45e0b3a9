"""A real mail server on loopback, to which the portal's mails go while a test asks for the fixture `mail_server`."""

import asyncio

from aiosmtpd.smtp import SMTP, Envelope, Session


class MailServer:
    """Takes what comes, or refuses it while told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[Envelope] = []
        self.refuses = False
        self.slow = 0.0  # seconds that it takes over a mail
        self.full: set[str] = set()  # addresses whose mailboxes take nothing for now
        self.unknown: set[str] = set()  # addresses that it has no mailbox for

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 No such user"
        if address in self.full:
            return "452 Mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        if self.refuses:
            return "451 Later"
        await asyncio.sleep(self.slow)
        self.received.append(envelope)
        return "250 OK"


def message_ids(server: MailServer) -> list[str]:
    """Of what it received, in that order."""
    lines = [line for one in server.received for line in (one.original_content or b"").decode().splitlines()]
    return [line.removeprefix("Message-ID: ") for line in lines if line.startswith("Message-ID: ")]
