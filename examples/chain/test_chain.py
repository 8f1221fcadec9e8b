"""Is a mail taken apart right, and the mood of its opinion read right? A chain of two prompts."""

import json

import pytest


async def chain(inputs, llm):
    """Take the mail apart, then judge only the part that is an opinion."""
    parts = json.loads((await llm.acall("parts", text=inputs["text"])).text)
    mood = json.loads((await llm.acall("mood", text=parts["opinion"])).text)
    return {"order": parts["order"], "mood": mood["label"], "opinion": parts["opinion"]}


@pytest.mark.llm_eval(target=chain, golden="chain.jsonl", artifacts=["parts", "mood"], concurrent=True)
def test_chain(llm_case):
    assert llm_case.json["order"] == llm_case.expected["order"]
    assert llm_case.json["mood"] == llm_case.expected["mood"]
