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
    """The HTML of each variation of each kind, numbered."""
    return {
        f"{kind} {number}": str(made.alternatives[0][0])
        for kind in KINDS
        for number, made in enumerate(mail_previews.messages(kind).values(), start=1)
    }


def _page(chromium: Browser, *, width: int, dark: bool) -> Page:
    context = chromium.new_context(
        viewport={"width": width, "height": 200}, java_script_enabled=True, color_scheme="dark" if dark else "light"
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
        if name.endswith(" 1"):
            _keep_picture(page, name.partition(" ")[0], width=width, dark=dark)
        problems += [f"{name}: {text}" for text in page.evaluate(CUT_OFF)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            problems.append(f"{name}: wider than {width}")
        found = Axe().run(page, options=RULES).response["violations"] if width == PHONE else []
        problems += [f"{name}: {one['id']} {one['nodes'][0]['html']}" for one in found]
    page.context.close()

    assert not problems


def test_what_is_too_wide_would_be_found(chromium: Browser) -> None:
    page = _page(chromium, width=NARROW, dark=False)
    page.set_content('<p style="width: 900px">too wide</p>')

    assert page.evaluate(CUT_OFF) == ["too wide"]
    page.context.close()


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


def _keep_picture(page: Page, kind: str, *, width: int, dark: bool) -> None:
    """Of the first mail of each kind, for the documents, where somebody asks for them."""
    if SCREENSHOTS and not dark and width != NARROW:
        file = Path(SCREENSHOTS) / f"{kind}-{width}.png"
        page.screenshot(path=file, full_page=True)
