"""What the run on PostgreSQL leaves out because it could not differ there, and says at its end (`-p tests.once`).

Tests without the database, which pytest-django keeps from it; tests in a browser, where pages look the same on either
store; and tests that use the database and are marked `once("why another store cannot matter")`.
The run on SQLite leaves out what is marked `postgresql("why")`.
"""

import os
from collections import Counter
from typing import Any

import pytest

NO_DATABASE, BROWSER = "without a database", "in a browser"
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup"}
REPORT = "left_out"

_left_out: Counter[str] = Counter()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = [why(item) for item in items]
    if os.environ.get("STORE") != "postgresql":
        reasons = [_mark_says(item, "postgresql") for item in items]
    _left_out.update(filter(None, reasons))
    config.hook.pytest_deselected(items=[item for item, reason in zip(items, reasons, strict=True) if reason])
    items[:] = [item for item, reason in zip(items, reasons, strict=True) if not reason]


def why(item: pytest.Item) -> str:
    """Why PostgreSQL is not needed for this test; empty if it runs there."""
    said = _mark_says(item, "once")
    fixtures: list[str] = getattr(item, "fixturenames", [])
    if not item.get_closest_marker("django_db") and DATABASE_FIXTURES.isdisjoint(fixtures):
        return NO_DATABASE
    if item.get_closest_marker("browser"):
        return BROWSER
    return said


def _mark_says(item: pytest.Item, name: str) -> str:
    mark = item.get_closest_marker(name)
    if mark and not mark.args:
        raise pytest.UsageError(f'{item.nodeid}: say why one store is enough: @pytest.mark.{name}("...").')
    return str(mark.args[0]) if mark else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Each of xdist's workers collects all tests; its controller collects none."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[REPORT] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out.clear()
    _left_out.update(getattr(node, "workeroutput", {}).get(REPORT, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.section("Left out: one store is enough for tests")
        for reason, count in _left_out.most_common():
            terminalreporter.line(f"{count:>4} x {reason}")
