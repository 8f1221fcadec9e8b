"""Text keeps to the columns of its page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.reports.page import Page, clip, columns, wrap

WORDS = st.text(alphabet="ab 日é", max_size=60)
WIDTHS = st.integers(4, 30)


@given(WORDS, WIDTHS)
def test_a_wrapped_text_fits_and_loses_only_spaces(text, width):
    lines = wrap(text, width)

    assert all(columns(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(WORDS, WIDTHS, st.integers(1, 3))
def test_a_text_is_cut_after_so_many_lines(text, width, most):
    lines = wrap(text, width, most)

    assert len(lines) <= most
    assert all(columns(line) <= width for line in lines)
    if len(wrap(text, width)) <= most:
        assert lines == wrap(text, width)
    else:
        assert lines[-1].endswith("...")


@given(WORDS, WIDTHS)
def test_a_clipped_text_fits(text, width):
    assert columns(clip(text, width)) <= width
    assert clip(text, width) == text or clip(text, width).endswith("...")


def test_lines_break_at_spaces():
    assert wrap("one two three four", 9) == ["one two", "three", "four"]
    assert wrap("abcdefghijkl", 5) == ["abcde", "fghij", "kl"]


def test_a_secret_is_gone_before_a_text_is_cut():
    page = Page(width=80, secrets=["secret-value"])

    assert page.short("x secret-value", most=6) == "x ***"


def test_a_line_that_would_be_a_command_is_none():
    page = Page(width=80)
    lines = list(page.paragraph(f"{'word ' * 15}::error::x", indent=2))

    assert [line.text for line in lines][-1] == r"    \x3a:error::x"


def test_names_are_listed_up_to_a_number():
    page = Page(width=80)

    assert page.names(["a", "b"]) == "a, b"
    assert page.names(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
