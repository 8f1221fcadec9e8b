"""Make hostile texts, and see what in a text is dangerous to print."""

from __future__ import annotations

import random
import unicodedata

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
