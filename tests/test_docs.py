"""What the documents say of the project that a program can hold them to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
ROOMS = ("accounts", "apikeys", "auditlog", "benchmarks", "examples", "keyportal", "tests", "tools")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_each_variable_that_settings_read_is_in_the_example() -> None:
    settings = (ROOT / "keyportal" / "settings.py").read_text()
    example = (ROOT / ".env.example").read_text()

    read = set(re.findall(r'(?:env\.\w+|_ring)\(\s*"([A-Z_]+)"', settings))

    assert {"DATA_DIR", "DIGEST_PEPPERS", "LOG_LEVEL"} <= read
    assert {name for name in read if not re.search(rf"\b{name}\b", example)} == set()


def test_each_exception_from_a_check_says_its_reason() -> None:
    bare = re.compile(r"# (?:noqa|type: ignore)\b(?!.*(?: -- | # )\S)")
    files = [ROOT / "portal", *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]

    lines = [(path.name, line) for path in files for line in path.read_text().splitlines()]

    assert len(lines) > 10_000
    assert [(name, line) for name, line in lines if bare.search(line) and "re.compile" not in line] == []


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]

    assert numbers
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_number_context_decision_and_consequences(decision: Path) -> None:
    heading, *paragraphs = decision.read_text().split("\n\n")

    assert heading.startswith(f"# {int(decision.name[:4])}. ")
    assert [paragraph.split(".**")[0] for paragraph in paragraphs] == ["**Context", "**Decision", "**Consequences"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_of_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]+)?\)", document.read_text())

    for path, anchor in links:
        target = document.parent / path if path else document
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}, anchor
