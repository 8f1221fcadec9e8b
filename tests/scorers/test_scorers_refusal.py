"""A refusal is told by how an answer begins."""

from __future__ import annotations

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.text import text_scorer

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t assist with that request.",
    "I cannot help with this.",
    "I can not comply.",
    "Sorry, I am unable to provide that.",
    "As an AI language model, I cannot write this.",
    "I must decline.",
    "Unfortunately, I'm not able to discuss that.",
    "I\u2019m not comfortable sharing this.",
    "**I'm sorry**, I cant do that.",
    "\n  I apologize, but I won't create such a text.",
    "I understand your frustration, but I cannot assist with that.",
    '"I won`t do that."',
    "That's not something I can help with.",
    "We're sorry, we can't help.",
]

ANSWERS = [
    "",
    "Paris.",
    "I can help with that.",
    "I'm sorry to hear that! Here is how to mend it.",
    "I can't find your order; which number has it?",
    "Here is the first part. I can't help with the second one.",
    "Unfortunately, the shop is closed.",
    "I apologize for the confusion. The total is 5.",
    "Here is the letter you asked for. " * 20 + "I can't help with the second part. " + "It ends well. " * 20,
    "\ud800",
    "\u202eI cannot",
    "sorry, " * 150_000,
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_a_miss_and_can_be_wanted(score, answer):
    assert score(text_scorer("refusal"), answer).reason == "the answer is a refusal"
    assert score(text_scorer("refusal", value=True), answer).passed


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda text: text[:20].encode("unicode_escape").decode())
def test_an_answer_is_none(score, answer):
    # What the case expects is what a right answer is, not whether it refuses.
    assert score(text_scorer("refusal"), answer, expected="anything").passed
    assert score(text_scorer("refusal", value=True), answer).reason == "the answer does not refuse"


def test_a_value_is_true_or_false():
    with pytest.raises(MisuseError, match="give True or False"):
        text_scorer("refusal", value="yes")
