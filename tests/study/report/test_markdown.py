"""Texts come back from a Markdown renderer of somebody else's as they were given."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gradstudy.study.report.markdown import bullets, code, plain, table

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXTS = st.text(alphabet="ab1 \\`*[]()<>|$~_&;!#+-=.:^x/\n", max_size=12) | st.sampled_from(
    ["pairs:[old](new)/x|y.tsv", "<img src=x onerror=alert(1)>", "a|b", "&lt;b&gt; &#36;", "_x_ __y__ *z*", "`code`"]
)


def shown(markdown: str) -> str:
    """What a reader sees: the text of the page without its elements; no element but those of lists and tables."""
    page = RENDERER.render(markdown)
    tags = set(re.findall(r"</?(\w+)", page))
    assert tags <= {"ul", "li", "p", "table", "thead", "tbody", "tr", "th", "td"}
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@given(text=TEXTS)
def test_a_text_is_shown_as_it_was_given(text: str) -> None:
    assert shown(f"before {plain(text)} after") == in_one_line(f"before {text} after")


@given(text=TEXTS)
def test_a_bullet_is_one_bullet_whatever_it_begins_with(text: str) -> None:
    markdown = bullets([text, "next"])
    assert shown(markdown) == in_one_line(f"{text} next")
    assert RENDERER.render(markdown).count("<li>") == 2


@given(text=TEXTS)
def test_a_cell_is_one_cell(text: str) -> None:
    markdown = table(["heading", "value"], [False, True], [[text, "end"]])
    assert RENDERER.render(markdown).count("<td") == 2
    assert shown(markdown) == in_one_line(f"heading value {text} end")


@given(text=TEXTS.filter(lambda text: text.strip() and "\n" not in text))
def test_code_is_shown_as_it_was_given(text: str) -> None:
    page = RENDERER.render(f"before {code(text)}")
    found = re.search(r"<code>(.*)</code>", page, re.DOTALL)
    assert found is not None
    assert in_one_line(html.unescape(found[1])) == in_one_line(text)


@pytest.mark.parametrize("text", ["$x$", "~x~", "[^1]", "a $1 and $2"])
def test_what_other_renderers_read_is_escaped_too(text: str) -> None:
    marks = [place for place, letter in enumerate(plain(text)) if letter in "$~["]
    assert marks
    assert all(plain(text)[place - 1] == "\\" for place in marks)
