"""Skipped tests are said loudly at the end, and fail where REQUIRE names what they lack (`-p tests.skips`).

A reason begins with what is missing: `pytest.skip("browser: no Chromium found")`. REQUIRE=browser,redis makes such
a skip a failure, for machines that are known to have both.
"""

import os
from collections import Counter
from collections.abc import Generator

import pytest

REQUIRED = frozenset(filter(None, os.environ.get("REQUIRE", "").split(",")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_if_required(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_required(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if not skipped:
        return
    terminalreporter.section("SKIPPED: not everything was tested", sep="!", yellow=True, bold=True)
    for reason, count in skipped.most_common():
        terminalreporter.line(f"{count:>4} x {reason}", yellow=True)


def _fail_if_required(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = _reason(report) if report.skipped else ""
    missing = reason.partition(":")[0]
    if missing in REQUIRED:
        report.outcome = "failed"
        report.longrepr = f"REQUIRE names {missing!r}, so this may not be skipped ({reason})."


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return said.removeprefix("Skipped: ")
