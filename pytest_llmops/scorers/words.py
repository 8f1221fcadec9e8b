"""Split texts into words, in any script.

Words are runs of letters, digits and the marks that belong to them. In scripts that put no spaces between
words (Han, Hiragana, Katakana, Thai, Lao, Myanmar, Khmer) each character with its marks is a word of its
own: where a word ends cannot be told without a dictionary, and a whole sentence as one word would match all
or nothing.
Composed and decomposed letters are the same; characters that only join or hide are left out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_UNSPACED: Final = (
    "\u0e01-\u0e7f\u0e81-\u0eff\u1000-\u109f\u1780-\u17df\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Ranges of the scripts without spaces."""

_JOINERS: Final = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u2060\ufeff"))
"""Soft hyphen, joiners and marks of zero width: words are the same with and without."""


def composed(text: str) -> str:
    """Return the text in Unicode's composed form (NFC), in which equal letters are equal characters."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded_words(text: str) -> list[str]:
    """Return the words in the form that upper and lower case share, without punctuation.

    On ASCII these are the runs of `[a-z0-9]` in the lowercased text, the tokens of rouge-score.
    """
    text = _cleaned(composed(text).casefold())
    one, letter, _ = _letters(text)
    return re.findall(f"{one}|{letter}+", text)


def words_and_signs(text: str) -> list[str]:
    """Return words as they are written, and each sign as a token of its own.

    Apostrophes and hyphens stay in their word, a hyphen after a digit apart; points and commas stay between
    digits. On ordinary ASCII text these are the tokens of mteval-v13a, the usual ones of BLEU.
    """
    text = _cleaned(text)
    one, letter, own = _letters(text)
    inner = rf"(?:{letter}|['\u2019]|(?<![0-9])-|(?<=[0-9])[.,](?=[0-9]))"
    return re.findall(rf"{one}|{inner}+|\S{own}", text)


def word_count(text: str) -> int:
    """Return the number of words as people count them: `don't`, `well-known` and `3.5` are one each."""
    text = _cleaned(text)
    one, letter, _ = _letters(text)
    found = re.finditer(
        rf"{one}|{letter}+(?:['\u2019\u2010\u2011-]{letter}+|(?<=\d)[.,](?=\d){letter}+)*", text
    )
    return sum(1 for _ in found)


def _cleaned(text: str) -> str:
    return text if text.isascii() else composed(text).translate(_JOINERS)


def _letters(text: str) -> tuple[str, str, str]:
    """Return patterns of a character that is a word, of one that is part of a word, and of their marks."""
    # The re module knows no marks, so those of this text are named.
    marks = [re.escape(each) for each in set(text) if unicodedata.category(each)[0] == "M"]
    own = f"[{''.join(sorted(marks))}]*" if marks else ""
    letter = rf"[^\W_{_UNSPACED}]"
    return rf"(?:(?=[{_UNSPACED}])\w{own})", f"(?:{letter}{own})" if own else letter, own
