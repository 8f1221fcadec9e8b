"""Hold that a session never spends more than it may, and keeps what it paid for."""

from __future__ import annotations

from typing import Any

import pytest

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"

PRICES = """
[prices."scripted:model"]
input = 0
output = 1000
"""
"""A token out costs a tenth of a cent."""


def test_no_more_calls_are_made_and_the_finished_ones_are_kept(suite: Any) -> None:
    result = suite.run("--llmops-max-calls=8", "-rs")
    assert result.ret == 6
    result.assert_outcomes(passed=8, skipped=12)
    assert len(suite.calls) == 8
    result.stdout.fnmatch_lines(
        [
            "*over budget: 12 of 20 cases were not run; scripted:model was not called: --llmops-max-calls=8*",
            "*SKIPPED*not run:*",
        ]
    )

    result = suite.run()
    assert result.ret == 0
    assert len(suite.calls) == 12


def test_a_comparison_that_the_budget_cut_short_is_unmeasured_and_not_saved(suite: Any) -> None:
    assert suite.run(SAVE).ret == 0
    stored = suite.stored()
    assert len(suite.calls) == 20
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, SAVE, "--llmops-max-calls=15")
    assert result.ret == 6
    assert len(suite.calls) == 15
    result.stdout.fnmatch_lines(["*llmops[[]unmeasured]*", "*over budget: 5 of 20 cases were not run*"])
    assert suite.stored() == stored


def test_a_failure_beside_the_budget_is_a_failure(plain_suite: Any) -> None:
    plain_suite.prompt(wrong=[0])
    result = plain_suite.run("--llmops-max-calls=8")
    assert result.ret == 1
    result.assert_outcomes(passed=7, failed=1, skipped=12)


def test_money_is_put_aside_at_the_limit_of_tokens(suite: Any) -> None:
    (suite.root / "llmops.toml").write_text(PRICES)
    path = suite.root / "prompts" / "ask.prompt.yml"
    path.write_text(path.read_text() + "modelParameters:\n  max_tokens: 5\n")
    # An answer has one word, at $0.001: with $0.005 put aside the last one starts at $0.011 or less.
    result = suite.run("--llmops-max-cost=0.016", "--llmops-concurrency=1")
    assert result.ret == 6
    assert len(suite.calls) == 12
    result.stdout.fnmatch_lines(["*12 calls made*$0.01*", "*--llmops-max-cost=0.016 is*"])

    # What the first run paid is saved now.
    result = suite.run()
    assert len(suite.calls) == 8
    result.stdout.fnmatch_lines(["*8 calls made, 12 answers from the cache ($0.01 saved)*"])


def test_a_price_that_nobody_knows_is_asked_for(plain_suite: Any) -> None:
    result = plain_suite.run("--llmops-max-cost=1", "-rs")
    assert result.ret == 6
    assert plain_suite.calls == []
    result.stdout.fnmatch_lines(["*not called: --llmops-max-cost needs its price, which is unknown*"])


def test_a_cached_session_needs_no_budget(suite: Any) -> None:
    assert suite.run().ret == 0
    assert suite.run("--llmops-max-calls=1", "--llmops-max-cost=0.01", "--llmops-max-seconds=1").ret == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--llmops-max-calls=0", "*--llmops-max-calls: '0' is not a whole number of at least 1*"),
        ("--llmops-max-cost=free", "*--llmops-max-cost: 'free' is not a number*"),
        ("--llmops-max-seconds=-1", "*--llmops-max-seconds: '-1' is not a number of seconds above 0*"),
    ],
)
def test_a_wrong_limit_is_a_usage_error(plain_suite: Any, option: str, message: str) -> None:
    result = plain_suite.run(option)
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])


FALLBACK = """
from pytest_llmops import FatalCallError, ScriptedProvider


def reply(request):
    gone = request.messages[-1]["content"] == "Item 3"
    return FatalCallError("status 404: no such model") if gone else "yes"


def pytest_llmops_provider(name):
    return {"scripted": ScriptedProvider(reply), "spare": ScriptedProvider("yes")}.get(name)
"""


def test_a_fallback_model_answers_only_where_the_prompt_names_it_and_is_told(suite: Any) -> None:
    suite.pytester.makeconftest(FALLBACK)
    path = suite.root / "prompts" / "ask.prompt.yml"
    ask = "model: scripted:model\nmessages:\n  - role: user\n    content: 'Item {{ n }}'\n"
    path.write_text(ask)
    result = suite.run()
    result.assert_outcomes(passed=19, errors=1)

    path.write_text(f"fallback: spare:model\n{ask}")
    result = suite.run(SAVE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*spare:model stood in for scripted:model: 1 of 20 answers*"])
    # Another model by option wants the answers of that one.
    result = suite.run("--llmops-model=scripted:other")
    result.assert_outcomes(passed=19, errors=1)
    # Stored answers of the fallback model are replayed as its own.
    assert suite.run(COMPARE).ret == 0
