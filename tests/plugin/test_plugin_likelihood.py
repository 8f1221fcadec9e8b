"""Hold what llm_judge makes of its arguments for likelihood judges, in suites that run."""

from __future__ import annotations

from typing import Any

import pytest

CONFTEST = """
import json
import os
from pytest_llmops import Response, ScriptedProvider


def reply(request):
    if request.messages:
        with open(os.environ["CALLS"], "a") as file:
            file.write("answer\\n")
        item = int(request.messages[-1]["content"].rpartition("Item ")[2])
        return "wrong" if "Careless" in request.messages[-1]["content"] and item < 15 else "right"
    with open(os.environ["CALLS"], "a") as file:
        file.write("judge\\n")
    text = json.loads(request.parameters["grammar"].partition("start: ")[2])
    if os.environ.get("UNFORCED"):
        return "As I see it, yes."
    told = "The text" in request.parameters["prompt"]
    cost = 2.0 if told and text == 'right"' else 8.0
    return Response(text=text, model=request.model, logprobs=({"token": text, "logprob": -cost},))


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name in ("scripted", "local") else None
"""

BODY = '''
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_judge({arguments})
def test_items(llm_case):
    """The judge decides."""
'''

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"


def judged(suite: Any, arguments: str) -> Any:
    (suite.root / "conftest.py").write_text(CONFTEST)
    suite.golden(range(20), context=["The text."])
    suite.body(BODY.format(arguments=arguments))
    return suite


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_judge_without_criteria_is_the_embedded_models_likelihood(suite: Any) -> None:
    suite = judged(suite, "model='local:m', threshold=0.6")
    result = suite.run(SAVE)
    assert result.ret == 0, result.stdout.str()
    assert sorted(suite.calls) == ["answer"] * 20 + ["judge"] * 40
    suite.prompt(say="Careless.")
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=5, xfailed=15, failed=1)
    result.stdout.fnmatch_lines(["*judge*0.909*0.516*regressed*"])


def test_a_missed_case_says_how_likely_its_answer_is(plain_suite: Any) -> None:
    suite = judged(plain_suite, "likelihood=True, threshold=0.95, name='likely'")
    result = suite.run()
    result.assert_outcomes(failed=20)
    result.stdout.fnmatch_lines(["*The context makes the answer 403 times as likely*"])


def test_labels_are_compared(plain_suite: Any) -> None:
    suite = judged(plain_suite, "'This reply is', labels=('polite', 'rude'), threshold=0.4")
    result = suite.run()
    result.assert_outcomes(passed=20)
    # 20 equal answers and 3 texts without content, 2 labels each.
    assert sorted(suite.calls) == ["answer"] * 20 + ["judge"] * 8


def test_a_server_that_does_not_force_measures_nothing(
    plain_suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = judged(plain_suite, "likelihood=True")
    monkeypatch.setenv("UNFORCED", "1")
    result = suite.run()
    result.assert_outcomes(errors=20)
    result.stdout.fnmatch_lines(
        ["*it does not force answers. The likelihood judge needs a llama.cpp server*"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "*without criteria compares likelihoods*the judge is scripted:model. Write llm_judge(*"),
        ("'Good.', likelihood=True", "*takes criteria or compares likelihoods*"),
        ("'Good.', context='page'", "*takes criteria or compares likelihoods*"),
        ("labels=('polite', 'rude')", "*needs the start of a statement that a label ends*This reply is*"),
        ("'It is', labels=('polite',)", "*two or more different labels*"),
        ("'It is', labels=('a', 'b'), question='q'", "*looks at the answer alone; leave out question=*"),
        ("likelihood=True, scale='1-5'", "*scores from 0 to 1; leave out scale=*"),
        ("likelihood=True, threshold=2", "*above 0, at most 1*"),
        ("likelihood=True, context=7", "*llm_judge(context=7): give text*"),
        ("likelihood=True, kontext='c'", "*does not know the argument 'kontext'*'context'*"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(
    plain_suite: Any, arguments: str, message: str
) -> None:
    result = judged(plain_suite, arguments).run()
    assert result.ret != 0
    assert plain_suite.calls == []
    (result.stdout if "does" in result.stdout.str() else result.stderr).no_fnmatch_line("*Traceback*")
    lines = [*result.outlines, *result.errlines]
    assert any(line_matches(line, message) for line in [*lines, " ".join(lines)]), "\n".join(lines)


def line_matches(line: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(line, pattern)


def test_a_case_without_context_is_named(plain_suite: Any) -> None:
    suite = judged(plain_suite, "likelihood=True")
    suite.golden(range(20))
    result = suite.run()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*finds no context in the case 'item-0'*llm_judge(context=*"])
