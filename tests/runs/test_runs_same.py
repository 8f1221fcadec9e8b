"""Hold that the same data give the same comparison, to the byte, and mirrored data the mirrored one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_built import as_text
from runs_mixed import Sides, printed, session, sides

from pytest_llmops.runs.comparison import Comparison, MetricComparison
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.stats.verdict import Verdict

HERE = Path(__file__).parent
SEEDS = st.integers(0, 10**6)
RANDOM = st.randoms(use_true_random=False)


def mapped(made: Sides, change: Callable[[CaseResult], CaseResult]) -> Sides:
    return Sides([change(each) for each in made.before], [change(each) for each in made.after])


def shuffled(made: Sides, rng: random.Random) -> Sides:
    return Sides(*(rng.sample(half, len(half)) for half in (made.before, made.after)))


def numbers(comparison: Comparison) -> list[MetricComparison]:
    """Return all that is known of metrics, without the names of cases."""
    return [replace(each, worse=()) for test in comparison.tests for each in (*test.metrics, *test.slices)]


@settings(deadline=None, max_examples=30)
@given(SEEDS, RANDOM)
def test_the_order_of_results_changes_no_byte(seed: int, rng: random.Random) -> None:
    made = sides(seed)
    assert as_text(session(shuffled(made, rng))) == as_text(session(made))


@settings(deadline=None, max_examples=30)
@given(SEEDS, RANDOM, st.booleans())
def test_names_of_cases_change_no_number(seed: int, rng: random.Random, in_order: bool) -> None:
    made = sides(seed)
    ids = sorted({each.case_id for each in made.before})
    ranks = list(range(len(ids))) if in_order else rng.sample(range(len(ids)), len(ids))
    names = {case_id: f"{rank:05} renamed" for case_id, rank in zip(ids, ranks, strict=True)}
    renamed = session(mapped(made, lambda each: replace(each, case_id=names[each.case_id])))
    plain = session(made)
    assert numbers(renamed) == numbers(plain)
    for one, other in zip(renamed.tests[0].metrics, plain.tests[0].metrics, strict=True):
        assert {each.case_id for each in one.worse} == {names[each.case_id] for each in other.worse}
        if in_order:
            assert [each.case_id for each in one.worse] == [names[each.case_id] for each in other.worse]


@settings(deadline=None, max_examples=20)
@given(SEEDS, RANDOM)
def test_names_of_clusters_change_no_number(seed: int, rng: random.Random) -> None:
    made = sides(seed)
    clusters = sorted({each.cluster for each in made.before if each.cluster is not None})
    names = dict(zip(clusters, rng.sample(clusters, len(clusters)), strict=True))

    def renamed(each: CaseResult) -> CaseResult:
        return replace(each, cluster=None if each.cluster is None else names[each.cluster])

    assert as_text(session(mapped(made, renamed))) == as_text(session(made))


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from(["new", "missing", "changed", "unmeasured"]))
def test_an_unpaired_case_changes_no_number(seed: int, kind: str) -> None:
    made = sides(seed, cases=40)
    number = 999
    extra = [
        replace(each, case_id=f"case-{number}", row_digest="row", cluster=None)
        for each in (made.before[0], made.after[0])
    ]
    added = {
        "new": ([], [extra[1]]),
        "missing": ([extra[0]], []),
        "changed": ([extra[0]], [replace(extra[1], row_digest="another")]),
        "unmeasured": ([extra[0]], [replace(extra[1], status="unmeasured", scores={}, detail="429")]),
    }[kind]
    more = session(Sides(made.before + added[0], made.after + added[1])).tests[0]
    plain = session(made).tests[0]
    assert (more.metrics, more.slices) == (plain.metrics, plain.slices)
    assert more.pairing.paired == plain.pairing.paired
    told: Mapping[str, Any] = {
        "new": more.pairing.new,
        "missing": more.pairing.missing,
        "changed": more.pairing.changed,
        "unmeasured": more.pairing.missing,
    }
    assert list(told[kind]) == ["case-999"]


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_swapping_the_arms_mirrors_the_verdicts(seed: int) -> None:
    made = sides(seed)
    there, back = numbers(session(made)), numbers(session(Sides(made.after, made.before)))
    for one, other in zip(there, back, strict=True):
        assert (one.metric, one.tag, one.cases, one.units) == (
            other.metric,
            other.tag,
            other.cases,
            other.units,
        )
        assert (one.baseline, one.candidate) == (other.candidate, other.baseline)
        if one.low is None or one.high is None or one.change is None:
            assert one.verdict is other.verdict is Verdict.TOO_FEW
            continue
        if one.metric.kind == "ratio":
            ends = [1 / (1 + (end or 0.0)) - 1 for end in (other.change, other.high, other.low)]
            assert [one.change, one.low, one.high] == pytest.approx(ends, rel=1e-9, abs=1e-12)
        else:
            assert (one.change, one.low, one.high) == (
                -(other.change or 0.0),
                -(other.high or 0.0),
                -(other.low or 0.0),
            )
        for seen, mirrored in ((one, other), (other, one)):
            assert mirrored.verdict in MIRRORED[seen.verdict]


DOWN = {Verdict.REGRESSED, Verdict.WITHIN_MARGIN, Verdict.INCONCLUSIVE}
UNCLEAR = {Verdict.NO_REGRESSION, Verdict.INCONCLUSIVE}
MIRRORED = {
    Verdict.REGRESSED: {Verdict.IMPROVED},
    Verdict.WITHIN_MARGIN: {Verdict.IMPROVED},
    Verdict.IMPROVED: DOWN,
    Verdict.NO_REGRESSION: UNCLEAR,
    # Not clear, or clear alone and not clear after the correction for all gated metrics.
    Verdict.INCONCLUSIVE: UNCLEAR | {Verdict.IMPROVED},
    Verdict.TOO_FEW: {Verdict.TOO_FEW},
}


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_verdict_interval_and_p_agree(seed: int) -> None:
    for each in numbers(session(sides(seed), sides(seed + 1))):
        if each.low is None or each.high is None or each.p is None or each.change is None:
            continue
        assert each.low <= 0 or each.high >= 0
        worse = each.high < 0 if each.metric.higher_is_better else each.low > 0
        assert (each.p <= 0.05) == worse
        if each.p_family is not None:
            assert each.p_family >= each.p
        if each.verdict is Verdict.REGRESSED:
            assert worse
            assert each.p_family is None or each.p_family <= 0.05
        assert each.suspect == (
            each.gated and each.verdict is Verdict.INCONCLUSIVE and each.p <= 0.05 < (each.p_family or 0.0)
        )


def test_a_test_has_its_numbers_whatever_tests_stand_beside_it() -> None:
    first, second = sides(3, cases=40), sides(4, cases=40)
    alone, beside = session(first).tests[0], session(first, second).tests[0]
    assert [
        replace(each, p_family=None, verdict=one.verdict, suspect=one.suspect, need=one.need)
        for each, one in zip(beside.metrics, alone.metrics, strict=True)
    ] == [replace(each, p_family=None) for each in alone.metrics]


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_no_process_compares_otherwise(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    for seed in (11, 17):
        done = subprocess.run(
            [sys.executable, str(HERE / "runs_mixed.py"), str(seed)],
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
        assert done.stdout == printed(seed)
        assert done.stderr == ""
