"""Hold what a schema marker says of whole suites: first answers, repaired ones, and tool calls."""

from __future__ import annotations

import re
from typing import Any

import pytest

CONFTEST = """
import os
from pytest_llmops import BadAnswerError, Response, ScriptedProvider, Usage

CALL = {"id": "c1", "type": "function", "function": {"name": "route", "arguments": '{"team": "billing"}'}}


def reply(request):
    text = request.messages[-1]["content"]
    repairs = "<violations" in text
    with open(os.environ["CALLS"], "a") as file:
        file.write("repair\\n" if repairs else "answer\\n")
    if repairs:
        if os.environ.get("REPAIRS") == "cut":
            raise BadAnswerError("the answer is cut off", kind="length", input_tokens=9, output_tokens=3)
        mended = '{"team": "billing", "n": %s}' % text.partition('"n": ')[2].partition("}")[0]
        return '{"team": "none"}' if os.environ.get("REPAIRS") == "wrong" else mended
    item = int(text.rpartition("Item ")[2])
    if "Tools" in text:
        return Response(text="", model="m", tool_calls=(CALL,) if item >= 3 else ())
    if "Fence" in text:
        return '```json\\n{"team": "billing"}\\n```'
    return '{"team": "%s", "n": %d}' % ("sales" if item < 3 else "billing", item)


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
"""

BODY = '''
import pytest

TEAM = {{"type": "object", "properties": {{"team": {{"enum": ["billing", "shipping"]}}}}}}


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.{mark}
def test_items(llm_case):
    """The marker decides."""
'''

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"
USAGE_ERROR = 4


def marked(suite: Any, mark: str) -> Any:
    (suite.root / "conftest.py").write_text(CONFTEST)
    suite.body(BODY.format(mark=mark))
    return suite


def stored_scores(suite: Any, name: str) -> list[str]:
    (run,) = [data for path, data in suite.stored().items() if re.fullmatch(r"runs/\w+\.jsonl", path)]
    return re.findall(rf'"{name}":\{{[^}}]*\}}', run.decode())


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_first_answers_and_repaired_ones_are_two_metrics(suite: Any) -> None:
    suite = marked(suite, "llm_schema(TEAM, repair=1)")
    result = suite.run(SAVE, "-v")

    assert result.ret == 0, result.stdout.str()
    assert sorted(suite.calls) == ["answer"] * 20 + ["repair"] * 3
    first, repaired = stored_scores(suite, "schema"), stored_scores(suite, "schema_repaired")
    assert sum('"value":1' in score for score in first) == 17
    assert sum('"value":1' in score for score in repaired) == 20
    told = [score for score in repaired if "valid after 1 repair" in score]
    assert len(told) == 3
    assert all(re.search(r"valid after 1 repair \(\d+ tokens\)", score) for score in told)
    assert suite.run(COMPARE).ret == 0
    assert suite.calls == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("wrong", "schema_repaired: not valid after 2 repairs (* tokens): $.team: 'none' is not one of*"),
        ("cut", "schema_repaired: not valid after 1 repair (12 tokens): the repair is no answer: *cut off*"),
    ],
)
def test_a_repair_that_fails_is_a_miss_that_says_why(
    plain_suite: Any, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    monkeypatch.setenv("REPAIRS", how)
    suite = marked(plain_suite, "llm_schema(TEAM, repair=3)")
    result = suite.run()

    assert result.ret == 1
    result.assert_outcomes(passed=17, failed=3)
    result.stdout.fnmatch_lines(["*schema: $.team: 'sales' is not one of*", f"*{said}"])


def test_the_repairs_of_a_run_are_budgeted(plain_suite: Any) -> None:
    suite = marked(plain_suite, "llm_schema(TEAM, repair=1)")
    result = suite.run("--llmops-max-calls=21")

    assert result.ret != 0
    assert len(suite.calls) <= 21
    result.stdout.fnmatch_lines(["*not run*"])


def test_required_asks_for_the_repaired_answer_alone(plain_suite: Any) -> None:
    suite = marked(plain_suite, "llm_schema(TEAM, repair=1, required=True)")
    assert suite.run(SAVE).ret == 0
    result = suite.run(COMPARE)

    assert result.ret == 0
    result.assert_outcomes(passed=17, xfailed=3)


def test_fences_are_refused_unless_they_are_allowed(plain_suite: Any) -> None:
    suite = marked(plain_suite, "llm_schema(TEAM)")
    suite.prompt(say="Fence.")
    result = suite.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*the answer stands in a code fence, ask the model for bare JSON*"])
    marked(suite, "llm_schema(TEAM, fenced=True)")
    assert suite.run().ret == 0


def test_a_pydantic_model_is_a_schema(plain_suite: Any) -> None:
    pytest.importorskip("pydantic")
    suite = marked(plain_suite, "llm_schema(TEAM)")
    model = (
        "from typing import Literal\nimport pydantic\n\n\n"
        'class Ticket(pydantic.BaseModel):\n    team: Literal["billing", "shipping"]\n'
    )
    suite.body(model + BODY.format(mark="llm_schema(schema=Ticket)"))
    # By its name: pytest takes a class that is a marker's only argument for what the marker decorates.
    result = suite.run()

    result.assert_outcomes(passed=17, failed=3)
    result.stdout.fnmatch_lines(["*schema: $.team: 'sales' is not one of*"])
    suite.body(model + BODY.format(mark='llm_schema(Ticket(team="billing"))'))
    result = suite.run()
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["*give the model's class, not one of its objects*"])


