"""What a reader must know first: an early stop, a reused baseline, a model that moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reports_hostile import dangers, hostile

from pytest_llmops.reports.circumstances import circumstance_lines, drift_lines, stop_text
from pytest_llmops.reports.page import Page
from pytest_llmops.reports.terminal import comparison_lines
from pytest_llmops.runs.comparison import MetricComparison, Stop
from pytest_llmops.runs.drift import Drift, DriftedMetric
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.verdict import Verdict

PASSED = MetricComparison(
    metric=Metric(name="passed", version="1"),
    verdict=Verdict.NOT_COMPARABLE,
    cases=20,
    units=20,
    baseline=0.95,
    candidate=0.5,
    change=-0.45,
    low=-0.65,
    high=-0.2,
    p=0.0001,
    smallest_seen=0.27,
)
MOVED = Drift(
    test_key="evals/test_triage.py::test_triage",
    model="openai:small",
    cases=20,
    lost=2,
    other_answers=11,
    metrics=(DriftedMetric(comparison=PASSED, p=0.0004, moved=True),),
)
CALM = replace(
    MOVED,
    lost=0,
    other_answers=3,
    metrics=(DriftedMetric(comparison=replace(PASSED, candidate=0.95), p=1.0, moved=False),),
)


def stop(kind, ran=20, planned=80, metrics=("passed",)):
    ids = [f"case-{number}" for number in range(planned)]
    return Stop(kind=kind, cases=frozenset(ids[:ran]), planned=frozenset(ids), level=0.00458, metrics=metrics)


def told(lines):
    """Return lines as one text, as it reads without line breaks."""
    return " ".join(line.text.strip() for line in lines)


def of_test(test, width=200, *, live=False):
    return list(circumstance_lines(test, Page(width=width), live=live))


@pytest.mark.parametrize(
    ("kind", "metrics", "why"),
    [
        ("breaker", ("passed",), "nearly every flip of passed was a loss"),
        ("regressed", ("passed", "next_step"), "passed, next_step regressed"),
        ("unharmed", (), "no drop was to be seen"),
    ],
)
def test_an_early_stop_says_when_and_why(triage, kind, metrics, why):
    (line,) = of_test(replace(triage, stop=stop(kind, metrics=metrics)))

    assert line.style == "yellow"
    assert line.text == (
        f"  stopped early after 20 of 80 cases, {why}; 60 others not run, or too late to count; "
        "p had to be 0.0046 or less"
    )


def test_one_case_that_did_not_run_is_one(triage):
    assert "; 1 other not run, or too late to count;" in told(
        of_test(replace(triage, stop=stop("breaker", ran=79)))
    )


@pytest.mark.parametrize("end", [None, stop("end", ran=80)])
def test_a_test_that_ran_to_its_end_needs_no_word(triage, end):
    assert of_test(replace(triage, stop=end)) == []


def test_the_words_for_a_skipped_case():
    assert stop_text(stop("unharmed", ran=1000, planned=4000)) == (
        "after 1,000 of 4,000 cases, no drop was to be seen"
    )
    assert stop_text(stop("end", ran=80)) == "after 80 of 80 cases, all cases ran"


def test_a_session_with_early_stops_says_how_the_risk_is_spent(comparison, tally):
    tests = (replace(comparison.tests[0], stop=stop("breaker")), *comparison.tests[1:])
    text = told(comparison_lines(replace(comparison, tests=tests), tally, width=160))

    assert (
        "An early stop was possible: the risk of 5 % is spent over the looks after 25, 50, 75 and 100 % of "
        "the cases and the watch after each case, each of 3 gated metrics a part of it, so the intervals are "
        "wider."
    ) in text
    assert "Holm's correction covers" not in text


def test_a_reused_baseline_says_so_with_the_cure(triage):
    (line,) = of_test(replace(triage, reused=120), width=300)

    assert line.style == "yellow"
    assert line.text == (
        "  the baseline is reused: 120 answers were there before it was stored, and chosen answers make a "
        "lucky baseline; --llmops-cache=refresh stores fresh ones"
    )
    assert of_test(replace(triage, reused=0)) == []


def test_a_control_from_the_cache_is_not_live(triage):
    (line,) = of_test(replace(triage, reused=1), width=300, live=True)

    assert line.text == (
        "  not live, from an earlier session: 1 answer of the control; --llmops-cache=refresh asks both "
        "sides today"
    )


def test_both_circumstances_stand_before_the_causes(comparison, tally):
    test = replace(comparison.tests[0], stop=stop("regressed"), reused=7)
    lines = [
        line.text.strip() for line in comparison_lines(replace(comparison, tests=(test,)), tally, width=160)
    ]
    places = [
        next(at for at, line in enumerate(lines) if line.startswith(start))
        for start in ("stopped early", "the baseline is reused", "prompt changed")
    ]
    assert places == sorted(places)


def test_a_moved_model_is_told_with_figures_and_cure():
    lines = list(drift_lines(MOVED, Page(width=200)))

    assert {line.style for line in lines} == {"red"}
    assert told(lines) == (
        "the model has moved, not the prompt alone: openai:small answers the baseline's own prompt otherwise "
        "than when it was stored (passed 95.0 % -> 50.0 %, p = 0.0004; 11 of 20 answers differ, 2 not "
        "measured) canary of evals/test_triage.py::test_triage: 20 stored cases asked again; store the "
        "baseline again before you blame a prompt"
    )


def test_an_unmoved_model_is_told_with_what_would_have_been_seen():
    lines = list(drift_lines(CALM, Page(width=300)))

    assert {line.style for line in lines} == {"plain"}
    assert told(lines) == (
        "canary of evals/test_triage.py::test_triage: 20 stored cases asked again, no score moved beyond "
        "chance; 3 of 20 answers differ; passed would show a move of 27.0 percentage points"
    )


@pytest.mark.parametrize("verdict", [Verdict.UNCHANGED, Verdict.TOO_FEW, Verdict.NOT_COMPARABLE])
def test_a_metric_that_was_not_tested_says_why(verdict):
    bare = MetricComparison(metric=PASSED.metric, verdict=verdict)
    drift = replace(CALM, metrics=(DriftedMetric(comparison=bare, p=None, moved=False),))

    assert told(drift_lines(drift, Page(width=300))).endswith(f"; passed: {verdict}")


def test_a_moved_model_comes_before_the_headline_and_a_calm_one_at_the_end(comparison, tally):
    other = replace(CALM, test_key="evals/test_summary.py::test_short")
    lines = [line.text for line in comparison_lines(comparison, tally, width=160, drifts=(other, MOVED))]
    headline = next(at for at, line in enumerate(lines) if line.startswith("llmops: "))

    assert lines[0].startswith("the model has moved, not the prompt alone")
    assert headline > 0
    assert not any("canary of evals/test_summary" in line for line in lines[:headline])
    calm = next(at for at, line in enumerate(lines) if line.startswith("canary of evals/test_summary"))
    assert calm > max(at for at, line in enumerate(lines) if "worst cases" in line)
    assert lines[calm - 1] == ""
    assert lines[-2] == ""


def test_without_a_moved_model_the_headline_comes_first(comparison, tally):
    for drifts in ((), (CALM,)):
        first = next(iter(comparison_lines(comparison, tally, width=160, drifts=drifts)))
        assert first.text.startswith("llmops: 1 regressed")


@pytest.mark.parametrize("width", [40, 80, 160])
def test_hostile_names_stay_text(comparison, tally, width):
    words = iter(hostile(600, seed=1000 + width))
    for _ in range(40):
        drifts = tuple(
            replace(
                drift,
                test_key=next(words),
                model=next(words),
                metrics=tuple(
                    replace(
                        each,
                        comparison=replace(each.comparison, metric=replace(PASSED.metric, name=next(words))),
                    )
                    for each in drift.metrics
                ),
            )
            for drift in (MOVED, CALM)
        )
        test = replace(
            comparison.tests[0], stop=stop("regressed", metrics=(next(words), next(words))), reused=3
        )
        for line in comparison_lines(replace(comparison, tests=(test,)), tally, width=width, drifts=drifts):
            assert not dangers(line.text), repr(line.text)
            assert "\n" not in line.text
            assert "\t" not in line.text


@pytest.mark.parametrize("width", [40, 57, 80, 160])
def test_no_line_is_too_wide(comparison, tally, width):
    test = replace(comparison.tests[0], stop=stop("breaker"), reused=120)
    lines = comparison_lines(replace(comparison, tests=(test,)), tally, width=width, drifts=(MOVED, CALM))

    assert max(len(line.text) for line in lines) <= width
