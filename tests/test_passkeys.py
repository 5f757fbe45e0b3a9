"""Passkeys, and what a browser would never send. What one does send is tried in tests/browser/test_signing_in.py."""

import json

import pytest
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.test import Client
from fido2.webauthn import AuthenticationResponse, RegistrationResponse

from accounts.passkeys import CredentialField
from tests.factories import SuperAdminFactory, UserFactory
from tests.second_factors import add_app, signed_in_with
from tests.visitors import JSON, signed_in

PAGES = "/auth/second-factor/passkeys"


def _credential(**response: object) -> str:
    return json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": response})


NOT_CREDENTIALS = [
    *("x", "[]", "1", '"text"', '{"id": 1}', '{"id": "AA", "rawId": "AA"}', '{"id": "AA", "rawId": "BB"}'),
    *('{"response": []}', '{"response": {"userHandle": 5}}', '{"response": {"userHandle": "_w"}}', "[" * 100_000),
    *(_credential(), _credential(clientDataJSON="AA"), _credential(clientDataJSON=5)),
    _credential(clientDataJSON="\u0000", attestationObject="####"),
    _credential(clientDataJSON="e30", attestationObject="oA", authenticatorData="AA", signature="AA"),
    "9" * 5000,
    "[" * 40_000,
]
# Well-formed, and of nobody: user 1, a number that no column holds, no number, none.
OF_NOBODY = [
    _credential(clientDataJSON="e30", authenticatorData="A" * 52, signature="AA", userHandle=handle)
    for handle in ("MQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "w6k", "_w", "")
]


@pytest.mark.parametrize("sent", NOT_CREDENTIALS, ids=lambda sent: sent[:30])
@pytest.mark.parametrize("shape", [AuthenticationResponse, RegistrationResponse])
def test_what_is_no_credential_is_refused(
    sent: str, shape: type[AuthenticationResponse | RegistrationResponse]
) -> None:
    with pytest.raises(ValidationError):
        CredentialField(shape).clean(sent)


@pytest.mark.django_db
@pytest.mark.parametrize("sent", [*OF_NOBODY, "{}", ""], ids=lambda sent: sent[-20:])
def test_a_passkey_of_nobody_signs_nobody_in(sent: str) -> None:
    client = Client()
    client.get(f"{PAGES}/sign-in/", headers=JSON)

    answer = client.post(f"{PAGES}/sign-in/", {"credential": sent})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/auth/login/")
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_a_passkey_of_nobody_is_no_second_factor() -> None:
    member = SuperAdminFactory.create()
    add_app(member.user)
    client = signed_in(member)

    answers = [client.post("/auth/second-factor/authenticate/", {"credential": sent}) for sent in [*OF_NOBODY, "{}"]]

    assert {answer.status_code for answer in answers} == {200}
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_what_is_no_passkey_is_not_added() -> None:
    client = signed_in(SuperAdminFactory.create())
    client.get(f"{PAGES}/add/")

    for sent in ("{}", *OF_NOBODY[:1]):
        assert client.post(f"{PAGES}/add/", {"credential": sent, "passwordless": "True"}).status_code == 200
    assert not Authenticator.objects.exists()


@pytest.mark.django_db
def test_somebody_elses_passkeys_are_not_there() -> None:
    member = SuperAdminFactory.create()
    client = signed_in_with(member.user, add_app(member.user))
    other = Authenticator.objects.create(user=UserFactory.create(), type="webauthn", data={"name": "Laptop"})

    for page in ("remove", "name"):
        assert client.post(f"{PAGES}/{other.pk}/{page}/", {"name": "x"}).status_code == 404
