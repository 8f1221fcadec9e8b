"""Hostile text reaches the terminal only as text that is seen."""

from __future__ import annotations

import json
import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.reports.escape import printable, redact

C0_AND_C1 = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
INVISIBLE = [
    *map(chr, range(0x200B, 0x2010)),
    *map(chr, range(0x2028, 0x202F)),
    *map(chr, range(0x2060, 0x2070)),
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0000, 0xE0080)),
    *map(chr, range(0xE0100, 0xE01F0, 16)),
    *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u3164\ufeff\uffa0\ufff9\U0001d173\ud800\udfff\ue000\uffff",
]
COMMANDS = [
    "::error file=a.py::boom",
    "::set-output name=x::y",
    "  ::add-mask::word",
    "\t::stop-commands::token",
    "\u00a0::debug::x",
    "##vso[task.setvariable variable=x]y",
    "text before ##vso[task.complete]",
    "##VSO[task.complete]",
    "##[error]boom",
    "x ##teamcity[testFailed name='x']",
]
SEQUENCES = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]52;c;aGVsbG8=\x07",
    "\x1b]8;;http://127.0.0.1/\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "\x1bPq#0\x1b\\",
    "\x1b[6n",
    "\rover it",
    "\x08\x08\x08",
    "\u202egnp.exe",
]


def hostile(number, seed=20261120):
    """Give hostile texts: controls, sequences, commands and invisible characters in plain surroundings."""
    rng = random.Random(seed)
    parts = [*C0_AND_C1, *INVISIBLE, *COMMANDS, *SEQUENCES]
    plain = ["team", " ", "\n", "\t", "{}", '"billing"', "größe", "日本語", "ok:", "a::b", "# x"]
    for index in range(number):
        # Each part comes first once, so that none is left to luck.
        chosen = [parts[index % len(parts)], *rng.choices(parts + plain * 12, k=rng.randrange(6))]
        rng.shuffle(chosen)
        yield "".join(chosen)


def dangers(text):
    """Return what a terminal or a CI runner would obey in `text`, or hide: an oracle of its own."""
    found = []
    for char in text:
        plain = char.isprintable() or char in "\n\t" or unicodedata.category(char) == "Zs"
        if not plain or char in INVISIBLE:
            found.append(hex(ord(char)))
    for line in text.split("\n"):
        low = line.lower()
        if line.strip().startswith("::") or any(mark in low for mark in ("##vso[", "##[", "##teamcity[")):
            found.append(line)
    return found


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


def test_the_longer_of_two_secrets_goes_first():
    assert redact("key-1234-long key-1234", ["key-1234", "key-1234-long"]) == "*** ***"


def test_values_too_short_to_be_secret_stay():
    assert redact("abc", ["abc", ""]) == "abc"
