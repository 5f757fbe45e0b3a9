"""What mails are made of: one template for text and HTML, in the house's look, in a thread of its subject."""

import re

import pytest
from django.core.mail import EmailMultiAlternatives
from django.template import Context, Template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from pytest_django import Settings

from accounts import letters, names, plain_text
from accounts.models import OutgoingMail

LETTER = format_html(
    "<p>Nothing is wrong with {}.</p><dl><dt>When:</dt><dd>today</dd></dl>"
    '<p><a class="button" href="http://localhost/x/">Look…</a></p>',
    "A & B",
)


def message(body: SafeString = LETTER, *, subject: str = "Acme: look", thread: str = "") -> EmailMultiAlternatives:
    letter = letters.Letter(subject=subject, body=body, language="en", thread=thread)
    return letters.message_of(OutgoingMail(to="ada@acme.example"), letter)


def page(message: EmailMultiAlternatives) -> str:
    return str(message.alternatives[0][0])


# --- Text from HTML -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One\n  line</p><p>and another</p>", "One line\n\nand another"),
        ("<p>a<br>b</p>", "a\nb"),
        ("<p>&lt;b&gt; &amp; &quot;c&quot;</p>", '<b> & "c"'),
        ("<h2>Who used it</h2><ul><li>one</li>\n<li>two</li></ul><p>x</p>", "Who used it:\n\n- one\n- two\n\nx"),
        ("<p>a</p><hr><h2>Acme: b</h2>", f"a\n\n{'-' * 40}\n\nAcme: b"),
        ("<h2>Who used it?</h2><p>x</p>", "Who used it?\n\nx"),
        ("<dl><dt>When:</dt><dd>today</dd> <dt>By:</dt> <dd>Ada</dd></dl>", "When: today\nBy: Ada"),
        ("<blockquote>a<br>b</blockquote>", "> a\n> b"),
        ('<p><a class="button" href="http://x/">Look…</a></p>', "Look:\nhttp://x/"),
        ('<p>See <a href="http://x/">the page</a>.</p>', "See the page <http://x/>."),
        ('<p><a href="http://x/">http://x/</a> <a href="mailto:a@x">a@x</a></p>', "http://x/ a@x"),
        ('<p data-text="no">left<br>out <strong>too</strong></p><p><strong>here</strong></p>', "here"),
        ("<p><bdi>Ada</bdi> and <bdi>א</bdi>!</p>", "Ada and \u2068א\u2069!"),
    ],
)
def test_html_becomes_text(html: str, text: str) -> None:
    assert plain_text.of(html) == f"{text}\n"


@pytest.mark.parametrize("element", ["table", "img", "script", "span"])
def test_an_element_that_has_no_text_is_a_mistake(element: str) -> None:
    with pytest.raises(plain_text.UnknownElementError, match=element):
        plain_text.of(f"<p><{element}>x</{element}></p>")


# --- The message ----------------------------------------------------------------------------------------------------


def test_text_and_html_say_the_same() -> None:
    made = message()

    assert made.body == (
        "Nothing is wrong with A & B.\n\nWhen: today\n\nLook:\nhttp://localhost/x/\n\nKeyPortal · http://localhost\n"
    )
    for said in ("Nothing is wrong with A &amp; B.", 'href="http://localhost/x/"', "KeyPortal · http://localhost"):
        assert said in page(made)


def test_a_demonstration_says_so_in_both(settings: Settings) -> None:
    settings.DEMO = True

    made = message()

    assert str(made.body).startswith("Demonstration: ")
    assert "Demonstration: " in page(made)


def test_the_look_is_in_the_elements_and_the_dark_one_beside_them() -> None:
    html = page(message())
    (rules,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)

    assert re.search(r'<a class="button" href="[^"]+" style="[^"]*background:', html)
    assert rules.startswith("@media (prefers-color-scheme: dark)")
    assert html.index("<meta charset") < 1024  # where HTML's standard looks for it
    assert '<meta name="color-scheme" content="light dark">' in html


def test_what_a_list_of_mails_shows_is_the_first_sentence_and_is_read_once() -> None:
    (attributes, shown) = re.findall(r'<div class="preheader"([^>]*)>([^<]*)</div>', page(message()))[0]

    assert shown == "Nothing is wrong with A &amp; B."
    assert 'aria-hidden="true"' in attributes
    assert "display:none" in attributes


def test_it_says_that_it_was_written_by_a_program() -> None:
    assert message().message()["Auto-Submitted"] == "auto-generated"


def test_its_id_is_that_of_the_row_each_time() -> None:
    mail = OutgoingMail(to="ada@acme.example")
    letter = letters.Letter(subject="x", body=LETTER, language="en", thread="")

    ids = {letters.message_of(mail, letter).message()["Message-ID"] for _ in range(3)}

    assert ids == {f"<{mail.id}@localhost>"}


def test_mails_about_one_thing_stand_together_and_others_by_themselves() -> None:
    about_a_key = message(thread="api-key-7").message()
    about_itself = message().message()

    assert about_a_key["References"] == about_a_key["In-Reply-To"] == "<api-key-7@localhost>"
    assert (about_itself["References"], about_itself["In-Reply-To"]) == (None, None)


def test_the_language_is_said_to_programs_that_drop_the_html_element() -> None:
    letter = letters.Letter(subject="x", body=LETTER, language="en-gb", thread="")

    html = page(letters.message_of(OutgoingMail(to="ada@acme.example"), letter))

    assert html.count('lang="en-gb"') == 2
    assert 'role="article"' in html


# --- Names ----------------------------------------------------------------------------------------------------------


def test_a_name_in_a_subject_is_short_and_turns_nothing_around() -> None:
    assert names.in_subject("Acme") == "Acme"
    assert names.in_subject("a\nb") == "a b"
    assert names.in_subject("א") == "\u2068א\u2069"
    assert names.in_subject("👨‍👩‍👧" * 60).endswith("…")
    assert len(names.in_subject("x" * 100)) == names.LONGEST_IN_SUBJECT


def test_a_name_among_words_is_isolated_and_escaped() -> None:
    template = Template("{% load portal %}{{ name|isolated }}")

    family = "👨\u200d👩\u200d👧"  # of three, by joiners that belong to it

    assert template.render(Context({"name": family})) == f"<bdi>{family}</bdi>"
    assert template.render(Context({"name": "<b>\u202e"})) == "<bdi>&lt;b&gt;\\u{202E}</bdi>"
