"""What the processes write about a request: no link's token, which would open a door for whoever reads it."""

import pytest
from django.test import RequestFactory

from keyportal.logs import RequestLogMiddleware


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/invitations/ZhkymYngVrnq1qSKyWPY601axkIYtN_Fk9wtZknOxTY/", "GET /invitations/…/"),
        ("/set-up/3hZk2/", "GET /set-up/…/"),
        ("/auth/password/reset/key/a-d1c3-0f9e/", "GET /auth/password/reset/key/…/"),
        ("/auth/email/change/ImEi:1x:a/", "GET /auth/email/change/…/"),
        ("/auth/confirm-email/MQ:1x:a/", "GET /auth/confirm-email/…/"),
        ("/accounts/acme/invitations/7/withdraw/", "GET /accounts/acme/invitations/7/withdraw/"),
    ],
)
def test_the_token_of_a_link_is_left_out(rf: RequestFactory, path: str, logged: str) -> None:
    assert RequestLogMiddleware.format_request(rf.get(path)) == logged
