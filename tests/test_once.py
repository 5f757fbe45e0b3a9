"""Which tests run on one store alone (`tests.once`): a mistake there would leave PostgreSQL untested in silence."""

import pytest

from tests import once


def test_without_the_database_one_store_is_enough(request: pytest.FixtureRequest) -> None:
    assert once.why(request.node) == once.NO_DATABASE


@pytest.mark.django_db
def test_a_test_with_the_database_runs_on_both_stores(request: pytest.FixtureRequest) -> None:
    assert once.why(request.node) == ""


def test_so_does_one_whose_fixture_brings_the_database(request: pytest.FixtureRequest, db: None) -> None:
    assert once.why(request.node) == ""


@pytest.mark.django_db
def test_a_mark_must_say_why_one_store_is_enough(request: pytest.FixtureRequest) -> None:
    request.node.add_marker(pytest.mark.once)

    with pytest.raises(pytest.UsageError, match="say why"):
        once.why(request.node)


@pytest.mark.django_db
@pytest.mark.once("it only looks at its own mark")
def test_what_a_mark_says_is_what_is_printed(request: pytest.FixtureRequest) -> None:
    assert once.why(request.node) == "it only looks at its own mark"
