"""An example of an API behind KeyPortal's gate: a small CRM. Standard library only.

    python3 examples/crm/api.py                            asks the gate about each call itself
    python3 examples/crm/api.py --behind-gateway           leaves that to nginx, Caddy, Envoy or Traefik in front of it

What it does is in `openapi.yaml`. Everything is kept in memory, apart for each account, and forgotten at the end.
"""

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GATE_SECONDS = 2
BODY_LIMIT = 65_536
ABOUT_THE_CREDENTIAL = ("Authorization", "X-API-Key", "User-Agent")
FOR_THE_CALLER = re.compile(
    r"X-Request-Id|Retry-After|WWW-Authenticate|Deprecation|Sunset|Link|(X-HubSpot-)?RateLimit.*"
)


@dataclass
class Answer:
    status: int
    said: Any = None  # None: no body
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Account:
    """What one account keeps here."""

    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        for first_name, email in (("Ada", "ada@example.com"), ("Grace", "grace@example.com")):
            self.add({"firstname": first_name, "email": email})

    def add(self, properties: dict[str, Any]) -> dict[str, Any]:
        self.made += 1
        contact = self.contacts[str(self.made)] = {"id": str(self.made), "properties": properties}
        return contact


EMAILS = [{"id": "1", "properties": {"subject": "Offer", "text": "Dear Ada, as discussed …", "to": "ada@example.com"}}]
RECORDS = [{"id": "0035g00000XyZ", "source": "salesforce", "properties": {"Name": "Ada Lovelace"}}]


# --- What it does -------------------------------------------------------------------------------------------------
def list_contacts(account: Account, *_: Any) -> Answer:
    return Answer(200, {"results": list(account.contacts.values())})


def create_contact(account: Account, said: Any) -> Answer:
    properties = _properties(said)
    return Answer(201, account.add(properties)) if properties else _mistake('Send {"properties": {…}} as JSON.')


def get_contact(account: Account, _: Any, contact_id: str) -> Answer:
    found = account.contacts.get(contact_id)
    return Answer(200, found) if found else _unknown()


def change_contact(account: Account, said: Any, contact_id: str) -> Answer:
    found, properties = account.contacts.get(contact_id), _properties(said)
    if not found or not properties:
        return _mistake('Send {"properties": {…}} as JSON.') if found else _unknown()
    found["properties"] |= properties
    return Answer(200, found)


def delete_contact(account: Account, _: Any, contact_id: str) -> Answer:
    account.contacts.pop(contact_id, None)
    return Answer(204)


def list_emails(*_: Any) -> Answer:
    return Answer(200, {"results": EMAILS})


def list_records(*_: Any) -> Answer:
    return Answer(200, {"results": RECORDS})


ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", r"/crm/v3/objects/contacts", list_contacts),
    ("POST", r"/crm/v3/objects/contacts", create_contact),
    ("GET", r"/crm/v3/objects/contacts/([^/]+)", get_contact),
    ("PATCH", r"/crm/v3/objects/contacts/([^/]+)", change_contact),
    ("DELETE", r"/crm/v3/objects/contacts/([^/]+)", delete_contact),
    ("GET", r"/crm/v3/objects/emails", list_emails),
    ("GET", r"/integrations/v1/connections/salesforce/records", list_records),
]


def _properties(said: Any) -> dict[str, Any] | None:
    properties = said.get("properties") if isinstance(said, dict) else None
    return properties if isinstance(properties, dict) else None


def _mistake(message: str) -> Answer:
    return Answer(400, {"status": "error", "category": "VALIDATION_ERROR", "message": message})


def _unknown() -> Answer:
    return Answer(404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "There is nothing here."})


