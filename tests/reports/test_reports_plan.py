"""The plan says what would be called and seen, before anything is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reports_built import NEED_411
from reports_hostile import dangers, hostile

from pytest_llmops.reports.plan import plan_lines
from pytest_llmops.runs.foresight import Foresight, MetricForesight
from pytest_llmops.scorers.score import Metric

PASSED = Metric(name="passed", version="1")
ERRORS = Metric(
    name="errors", version="1", kind="score", range=(0.0, 10.0), higher_is_better=False, threshold=3
)
SEEN = MetricForesight(
    metric=PASSED, cases=94, margin=0.05, smallest_seen=0.104, need=NEED_411, assumed=False
)
TEST = Foresight(
    test_key="evals/test_triage.py::test_triage",
    model="openai:small",
    cases=94,
    repeats=1,
    answers=94,
    known=20,
    judged=0,
    stored=True,
    tokens=(12_345, 2_104),
    cost=0.031,
    metrics=(SEEN,),
)


def shown(*tests, width=400):
    return [(line.text, line.style) for line in plan_lines(tests, width=width)]


def told(*tests, width=400):
    return [text for text, _ in shown(*tests, width=width)]


def test_the_whole_plan():
    assert shown(TEST) == [
        ("llmops plan: 1 test, 74 calls for answers; nothing was called", "bold"),
        ("", "plain"),
        ("evals/test_triage.py::test_triage", "bold"),
        (
            "  94 cases x 1 answer by openai:small: 20 answers at hand, 74 calls to make, about 12,345 "
            "tokens in and 2,104 out, $0.03, going by the stored run",
            "plain",
        ),
        (
            "  passed: 94 paired cases would show a drop of 10.4 percentage points or more, 4 times in 5; to "
            "tell a drop of 5.0 percentage points takes 411 cases (411 calls a run and 411 once for the "
            "baseline) or --llmops-repeat=5 (470 calls a run and 470 once for the baseline); cases "
            "are cheaper",
            "plain",
        ),
    ]


def test_the_first_line_adds_up():
    second = replace(TEST, answers=282, known=0, repeats=3, judged=188)

    assert told(TEST, second)[0] == (
        "llmops plan: 2 tests, 356 calls for answers, at most 188 calls to judges; nothing was called"
    )
    assert told()[0] == "llmops plan: 0 tests, 0 calls for answers; nothing was called"


def test_answers_beside_the_candidates_are_told():
    live = replace(TEST, answers=188)

    assert told(live)[3].startswith(
        "  94 cases x 1 answer by openai:small and 94 answers beside them: 20 answers at hand, 168 calls "
    )


def test_what_is_known_costs_nothing():
    known = told(replace(TEST, known=94))

    assert known[0].startswith("llmops plan: 1 test, 0 calls")
    assert known[3].endswith("94 answers at hand, 0 calls to make")


def test_an_unknown_price_or_size_is_said():
    assert told(replace(TEST, cost=None))[3].endswith("2,104 out, cost unknown, going by the stored run")
    assert told(replace(TEST, tokens=None, cost=None))[3].endswith("74 calls to make")


def test_without_a_baseline_nothing_is_foreseen():
    new = replace(TEST, stored=False, metrics=(), tokens=None, cost=None)

    assert told(new)[4:] == ["  no stored baseline, so nothing tells what it could see"]


def test_where_less_is_better_a_rise_is_foreseen():
    errors = replace(SEEN, metric=ERRORS, smallest_seen=1.04, margin=0.5)

    assert "would show a rise of 1.04 or more" in told(replace(TEST, metrics=(errors,)))[4]
    assert "to tell a rise of 0.50 takes 411 cases" in told(replace(TEST, metrics=(errors,)))[4]


def test_enough_is_enough():
    enough = replace(SEEN, cases=500)

    assert told(replace(TEST, metrics=(enough,)))[4] == (
        "  passed: 500 paired cases would show a drop of 10.4 percentage points or more, 4 times in 5; that "
        "is enough for the margin of 5.0 percentage points"
    )


def test_noise_that_is_assumed_is_said_once_with_the_cure():
    assumed = replace(SEEN, assumed=True)
    lines = shown(replace(TEST, metrics=(assumed, replace(assumed, metric=ERRORS))))

    (note,) = [line for line in lines if "the worst is assumed" in line[0]]
    assert note[1] == "dim"
    assert "--llmops-repeat=5" in note[0]
    assert lines[-1] == note
    assert not any("assumed" in text for text in told(TEST))


@pytest.mark.parametrize("width", [1, 40, 57, 80, 160])
def test_no_line_is_too_wide(width):
    lines = told(replace(TEST, metrics=(replace(SEEN, assumed=True),)), width=width)

    assert max(map(len, lines)) <= max(width, 40)
    assert not any(line != line.rstrip() for line in lines)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_hostile_names_stay_text(width):
    words = iter(hostile(600, seed=2000 + width))
    for _ in range(150):
        metric = replace(PASSED, name=next(words))
        test = replace(TEST, test_key=next(words), model=next(words), metrics=(replace(SEEN, metric=metric),))
        for line in told(test, width=width):
            assert not dangers(line), repr(line)
            assert "\n" not in line
            assert "\t" not in line


def test_secrets_are_not_shown():
    secret = "sk-12345678"
    lines = plan_lines([replace(TEST, model=f"openai:{secret}")], width=80, secrets=[secret])

    text = " ".join(line.text for line in lines)
    assert secret not in text
    assert "openai:***" in text
