"""What tests counted, said at the end of a run (`-p tests.counted`): how much an attack tried, and what came of it."""

from collections.abc import Callable

import pytest

COUNTED = "counted"

Tell = Callable[[str], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Say a line at the end of the run."""
    return lambda line: record_property(COUNTED, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    lines = [
        f"{report.nodeid.partition('::')[2]}: {value}"
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == COUNTED and report.when == "call"
    ]
    if lines:
        terminalreporter.section("Counted")
        for line in lines:
            terminalreporter.line(line)
