"""Does an agent choose the right tool, and name the right thing to it?"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOOLS = json.loads((HERE / "tools.json").read_text(encoding="utf-8"))
SHOP = json.loads((HERE / "shop.json").read_text(encoding="utf-8"))
STEPS = 3


def said(role, content):
    """Return a message."""
    return {"role": role, "content": content}


def choose(llm, question, log, argument):
    """Let the model choose a tool after one example of each; its answer can name no other tool."""
    request = llm.request("step", question=question)
    shown = []
    for tool, example in TOOLS.items():
        step = {"argument": example["argument"], "tool": tool}
        shown += [said("user", example["question"]), said("assistant", json.dumps(step))]
    fields = {"argument": argument, "tool": {"enum": list(TOOLS)}}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "step", "strict": True, "schema": schema}}
    parameters = {**request.parameters, "response_format": form}
    messages = (*shown, *request.messages, *log)
    return json.loads(llm(replace(request, messages=messages, parameters=parameters)).text)


def agent(inputs, llm):
    """Run the tool that the model chooses; where it knows no such thing, say so and ask again."""
    steps, log, argument = [], [], {"type": "string", "pattern": "^[a-z]{3,9}$"}
    for _ in range(STEPS):
        step = choose(llm, inputs["question"], log, argument)
        steps.append(step)
        known = SHOP[step["tool"]]
        if step["argument"] in known:
            return {"answer": known[step["argument"]], "steps": steps}
        log += [said("assistant", json.dumps(step)), said("user", f"No. {inputs['question']}")]
        argument = {"enum": list(known)}
    return {"answer": "", "steps": steps}


@pytest.mark.llm_eval(
    target=agent, golden="agent.jsonl", artifacts=["step", "tools.json", "shop.json"], concurrent=True
)
def test_agent(llm_case):
    last = llm_case.json["steps"][-1]
    assert last["tool"] == llm_case.expected["tool"]
    assert last["argument"] == llm_case.expected["argument"]
