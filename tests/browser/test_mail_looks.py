"""Every kind of mail in Chromium on the narrowest screen, on a phone and on a desk, light and dark.

With MAIL_SCREENSHOTS=docs/screenshots/mails the pictures of the documents are made anew.
"""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from accounts import mail_previews, outbox

pytestmark = pytest.mark.once("looks at HTML alone")

KINDS = sorted(kind for kind in outbox.kinds() if not kind.startswith("tests."))
NARROW, PHONE, DESK = 300, 390, 700
SCREENSHOTS = os.environ.get("MAIL_SCREENSHOTS", "")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}  # landmarks are the mail program's

CUT_OFF = """() => [...document.querySelectorAll("h1, h2, h3, p, li, dt, dd, blockquote, a")]
    .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth)
    .map(one => one.textContent.trim().slice(0, 60))"""


@pytest.fixture
def mails() -> dict[str, str]:
    """The HTML of each variation of each kind."""
    return {
        f"{kind}-{variation}": str(made.alternatives[0][0])
        for kind in KINDS
        for variation, made in mail_previews.messages(kind).items()
    }


def _page(chromium: Browser, *, width: int, dark: bool) -> Page:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, java_script_enabled=True, color_scheme="dark" if dark else "light"
    )
    return context.new_page()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, PHONE, DESK])
def test_nothing_is_cut_off_and_everything_can_be_read(
    chromium: Browser,
    mails: dict[str, str],
    width: int,
    dark: bool,  # noqa: FBT001 -- a case
) -> None:
    page = _page(chromium, width=width, dark=dark)
    problems = []
    for name, html in mails.items():
        page.set_content(html)
        _keep_picture(page, name, width=width, dark=dark)
        problems += [f"{name}: {text}" for text in page.evaluate(CUT_OFF)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            problems.append(f"{name}: wider than {width}")
        found = Axe().run(page, options=RULES).response["violations"] if width == PHONE else []
        problems += [f"{name}: {one['id']} {one['nodes'][0]['html']}" for one in found]
    page.context.close()

    assert not problems


def test_dark_is_dark_and_light_is_light(chromium: Browser, mails: dict[str, str]) -> None:
    shades = []
    for dark in (False, True):
        page = _page(chromium, width=PHONE, dark=dark)
        page.set_content(next(iter(mails.values())))
        shades.append(page.locator(".sheet").evaluate("sheet => getComputedStyle(sheet).backgroundColor"))
        page.context.close()

    assert shades == ["rgb(255, 255, 255)", "rgb(24, 28, 35)"]


def test_a_list_of_mails_shows_what_no_reader_sees_twice(chromium: Browser, mails: dict[str, str]) -> None:
    page = _page(chromium, width=PHONE, dark=False)
    for html in mails.values():
        page.set_content(html)
        assert not page.locator(".preheader").is_visible()
    page.context.close()


def _keep_picture(page: Page, name: str, *, width: int, dark: bool) -> None:
    """One of each kind, for the documents, where somebody asks for them."""
    first = {f"{kind}-{mail_previews.variations(kind)[0]}": kind for kind in KINDS}
    if not SCREENSHOTS or name not in first or width == NARROW:
        return
    directory = Path(SCREENSHOTS)
    directory.mkdir(parents=True, exist_ok=True)
    look = ("phone" if width == PHONE else "desk") + ("-dark" if dark else "")
    page.screenshot(path=directory / f"{first[name]}-{look}.png", full_page=True)
