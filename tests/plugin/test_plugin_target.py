"""Hold what a target does: code that answers in place of one prompt, with its calls cached and counted."""

from __future__ import annotations

from typing import Any

import pytest

CONFTEST = r"""
import os
from pytest_llmops import ScriptedProvider


def reply(request):
    text = request.messages[-1]["content"]
    with open(os.environ["CALLS"], "a") as file:
        file.write(text.replace(" ", "_") + "\n")
    return "yes" if text.startswith("Decide") else f"plan-{text.split()[-1]}"


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
"""

CHAIN = """
import pytest


def chain(inputs, llm):
    plan = llm("plan", n=inputs["n"]).text
    return llm("decide", plan=plan).text
"""

ASYNC = """
import asyncio
import pytest


async def chain(inputs, llm):
    plan, other = await asyncio.gather(llm.acall("plan", n=inputs["n"]), llm.acall("plan", n=inputs["n"]))
    assert plan.text == other.text
    return (await llm.acall("decide", plan=plan.text)).text
"""

BODY = """

@pytest.mark.llm_eval(target=chain, golden="items.jsonl"{more})
def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"


def prompt(suite: Any, name: str, text: str) -> None:
    (suite.root / "prompts").mkdir(exist_ok=True)
    (suite.root / "prompts" / f"{name}.prompt.yml").write_text(
        f"model: scripted:model\nmessages:\n  - role: user\n    content: '{text}'\n"
    )


def targeted(suite: Any, code: str = CHAIN, more: str = "") -> Any:
    (suite.root / "conftest.py").write_text(CONFTEST)
    prompt(suite, "plan", "Plan {{ n }}")
    prompt(suite, "decide", "Decide on {{ plan }}")
    suite.body(code + BODY.format(more=more))
    return suite


@pytest.mark.parametrize(
    ("workers", "code", "more"),
    [
        ((), CHAIN, ""),
        (("-n2",), CHAIN, ""),
        (("-n2",), CHAIN, ", concurrent=True"),
        (("-n0",), ASYNC, ", concurrent=True"),
        ((), ASYNC, ", version='1'"),
    ],
    ids=["chain", "chain-n2", "concurrent-n2", "async-n0", "version"],
)
def test_its_calls_are_cached_and_an_unchanged_one_is_unchanged(suite: Any, code: str, more: str) -> None:
    suite = targeted(suite, code, more)
    result = suite.run(SAVE)
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=20)
    assert len(suite.calls) == 40
    result = suite.run(COMPARE)
    assert result.ret == 0
    assert suite.calls == []
    result.stdout.fnmatch_lines(["*passed*unchanged*"])


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_changed_prompt_inside_it_is_seen(suite: Any) -> None:
    suite = targeted(suite)
    assert suite.run(SAVE).ret == 0
    assert len(suite.calls) == 40
    prompt(suite, "decide", "Guess on {{ plan }}")
    result = suite.run(COMPARE)
    assert result.ret == 1
    assert sorted(set(suite.calls)) == sorted(f"Guess_on_plan-{n}" for n in range(20))
    result.stdout.fnmatch_lines(
        [
            "*llmops[[]passed[]]*",
            "*100.0 %*0.0 %*regressed*",
            # It is no declared artifact, so nobody can tell that it changed.
            "*no cause found: the target's own function, its version= and artifacts=*",
        ]
    )
    assert "no cause found: prompt" not in result.stdout.str()


def test_a_declared_version_replays_on_a_cold_machine_and_a_new_one_runs(plain_suite: Any) -> None:
    suite = targeted(plain_suite, more=", version='1', artifacts=['plan', 'decide']")
    assert suite.run(SAVE).ret == 0
    assert len(suite.calls) == 40
    for path in (suite.root / ".llmops" / "local").iterdir():
        path.unlink()
    result = suite.run(COMPARE)
    assert result.ret == 0
    assert suite.calls == []
    result.stdout.fnmatch_lines(["*passed*unchanged*"])
    # A comment in an artifact's file is none of its content.
    path = suite.root / "prompts" / "plan.prompt.yml"
    path.write_text("# A comment.\n" + path.read_text())
    assert suite.run(COMPARE).ret == 0
    assert suite.calls == []
    prompt(suite, "plan", "Plan well {{ n }}")
    result = suite.run(COMPARE)
    assert result.ret == 0
    # The stored run holds no answers of the calls inside.
    assert len(suite.calls) == 40
    result.stdout.fnmatch_lines(["*target changed: chain * -> *, in plan"])
    # So does the code of the function itself.
    suite.body(
        (CHAIN + BODY)
        .replace('llm("decide", plan=plan).text', "llm('decide', plan=plan).text + '!'")
        .format(more=", version='1', artifacts=['plan', 'decide']")
    )
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*target changed: chain * -> *, in plan, code",
            "*the function and its version*",
            '*code: "????????????"',
        ]
    )


def test_an_artifact_that_changed_is_shown(plain_suite: Any) -> None:
    (plain_suite.root / "tools.json").write_text('{"depth": 2}\n')
    code = CHAIN.replace(
        'return llm("decide", plan=plan).text', 'return open("tools.json").read()[:0] + "no"'
    )
    suite = targeted(plain_suite, more=", artifacts=['tools.json']")
    assert suite.run(SAVE).ret == 0
    (suite.root / "tools.json").write_text('{"depth": 3}\n')
    suite.body(code + BODY.format(more=", artifacts=['tools.json']"))
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*artifact tools.json*", '*- {"depth": 2}*', '*+ {"depth": 3}*'])


RAISES = """
import pytest


