"""Words are told apart in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.text import text_scorer
from pytest_llmops.scorers.words import folded_words, word_count, words_and_signs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't a_b X1", ["don", "t", "a", "b", "x1"]),
        ("Straße ΣΊΣΥΦΟΣ", ["strasse", "σίσυφοσ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("日本語です", ["日", "本", "語", "で", "す"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("שלום, עולם", ["שלום", "עולם"]),
        ("\u0645\u06cc\u200c\u062e\u0648", ["\u0645\u06cc\u062e\u0648"]),
        ("co\u00adop", ["coop"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("❤️ !? \ud800", []),
        ("", []),
    ],
)
def test_folded_words(text, words):
    assert folded_words(text) == words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("“Ja”, 3,5 km!", ["“", "Ja", "”", ",", "3,5", "km", "!"]),
        ("日本。ok", ["日", "本", "。", "ok"]),
        ("❤\ufe0f👍", ["❤\ufe0f", "👍"]),
        ("10-20 well-known don\u2019t", ["10", "-", "20", "well-known", "don\u2019t"]),
    ],
)
def test_words_and_signs(text, tokens):
    assert words_and_signs(text) == tokens


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("don't well-known 3.5", 3),
        ("One. Two, three!", 3),
        ("日本語", 3),
        ("- - -", 0),
        ("a" * 10**6, 1),
    ],
)
def test_word_count(text, count):
    assert word_count(text) == count


@given(st.text())
def test_case_makes_no_difference_and_nothing_raises(text):
    assert folded_words(text.upper().lower()) == folded_words(text.upper().casefold())
    assert word_count(text) <= len(folded_words(text)) + len(text)
    assert all(words_and_signs(text))


@pytest.mark.parametrize(
    ("value", "answer", "passed"),
    [(3, "one two three", True), (2, "one two three", False), ([2, 3], "one", False), ([0, 0], "", True)],
)
def test_an_answer_has_words_within_its_bounds(score, value, answer, passed):
    found = score(text_scorer("word_count", value=value), answer)
    assert found.passed is passed
    assert passed or " words, not " in found.reason


@pytest.mark.parametrize("value", [-1, True, "3", 2.5, [3, 2], [1], [1, 2, 3], [True, 2]])
def test_wrong_bounds_are_refused(value):
    with pytest.raises(MisuseError, match="the most that there may be"):
        text_scorer("word_count", value=value)