TOOLS = """tools:
  - type: function
    function:
      name: route
      parameters: {type: object, properties: {team: {enum: [billing, shipping]}}, required: [team]}
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_tool_calls_are_held_against_the_tools_of_the_prompt(suite: Any) -> None:
    marked(suite, 'llm_metric("tool_calls", value={"name": "route", "arguments": {"team": "billing"}})')
    suite.prompt(say="Tools.")
    path = suite.root / "prompts" / "ask.prompt.yml"
    path.write_text(path.read_text() + TOOLS)
    result = suite.run()

    result.assert_outcomes(passed=17, failed=3)
    result.stdout.fnmatch_lines(["*tool_calls: the calls are none, not 'route'*"])
    assert len(suite.calls) == 20
    suite.run(SAVE)
    # Another expectation scores the stored calls again, and asks nobody.
    marked(suite, 'llm_metric("tool_calls", value=[])')
    result = suite.run(COMPARE)
    assert suite.calls == []
    result.stdout.fnmatch_lines(["*tool_calls*15.0 %*15.0 %*unchanged*"])


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("llm_schema(TEAM, repair=4)", "*repair=4: give a whole number of repairs, 0 to 3.*"),
        ("llm_schema(TEAM, repair=True)", "*repair=True*"),
        ("llm_schema(TEAM, fenced=1)", "*llm_schema(fenced=1): give True or False.*"),
        ('llm_schema({"$ref": "http://127.0.0.1:9/x.json"})', "*never fetched*"),
        ('llm_schema({"pattern": "(?=a)"})', "*not a schema at $.pattern: '(?=a)' uses look-around*"),
        ('llm_schema({"$ref": "#"})', "*refers to itself without end*"),
        ('llm_metric("tool_calls")', "*needs a prompt with tools; 'ask' has none*"),
        ('llm_metric("tool_calls", threshold=0.5)', "*takes no threshold*"),
    ],
)
def test_what_cannot_be_checked_is_a_usage_error(plain_suite: Any, mark: str, message: str) -> None:
    result = marked(plain_suite, mark).run()

    assert result.ret == USAGE_ERROR, result.stdout.str()
    result.stderr.fnmatch_lines([f"ERROR: test_items.py::test_items: {message}"])
    assert plain_suite.calls == []
