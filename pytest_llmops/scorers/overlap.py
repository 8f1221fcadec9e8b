"""Score how much of its references an answer repeats: Levenshtein, ROUGE, BLEU, chrF, each from 0 to 1."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pytest_llmops.scorers.sequences import common_length, edit_distance
from pytest_llmops.scorers.words import composed, folded_words, words_and_signs

_BLEU_ORDER: Final = 4
_CHRF_ORDER: Final = 6
_CHRF_BETA: Final = 2
"""Recall counts as much as this many precisions."""


def levenshtein(answer: str, references: Sequence[str]) -> float:
    """Return 1 - distance / length of the longer text, in characters, for the reference most alike."""
    text = composed(answer)
    return max(_alike(text, composed(reference)) for reference in references)


def rouge_1(answer: str, references: Sequence[str]) -> float:
    """Return the F1 of the common words (Lin 2004), for the reference that gives most."""
    return _rouge_n(answer, references, 1)


def rouge_2(answer: str, references: Sequence[str]) -> float:
    """Return the F1 of the common pairs of neighbouring words (Lin 2004), for the best reference."""
    return _rouge_n(answer, references, 2)


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """Return the F1 of the longest common subsequence of words (Lin 2004), for the best reference."""
    words = folded_words(answer)
    wanted = [folded_words(reference) for reference in references]
    return max(_f1(common_length(words, each), len(words), len(each)) for each in wanted)


def bleu(answer: str, references: Sequence[str]) -> float:
    """Return the sentence BLEU (Papineni et al. 2002) over all references.

    Orders 1 to 4 as far as the answer has that many tokens (effective order); an order without a match counts
    as half a match, the next one as a quarter, and so on (exponential smoothing, Chen and Cherry 2014, method
    3); the brevity penalty is by the reference of the closest length.
    """
    tokens = words_and_signs(answer)
    wanted = [words_and_signs(reference) for reference in references]
    logs: list[float] = []
    smoothing = 1.0
    for n in range(1, min(_BLEU_ORDER, len(tokens)) + 1):
        allowed: Counter[tuple[str, ...]] = Counter()
        for each in wanted:
            allowed |= _ngrams(each, n)
        hits = (_ngrams(tokens, n) & allowed).total()
        if n == 1 and not hits:
            return 0.0
        if not hits:
            smoothing /= 2
        logs.append(math.log((hits or smoothing) / (len(tokens) - n + 1)))
    closest = min((abs(len(each) - len(tokens)), len(each)) for each in wanted)[1]
    if not logs:
        return 0.0
    brevity = min(0.0, 1 - closest / len(tokens))
    return min(1.0, math.exp(brevity + sum(logs) / len(logs)))


def chrf(answer: str, references: Sequence[str]) -> float:
    """Return the chrF2 (Popović 2015): F-score of common runs of 1 to 6 characters, spaces left out.

    Precision and recall are averaged over the orders that both texts are long enough for; the best reference
    counts.
    """
    text = _without_spaces(answer)
    return max(_chrf(text, _without_spaces(reference)) for reference in references)


def _alike(one: str, other: str) -> float:
    longest = max(len(one), len(other))
    return 1 - edit_distance(one, other) / longest if longest else 1.0


def _rouge_n(answer: str, references: Sequence[str], n: int) -> float:
    found = _ngrams(folded_words(answer), n)
    wanted = [_ngrams(folded_words(reference), n) for reference in references]
    return max(_f1((found & each).total(), found.total(), each.total()) for each in wanted)


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def _f1(common: int, found: int, wanted: int) -> float:
    return 2 * common / (found + wanted) if common else 0.0


def _without_spaces(text: str) -> str:
    return "".join(composed(text).split())


def _chrf(text: str, wanted: str) -> float:
    orders = range(1, min(_CHRF_ORDER, len(text), len(wanted)) + 1)
    if not orders:
        return 0.0
    precision = recall = 0.0
    for n in orders:
        common = (_runs(text, n) & _runs(wanted, n)).total()
        precision += common / (len(text) - n + 1) / len(orders)
        recall += common / (len(wanted) - n + 1) / len(orders)
    if not precision + recall:
        return 0.0
    weight = _CHRF_BETA**2
    return min(1.0, (1 + weight) * precision * recall / (weight * precision + recall))


def _runs(text: str, n: int) -> Counter[str]:
    return Counter(text[start : start + n] for start in range(len(text) - n + 1))
