"""Are order number and city read right from a message?"""

import pytest


@pytest.mark.llm_eval(prompt="extraction", golden="extraction.jsonl")
@pytest.mark.llm_schema("order.schema.json")
@pytest.mark.llm_metric("json_equal", name="both")
def test_extraction(llm_case):
    assert llm_case.json["order"] == llm_case.expected["order"]
