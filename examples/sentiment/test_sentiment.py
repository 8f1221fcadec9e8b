"""Is the sentiment of a review read right?"""

import pytest


@pytest.mark.llm_eval(prompt="sentiment", golden="sentiment.jsonl")
@pytest.mark.llm_schema("sentiment.schema.json")
def test_sentiment(llm_case):
    assert llm_case.json["label"] == llm_case.expected["label"]