# --- Who asks -----------------------------------------------------------------------------------------------------
class Gate:
    """Asks KeyPortal's gate about a call, as a gateway would."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, method: str, target: str, headers: Message, peer: str) -> Answer:
        """204 with the account in X-Account-Id, or the answer for the caller."""
        asked = urllib.request.Request(self._address)  # noqa: S310 -- the operator's own
        for name in ABOUT_THE_CREDENTIAL:
            if headers.get(name):
                asked.add_header(name, headers[name])
        for name, value in (("X-Original-Method", method), ("X-Original-URI", target), ("X-Forwarded-For", peer)):
            asked.add_header(name, value)
        try:
            with urllib.request.urlopen(asked, timeout=GATE_SECONDS) as verdict:  # noqa: S310 -- likewise
                return Answer(verdict.status, None, dict(verdict.headers))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, json.loads(refusal.read()), dict(refusal.headers))
        except OSError:  # no gate, no answer: nothing passes
            said = {"status": "error", "category": "SERVICE_UNAVAILABLE", "message": "The gate does not answer."}
            return Answer(503, said, {"Retry-After": "2"})


class Behind:
    """Believes the gateway in front, which has asked the gate. Nobody else may reach this port."""

    def ask(self, _method: str, _target: str, headers: Message, _peer: str) -> Answer:
        if "X-Account-Id" in headers:
            return Answer(204, None, {"X-Account-Id": headers["X-Account-Id"]})
        said = {"status": "error", "category": "INVALID_AUTHENTICATION", "message": "This did not come by the gateway."}
        return Answer(401, said)


class Api(ThreadingHTTPServer):
    """:param gate: what says whose call it is."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], gate: Gate | Behind) -> None:
        super().__init__(address, Handler)
        self.gate = gate
        self.accounts: dict[str, Account] = {}

    def answer(self, method: str, target: str, headers: Message, body: bytes, peer: str) -> Answer:
        verdict = self.gate.ask(method, target, headers, peer)
        for_caller = {name: value for name, value in verdict.headers.items() if FOR_THE_CALLER.fullmatch(name)}
        if verdict.status != 204:  # noqa: PLR2004 -- may pass
            return Answer(verdict.status, verdict.said, for_caller)
        account = self.accounts.setdefault(verdict.headers["X-Account-Id"], Account())
        answer = self._answer(account, method, target.partition("?")[0], body)
        return Answer(answer.status, answer.said, for_caller)

    def _answer(self, account: Account, method: str, path: str, body: bytes) -> Answer:
        for its_method, pattern, does in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in {its_method, "HEAD" if its_method == "GET" else its_method}:
                try:
                    said = json.loads(body) if body else None
                except (ValueError, RecursionError):
                    return _mistake("The body is not JSON.")
                return does(account, said, *found.groups())
        return _unknown()


class Handler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"
    timeout = 30

    def answer(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if (
            not length.isascii()
            or not length.isdigit()
            or int(length) > BODY_LIMIT
            or "Transfer-Encoding" in self.headers
        ):
            self.close_connection = True
            self._send(_mistake(f"Send a Content-Length of up to {BODY_LIMIT:,} bytes."))
            return
        body = self.rfile.read(int(length))
        self._send(self.server.answer(self.command, self.path, self.headers, body, self.client_address[0]))

    def _send(self, answer: Answer) -> None:
        body = b"" if answer.said is None else json.dumps(answer.said).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        if body or answer.status != 204:  # noqa: PLR2004 -- No Content has no length (RFC 9110, 8.6)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 -- the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Keep no log: the request line of a careless caller holds a key."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A small CRM behind KeyPortal's gate.")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--gate", default="http://127.0.0.1:8001/check", help="default: %(default)s")
    parser.add_argument("--behind-gateway", action="store_true", help="believe X-Account-Id: a gateway asks the gate")
    options = parser.parse_args()
    gate = Behind() if options.behind_gateway else Gate(options.gate)
    with Api(("127.0.0.1", options.port), gate) as api:
        sys.stderr.write(f"The example CRM answers on http://127.0.0.1:{api.server_port}\n")
        try:
            api.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
