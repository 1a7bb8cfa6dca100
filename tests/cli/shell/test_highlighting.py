"""Highlighting: what is coloured as what, and that no text is changed or slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import fragment_list_to_text
from prompt_toolkit.styles import DummyStyle

from vercel_sql.cli.shell.prompt import lexer, style


def lines(text: str) -> list[list[tuple[str, str]]]:
    """The fragments of each line, as prompt_toolkit asks for them."""
    document = Document(text)
    line = lexer().lex_document(document)
    return [[(f[0], f[1]) for f in line(number)] for number in range(len(document.lines))]


def kinds(text: str, wanted: str) -> str:
    """All text of a kind, joined."""
    found = (f for line in lines(text) for f in line if f[0].startswith(f"class:pygments.{wanted}"))
    return " ".join(text for _, text in found)


SCRIPT = """.mode markdown
EXEC vercel.authentication.user_tokens.email_login
  @email = '{{ email }}', @tokenName = $name -- for the laptop
  /* and /* nothing */ else */;
SELECT count(*) FROM a WHERE x = {{ x }} AND y = 1.5 AND z = e'it\\'s' AND w = $t$a ' $b
$t$ QUALIFY true;
"""


def test_the_words_of_the_dialect_are_coloured() -> None:
    assert kinds(SCRIPT, "name.builtin.pseudo") == ".mode"
    assert kinds(SCRIPT, "name.variable") == "@email @tokenName $name {{ x }}"
    assert kinds(SCRIPT, "literal.number") == "1.5"
    assert {"EXEC", "SELECT", "QUALIFY"} <= set(kinds(SCRIPT, "keyword").split())
    assert kinds(SCRIPT, "comment").startswith("-- for the laptop")
    assert kinds(SCRIPT, "comment").endswith("else  */")
    strings = kinds(SCRIPT, "literal.string")
    assert "{{ email }}" in strings
    assert "e'it\\'s'" in strings
    assert "$t$a ' $b $t$" in strings


@given(
    st.one_of(
        st.text(),
        st.text(alphabet="aeE'\"$@{}.-/*\\ \n\r\tx1`:;("),
        st.lists(
            st.sampled_from([*SCRIPT.split(), "'", '"', "$$", "$a$", "/*", "*/", "\n", "\r\n"])
        ).map(" ".join),
    )
)
def test_any_text_is_given_back(text: str) -> None:
    shown = [fragment_list_to_text(line) for line in lines(text)]  # type: ignore[arg-type]

    assert shown == Document(text).lines


@pytest.mark.parametrize(
    "text",
    [SCRIPT * 80, "'" * 20_000, "$a" * 10_000, "/*" * 10_000, "{{ " * 10_000, "e'" + "\\" * 20_000],
)
def test_a_long_paste_is_no_wait(text: str) -> None:
    began = time.process_time()

    lines(text)

    # It takes some hundredths of a second; what backtracks takes minutes.
    assert time.process_time() - began < 10


def test_colours_are_those_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    attributes = style().get_attrs_for_style_str("class:pygments.keyword.reserved")

    assert attributes.color == "ansiblue"
    assert attributes.bold


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_there_are_no_colours_where_none_are_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert isinstance(style(), DummyStyle)
