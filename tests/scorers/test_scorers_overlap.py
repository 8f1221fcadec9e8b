"""Scores of overlap equal those of sacrebleu and rouge-score, and bear any text."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.overlap import bleu, chrf, levenshtein, rouge_1, rouge_2, rouge_l
from pytest_llmops.scorers.sequences import common_length, edit_distance
from pytest_llmops.scorers.text import text_scorer
from pytest_llmops.scorers.words import words_and_signs

SCORES = [levenshtein, rouge_1, rouge_2, rouge_l, bleu, chrf]
ALIKE = 1e-9

WORDS = """
The the cat sat on mat. a, it's well-known 3.5 1,200 (yes) no! what? "so" end; x: 10-20 a_b 50% $5 don't
a/b e.g. [1] #tag x=y & * ~ 7. -
"""

PROSE = st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
ANY = st.text(max_size=25)


@given(PROSE | ASCII, st.lists(PROSE | ASCII, min_size=1, max_size=3))
def test_rouge_equals_rouge_score_on_ascii(answer, references):
    oracle = RougeScorer(["rouge1", "rouge2", "rougeL"]).score_multi(references, answer)

    assert rouge_1(answer, references) == pytest.approx(oracle["rouge1"].fmeasure, abs=ALIKE)
    assert rouge_2(answer, references) == pytest.approx(oracle["rouge2"].fmeasure, abs=ALIKE)
    assert rouge_l(answer, references) == pytest.approx(oracle["rougeL"].fmeasure, abs=ALIKE)


@given(PROSE | ASCII, st.lists(PROSE | ASCII, min_size=1, max_size=3))
def test_bleu_equals_sacrebleu_where_the_tokens_agree(answer, references):
    tokenize = Tokenizer13a()
    assume(all(words_and_signs(text) == tokenize(text.rstrip()).split() for text in [answer, *references]))
    oracle = BLEU(effective_order=True).sentence_score(answer, references).score / 100

    assert bleu(answer, references) == pytest.approx(oracle, abs=ALIKE)


@given(PROSE)
def test_tokens_of_ordinary_text_are_those_of_13a(text):
    assert words_and_signs(text) == Tokenizer13a()(text).split()


@given(ANY, st.lists(ANY, min_size=1, max_size=3))
def test_bleu_equals_sacrebleu_on_the_same_tokens(answer, references):
    # Spaces of all kinds end a token in both; what hides inside one is not compared here.
    oracle = BLEU(effective_order=True, tokenize="none")
    tokens = [" ".join(words_and_signs(text)) for text in [answer, *references]]
    assume(all(text.split() == words_and_signs(text) for text in tokens))
    score = oracle.sentence_score(tokens[0], tokens[1:]).score / 100

    assert bleu(answer, references) == pytest.approx(score, abs=ALIKE)


@given(PROSE | ANY, st.lists(PROSE | ANY, min_size=1, max_size=3))
def test_chrf_equals_sacrebleu_on_composed_text(answer, references):
    answer, *references = (unicodedata.normalize("NFC", text) for text in [answer, *references])
    oracle = CHRF().sentence_score(answer, references).score / 100

    assert chrf(answer, references) == pytest.approx(oracle, abs=ALIKE)


def distance_by_rows(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        new = [i]
        for j, b in enumerate(other, start=1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (a != b)))
        row = new
    return row[-1]


def common_by_rows(one, other):
    row = [0] * (len(other) + 1)
    for a in one:
        new = [0]
        for j, b in enumerate(other, start=1):
            new.append(row[j - 1] + 1 if a == b else max(row[j], new[-1]))
        row = new
    return row[-1]


@given(st.text(alphabet="abc", max_size=80), st.text(alphabet="abc", max_size=80))
def test_bits_count_as_the_table_does(one, other):
    assert edit_distance(one, other) == distance_by_rows(one, other)
    assert common_length(list(one), list(other)) == common_by_rows(one, other)


@given(ANY, ANY)
def test_every_score_lies_between_0_and_1_and_is_symmetric_where_it_should_be(one, other):
    for score in SCORES:
        assert 0 <= score(one, [other]) <= 1
    for score in (levenshtein, rouge_1, rouge_2, rouge_l):
        assert score(one, [other]) == score(other, [one])


@given(st.lists(st.sampled_from(["kot", "пёс", "日本", "क्या", "שלום"]), min_size=2, max_size=9).map(" ".join))
def test_the_reference_itself_scores_1_in_any_script(text):
    for score in SCORES:
        assert score(text, ["other", text]) == pytest.approx(1, abs=ALIKE)


@pytest.mark.parametrize("score", SCORES)
def test_composed_and_decomposed_letters_are_the_same(score):
    assert score("un café déjà vu", [unicodedata.normalize("NFD", "un café déjà vu")]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("score", "answer", "reference", "value"),
    [
        (levenshtein, "kitten", "sitting", 1 - 3 / 7),
        (levenshtein, "", "", 1.0),
        (levenshtein, "", "abc", 0.0),
        (rouge_l, "Кот сидел на окне", "кот спал на окне", 0.75),
        (rouge_1, "私は猫が好き", "私は犬が好き", 5 / 6),
        (rouge_l, "שלום עולם", "שלום לך עולם", 0.8),
        (rouge_1, "", "yes", 0.0),
        (bleu, "", "yes", 0.0),
        (chrf, " ", "yes", 0.0),
    ],
)
def test_known_values(score, answer, reference, value):
    assert score(answer, [reference]) == pytest.approx(value, abs=ALIKE)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("hostile", ["", " ", "\ud800", "a\ud800b", "\u0301", "\u202eabc", "\x00", "❤️‍🔥"])
def test_hostile_answers_have_a_score(score, hostile):
    assert 0 <= score(hostile, ["yes, it is"]) <= 1
    assert 0 <= score("yes, it is", [f"a {hostile}"]) <= 1


@pytest.mark.parametrize("score", SCORES)
def test_a_megabyte_against_a_sentence_has_a_score(score):
    rng = random.Random(7)
    answer = " ".join(f"w{rng.randrange(5000)}" for _ in range(180_000))

    assert len(answer) > 1_000_000
    assert 0 <= score(answer, ["w1 w2 w3 and nothing else"]) < 0.1
    assert score(answer, [answer]) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["levenshtein", "rouge_1", "rouge_2", "rouge_l", "bleu", "chrf"])
def test_a_score_has_a_range_and_passes_by_its_threshold(score, kind):
    free, strict = text_scorer(kind), text_scorer(kind, threshold=0.9)
    right, wrong = (score(strict, text, expected="the cat sat here") for text in ("the cat sat here", "no"))

    assert (free.metric.kind, free.metric.range, free.metric.gated) == ("score", (0.0, 1.0), False)
    assert strict.metric.gated
    assert (right.passed, wrong.passed) == (True, False)
    assert score(free, "no", expected="the cat sat here").passed is None
    assert score(free, "the cat sat here", expected=["no", "the cat sat here"]).value == pytest.approx(1)


@pytest.mark.parametrize("threshold", [0, -1, 1.5, True, "0.5", float("nan")])
def test_a_threshold_that_parts_nothing_is_refused(threshold):
    with pytest.raises(MisuseError, match="not a number above 0 and at most 1"):
        text_scorer("rouge_l", threshold=threshold)


@pytest.mark.parametrize(
    ("kind", "expected", "words"),
    [
        ("rouge_l", "!?", "holds no word"),
        ("rouge_1", ["yes", ""], "holds no word"),
        ("bleu", " ", "holds no character"),
        ("chrf", "", "holds no character"),
        ("levenshtein", 3, "neither text nor a list of texts"),
        ("levenshtein", [], "neither text nor a list of texts"),
        ("bleu", ["a", 1], "at place 2, is 1, which is not text"),
    ],
)
def test_what_nothing_can_be_like_is_refused(kind, expected, words):
    with pytest.raises(MisuseError, match=words):
        text_scorer(kind, value=expected)
