"""Hostile text reaches the terminal only as text that is seen."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports_hostile import dangers, hostile

from pytest_llmops.reports.escape import printable, redact


def test_the_oracle_sees_the_danger_in_the_raw_texts():
    raw = list(hostile(900))
    seen = sum(bool(dangers(text)) for text in raw)

    # Left over are the parts that are plain alone: newline and tab.
    assert seen >= 890
    assert len({text for text in raw if dangers(text)}) >= 800


@pytest.mark.parametrize("start", range(0, 900, 100))
def test_nothing_dangerous_is_printed(start):
    for text in list(hostile(900))[start : start + 100]:
        assert not dangers(printable(text)), repr(text)


def test_escapes_are_readable():
    assert printable("\x1b[31m\u202e\U000e0041") == r"\x1b[31m\u202e\U000e0041"
    assert printable("a\r\nb") == "a\\x0d\nb"
    assert printable("::error::x") == r"\x3a:error::x"
    assert printable("##vso[x]") == r"\x23#vso[x]"


@pytest.mark.parametrize(
    "text", ["a::b", "Straße, naïve café", "日本語\tと\n改行", "a # b ## c [d]", "std::vector", "🎉 x²"]
)
def test_plain_text_stays(text):
    assert printable(text) == text


@given(st.text())
def test_escaping_twice_changes_nothing_more(text):
    assert printable(printable(text)) == printable(text)


@given(st.text(), st.text(), st.text(alphabet="ABCDEFGHJKLMNPQ", min_size=8))
def test_no_secret_is_printed(before, after, secret):
    assert secret not in printable(f"{before}{secret}{after}{secret}", [secret])


@pytest.mark.parametrize("secret", ['pa"ss\\word\n2', "clé-très-secrète", "two\nlines"])
def test_secrets_are_known_as_json_and_python_write_them(secret):
    written = [secret, json.dumps({"k": secret}), json.dumps(secret, ensure_ascii=False), repr([secret])]

    for text in written:
        shown = redact(text, [secret])
        assert "***" in shown
        assert not any(part in shown for part in (secret, "word", "cl", "lines"))


def test_a_secret_with_characters_that_do_not_show_is_known():
    assert printable("key=tok\ufe0fen\x1b-value!", ["tok\ufe0fen\x1b-value"]) == "key=***!"


def test_the_longer_of_two_secrets_goes_first():
    assert redact("key-1234-long key-1234", ["key-1234", "key-1234-long"]) == "*** ***"


def test_values_too_short_to_be_secret_stay():
    assert redact("abc", ["abc", ""]) == "abc"
