"""What the browser is served: files of others are those of the lock file, and no page needs `unsafe-inline`."""

import re
from pathlib import Path

import pytest

from keyportal import vendored

ROOT = Path(__file__).resolve().parent.parent
# Of pages; mails have no policy, and no style sheet beside them.
TEMPLATES = sorted(set((ROOT / "templates").rglob("*.html")) - set((ROOT / "templates" / "mails").iterdir()))
# Inline script, style, or handler: the content security policy would drop it in silence.
INLINE = re.compile(r"<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:|<script(?![^>]*\ssrc=)", re.IGNORECASE)


def test_vendored_files_are_those_of_the_lock_file() -> None:
    assert vendored.changed() == []


def test_an_altered_missing_or_added_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in vendored.VENDOR.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(vendored.VENDOR)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(vendored, "VENDOR", tmp_path)
    (tmp_path / "tabler" / "LICENSE").unlink()
    (tmp_path / "tabler" / "tabler.min.css").write_text("*{}")
    (tmp_path / "extra.js").touch()

    assert vendored.changed() == [
        "tabler/LICENSE is missing.",
        "extra.js is not in the lock file.",
        "tabler/tabler.min.css was altered.",
    ]


def test_each_vendored_package_comes_with_its_licence() -> None:
    for package in (path for path in vendored.VENDOR.iterdir() if path.is_dir()):
        assert "MIT License" in (package / "LICENSE").read_text()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_template_has_inline_script_or_style(template: Path) -> None:
    assert not INLINE.search(template.read_text())


@pytest.mark.parametrize(
    "offence", ['<p style="x">', "<style>", '<a onclick="x">', "<script>x</script>", 'href="javascript:x"']
)
def test_the_search_for_inline_code_finds_it(offence: str) -> None:
    assert INLINE.search(offence)


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    named = {
        name for path in TEMPLATES for name in re.findall(r'icon\.html" with name="([a-z0-9-]+)"', path.read_text())
    }
    named |= {
        name for path in TEMPLATES for name in re.findall(r'nav_item "[a-z:-]+" "([a-z0-9-]+)"', path.read_text())
    }
    drawn = set(re.findall(r'<symbol id="([a-z0-9-]+)"', (vendored.VENDOR / "tabler-icons" / "sprite.svg").read_text()))

    assert named <= drawn
    assert set(vendored.ICON_NAMES) == drawn
