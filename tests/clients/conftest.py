"""The server that clients call; it lets keys in by the query, too."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.clients import server


@pytest.fixture(scope="module")
def web(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[server.Server]:
    process = server.web(tmp_path_factory.mktemp("web") / "log", API_KEY_QUERY_PARAM="hapikey")
    with server.kept(process, django_db_blocker) as running:
        yield running
