"""The text part of a mail, from its HTML: the same words, so that nobody writes a mail twice.

Mails are written in a few elements: p, h2, h3, ul, li, dl, dt, dd, blockquote, hr, and in these a, bdi, br and strong.
`data-text="no"` leaves an element out: what only makes sense where there are colours and buttons.
"""

import re
from html.parser import HTMLParser

from accounts import names

ONE_LINE = {"li", "dd"}  # stand below each other without a gap
BLOCKS = {"html", "body", "div", "p", "h2", "h3", "ul", "dl", "dt", "blockquote", *ONE_LINE}
VOID = {"br", "hr", "meta"}  # have no end
RULE = "-" * 40
INLINE = {"a", "bdi", "strong"}
PREFIXES = {"li": "- ", "blockquote": "> "}


class UnknownElementError(ValueError):
    """A mail's template holds an element that has no form in plain text."""


def of(html: str) -> str:
    """Paragraphs with an empty line between, links with their addresses; ends with a line feed.

    :raises UnknownElementError: for an element that is none of the above.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[tuple[str, str]] = []  # element, its text
        self.words = ""  # of the block that is being read
        self.block = ""
        self.marks: list[tuple[int, dict[str, str | None]]] = []  # where inline elements began, and their attributes
        self.left_out = 0  # depth inside an element that is left out

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.left_out or ("data-text", "no") in attrs:
            self.left_out += tag not in VOID
        elif tag == "br":
            self.words = f"{self.words.rstrip(' ')}\n"
        elif tag == "hr":
            self._end()
            self.blocks.append((tag, RULE))
        elif tag in INLINE:
            self.marks.append((len(self.words), dict(attrs)))
        elif tag in BLOCKS:
            self._begin(tag)
        else:
            raise UnknownElementError(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.left_out:
            self.left_out -= 1
        elif tag in INLINE:
            start, attributes = self.marks.pop()
            inside = self.words[start:]
            self.words = self.words[:start] + _inline(tag, inside, attributes)
        elif tag != "dt":  # what is said of a term stands on its line
            self._end()

    def handle_data(self, data: str) -> None:
        if not self.left_out:
            words = re.sub(r"[ \t\r\n]+", " ", data)
            self.words += words.lstrip(" ") if not self.words or self.words[-1] in " \n" else words

    def text(self) -> str:
        self._end()
        lines = ""
        before = ""
        for block, words in self.blocks:
            gap = "\n" if block == before and block in ONE_LINE else "\n\n"
            lines += (gap if lines else "") + words
            before = block
        return f"{lines}\n"

    def _begin(self, tag: str) -> None:
        if tag == "dd":
            self.words = f"{self.words.rstrip()} "
        else:
            self._end()
        self.block = tag

    def _end(self) -> None:
        words = self.words.strip(" \n")
        if words:
            ending = ":" if self.block in {"h2", "h3"} and words[-1].isalnum() and ":" not in words else ""
            prefix = PREFIXES.get(self.block, "")
            self.blocks.append((self.block, prefix + words.replace("\n", f"\n{prefix}") + ending))
        self.words = ""
        self.block = ""


def _inline(tag: str, words: str, attributes: dict[str, str | None]) -> str:
    if tag == "bdi":
        return names.isolated(words)
    address = attributes.get("href") or ""
    if tag != "a" or address in {words, f"mailto:{words}"}:
        return words
    if attributes.get("class") == "button":
        return f"{words.rstrip('…')}:\n{address}"
    return f"{words} <{address}>"  # RFC 3986, appendix C
