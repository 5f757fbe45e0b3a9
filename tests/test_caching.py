"""What names the reader stays in no cache, so that it does not come back to whoever sits there next."""

import pytest

from tests.factories import MemberFactory
from tests.visitors import signed_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("page", ["/docs", "/auth/email/", "/profile/", "/accounts/acme/members/"])
def test_a_page_that_names_the_reader_is_not_stored(page: str) -> None:
    member = MemberFactory.create(account__slug="acme", user__email="ada@acme.example", user__name="")

    answer = signed_in(member).get(page)

    assert answer.status_code == 200
    assert "ada@acme.example" in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
