"""Does the answer to a question hold what the text says?"""

import pytest


@pytest.mark.llm_eval(prompt="qa", golden="qa.jsonl")
@pytest.mark.llm_metric("icontains", name="answer")
def test_qa(llm_case):
    """The answer must hold the expected words; the marker checks that."""