def chain(inputs, llm):
    if inputs["n"] < {many}:
        raise LookupError("no such item")
    return "yes"
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_target_that_raises_once_scores_worst_and_often_is_not_measured(suite: Any) -> None:
    suite = targeted(suite, RAISES.format(many=0))
    assert suite.run(SAVE).ret == 0
    suite.body(RAISES.format(many=1) + BODY.format(more=""))
    result = suite.run(COMPARE)
    assert result.ret == 0
    result.assert_outcomes(passed=19, xfailed=1)
    result.stdout.fnmatch_lines(["*passed*100.0 %*95.0 %*"])
    suite.body(RAISES.format(many=2) + BODY.format(more=""))
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*llmops[[]unmeasured[]]*",
            "*item-0: the target chain raised LookupError: no such item (and so 2 of*",
        ]
    )
    result = suite.run()
    result.assert_outcomes(passed=18, failed=2)
    result.stdout.fnmatch_lines(["*the target chain raised LookupError: no such item*"])


@pytest.mark.parametrize(
    ("body", "outcome", "message"),
    [
        ("return None", {"failed": 20}, "*answered nothing*"),
        ("return {'team': 'billing'}", {"failed": 20}, "*team*"),
        ("return object()", {"failed": 20}, "*neither text nor JSON nor a Response*"),
        ("raise SystemExit(3)", {"failed": 20}, "*raised SystemExit: 3*"),
        ("pytest.skip('not today')", {"skipped": 20}, "*not today*"),
        ("return llm('plan')", {"errors": 20}, "*'n' is undefined*"),
        ("return llm('plam', n=1)", {"errors": 20}, "*No prompt 'plam'*Did you mean 'plan'*"),
        ("inputs.clear(); return 'yes'", {"passed": 20}, "*"),
    ],
)
def test_what_it_may_return_and_raise(plain_suite: Any, body: str, outcome: dict, message: str) -> None:
    suite = targeted(plain_suite, f"import pytest\n\n\ndef chain(inputs, llm):\n    {body}\n")
    result = suite.run("-rs")
    result.assert_outcomes(**outcome)
    joined = " ".join(result.stdout.str().split())
    import fnmatch

    assert fnmatch.fnmatch(joined, message)
    assert "INTERNALERROR" not in joined


def test_a_budget_that_is_spent_inside_it_is_no_fault_of_its_own(plain_suite: Any) -> None:
    suite = targeted(plain_suite)
    result = suite.run("--llmops-max-calls=10")
    assert result.ret == 6
    assert len(suite.calls) == 10
    result.assert_outcomes(passed=5, skipped=15)


def test_what_it_retrieved_reaches_test_and_judges(plain_suite: Any) -> None:
    code = """
import pytest
from pytest_llmops import Response


def chain(inputs, llm):
    return Response(text="yes", model="", context=("A passage.",))
"""
    suite = targeted(plain_suite, code)
    suite.body(code + BODY.format(more="") + "    assert llm_case.context == ('A passage.',)\n")
    assert suite.run(SAVE).ret == 0
    assert suite.run(COMPARE).ret == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", prompt='plan'", "a prompt or a target=, not both"),
        (", artifacts='plan'", "artifacts='plan'): give a list"),
        (", artifacts=['plam']", "No artifact 'plam' beside"),
    ],
)
def test_wrong_arguments(plain_suite: Any, more: str, message: str) -> None:
    result = targeted(plain_suite, more=more).run()
    assert result.ret == 4
    assert message in " ".join(result.stderr.str().split())


def test_a_target_that_takes_other_arguments_is_refused(plain_suite: Any) -> None:
    result = targeted(plain_suite, "import pytest\n\n\ndef chain(inputs): ...\n").run()
    assert result.ret == 4
    assert "The target chain must take two arguments: target(inputs, llm)." in result.stderr.str()


def test_a_version_without_a_target_is_refused(plain_suite: Any) -> None:
    suite = targeted(plain_suite)
    suite.body((CHAIN + BODY).replace("target=chain", "prompt='plan'").format(more=", version='2'"))
    result = suite.run()
    assert result.ret == 4
    assert "is for a target=" in result.stderr.str()
