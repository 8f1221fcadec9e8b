"""Does the text make the answer likely? Judged offline, by the embedded model's own log-probabilities."""

import pytest


@pytest.mark.llm_eval(prompt="answers", golden="qa.jsonl")
@pytest.mark.llm_judge(name="likely")
def test_answers(llm_case):
    """The judge compares how likely the answer is with and without the text."""
