from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import product
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from statsmodels.stats.contingency_tables import mcnemar

from benchmarks.calibration.cells import Goal, Shown, false_alarms, power
from benchmarks.calibration.early import Session, ended
from benchmarks.calibration.exact import ALPHA, LABELS, Cell, Sheet, critical_losses, found
from benchmarks.calibration.goals_pass_fail import MARGIN, REGRESSED, VERDICTS
from benchmarks.calibration.naive import NAIVE, Tables
from benchmarks.calibration.outcome import Check, summary
from benchmarks.calibration.plan import AGAIN, CELLS, Plan, readings
from benchmarks.calibration.run import measured
from benchmarks.calibration.worlds import STARS, Clusters, Repeats, Scores
from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.sequential import LOOKS, e_value, nominal_levels, unharmed
from pytest_llmops.stats.verdict import decide
from pytest_llmops.stats.weigh import Sample, weigh

ROOT = Path(__file__).parents[2]


def test_the_rule_keeps_its_limits():
    # The command, for its processes load numpy with one thread each: several slow each other down.
    command = [sys.executable, "-m", "benchmarks.calibration", "--quick", "--seed=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout
    for part in ("pass/fail", *CELLS):
        assert f"\n  {part}: " in done.stdout


def test_every_kind_of_figure_is_held_against_a_limit():
    plan = Plan(sizes=(10,), draws=dict.fromkeys(CELLS, 5), every=11)
    checks = [check for part in measured(plan, seed=1, spread=map) for check in part.checks]
    assert {check.what for check in checks} == {
        "pass/fail: false alarms",
        "pass/fail: power",
        "pass/fail: misses of the interval",
        "pass/fail: misses before agreement",
        "pass/fail: coverage",
        "pass/fail: all clear at a drop of the margin",
        "pass/fail: distance from the verdict mix",
        "scores: false alarms",
        "scores: power",
        "intervals of scores: misses",
        "clusters: false alarms",
        "clusters: power",
        "repeats: false alarms",
        "repeats: power",
        "early stop: false alarms",
        "early stop: power",
        "early stop: share of cases run",
        "20 gated metrics: false alarms",
        "early stop of scores: false alarms",
    }


def test_the_goals_have_all_their_cells():
    assert len(REGRESSED) == 84
    assert len(VERDICTS) == 84
    sizes = {part: len(list(cells())) for part, cells in CELLS.items()}
    assert sizes == {
        "scores": 216,
        "intervals of scores": 180,
        "clusters": 36,
        "repeats": 180,
        "early stop": 48,
        "20 gated metrics": 3,
        "early stop of scores": 12,
    }


# What is worked out exactly.


@pytest.mark.parametrize("cases", [5, 12, 23])
def test_every_table_is_judged_as_the_plugin_judges_it(cases):
    sheet = Sheet(cases)
    for index, (losses, gains) in enumerate(zip(sheet.losses.tolist(), sheet.gains.tolist(), strict=True)):
        evidence = weigh(_suite(losses, gains, cases), alpha=ALPHA)
        verdict = decide(evidence, p_family=evidence.p_drop, margin=MARGIN, alpha=ALPHA)
        assert sheet.intervals[index].tolist() == [evidence.low, evidence.high]
        assert LABELS[sheet.verdicts[index]] is verdict
        assert sheet.drops[index] == (evidence.p_drop <= ALPHA)


def _suite(losses, gains, cases):
    before = [1.0] * losses + [0.0] * gains + [1.0] * (cases - losses - gains)
    after = [0.0] * losses + [1.0] * gains + [1.0] * (cases - losses - gains)
    return Sample(baseline=[[one] for one in before], candidate=[[one] for one in after], pass_fail=True)


def test_the_critical_losses_are_the_fewest_that_the_test_calls_a_drop():
    for flips, least in enumerate(critical_losses(30, ALPHA).tolist()):
        called = [
            losses
            for losses in range(flips + 1)
            if unconditional_p(losses=losses, gains=flips - losses, cases=30) <= ALPHA
        ]
        assert called == list(range(least, flips + 1))


@pytest.mark.parametrize("drop", [-0.05, 0.0, 0.1])
def test_a_cell_has_the_flips_of_suites_that_are_drawn(drop):
    rate, rho, draws = 0.8, 0.3, 400_000
    rng = np.random.default_rng(1)
    strength = (1 - rho) / rho
    hardness = rng.beta(rate * strength, (1 - rate) * strength, draws)
    before, after = rng.random((2, draws)) < hardness
    turned = rng.random(draws)
    after = after & (turned >= drop / rate) if drop > 0 else after | (turned < -drop / (1 - rate))
    flips = Cell(1, rate, rho, drop).flips
    drawn = [(before & ~after).mean(), (~before & after).mean(), (before & after).mean()]
    assert drawn == pytest.approx(flips, abs=0.004)
    assert flips.gains - flips.losses == pytest.approx(-drop)


def test_the_shares_of_all_verdicts_add_up_to_1():
    for item in found(20):
        assert sum(item.verdicts) == pytest.approx(1)


def test_a_naive_rule_fails_as_often_as_over_all_tables_of_four_fields():
    cases, flips = 9, Cell(9, 0.8, 0.3, 0.1).flips
    sheet = Sheet(cases)
    tables = Tables(sheet.losses, sheet.gains, cases, flips)
    chances = sheet.chances(flips)
    expected = dict.fromkeys(NAIVE, 0.0)
    for losses, gains, passes in product(range(cases + 1), repeat=3):
        fails = cases - losses - gains - passes
        if fails < 0:
            continue
        ways = factorial(cases) / np.prod([factorial(one) for one in (losses, gains, passes, fails)])
        both_fail = 1 - flips.losses - flips.gains - flips.passes
        chance = ways * flips.losses**losses * flips.gains**gains * flips.passes**passes * both_fail**fails
        for name, fails_it in _judged(losses, gains, passes, cases).items():
            expected[name] += chance * fails_it
    assert {name: (chances * rule(tables)).sum() for name, rule in NAIVE.items()} == pytest.approx(expected)


def _judged(losses, gains, passes, cases):
    before = np.repeat([1.0, 0.0], [losses + passes, cases - losses - passes])
    after = np.repeat([1.0, 0.0], [gains + passes, cases - gains - passes])
    error = np.sqrt((before.var(ddof=1) + after.var(ddof=1)) / cases)
    table = [[0, losses], [gains, 0]]
    dropped = losses > gains
    return {
        "McNemar's exact test, two-sided": dropped and mcnemar(table, exact=True).pvalue <= 0.05,
        "unpaired z test, two-sided": before.mean() - after.mean() > 1.959963984540054 * error,
        "fail if the mean drops at all": dropped,
        "fail if it drops by more than 5 points": before.sum() - after.sum() > 0.05 * cases,
        "fail if any case newly fails": losses > 0,
    }


# What is drawn.


WORLDS = [
    *(Scores(kind=kind, cases=40_000, correlation=0.3, drop=0.0) for kind in (*STARS, "0 to 1")),
    Clusters(clusters=8_000, shared=0.3, drop=0.0),
    Repeats(before=3, after=1, cases=40_000, rate=0.8, correlation=0.3, drop=0.0, unlike=0.0),
    Repeats(before=5, after=5, cases=40_000, rate=0.8, correlation=0.3, drop=0.0, unlike=0.8),
]


@pytest.mark.parametrize("drop", [0.0, 0.1])
@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_a_world_has_the_drop_that_it_says(world, drop):
    sample = replace(world, drop=drop).sample(np.random.default_rng(1))
    change = np.mean(sample.candidate) - np.mean(sample.baseline)
    assert change / sample.span == pytest.approx(-drop, abs=0.012)


@pytest.mark.parametrize("kind", STARS)
def test_stars_are_given_as_often_as_said(kind):
    before, after = Scores(kind=kind, cases=20_000, correlation=0.0, drop=0.0).answers(
        np.random.default_rng(1)
    )
    counts = [[np.sum(side == star) for star in range(1, 6)] for side in (before, after)]
    expected = np.array(STARS[kind]) * 20_000
    assert chi2_contingency([*counts, expected.astype(int)]).pvalue > 1e-4


@pytest.mark.parametrize(("cases", "drop"), [(40, 0.0), (40, 0.4), (50, 0.1)])
def test_sessions_stop_where_a_plain_loop_over_their_cases_does(cases, drop):
    session, draws = Session(cases, 0.8, drop, (1.0, 1.0, 1.0)), 150
    values = session.read(np.random.default_rng(1), draws)
    flips, levels = session.truth.flips, nominal_levels(ALPHA)
    ends = []
    for dice in np.random.default_rng(1).random((draws, cases)).tolist():
        ends.append(_end([-1 if one < flips.losses else one >= 1 - flips.gains for one in dice], levels))
    assert values["red"] == pytest.approx(np.mean([red for red, _ in ends]))
    assert values["used"] == pytest.approx(np.mean([used / cases for _, used in ends]))


def _end(flips, levels):
    """Return whether a session ends red, and after how many cases."""
    looks = {math.ceil(share * len(flips)): number for number, share in enumerate(LOOKS)}
    for count in range(1, len(flips) + 1):
        losses, gains = flips[:count].count(-1), flips[:count].count(True)
        if e_value(losses, gains) >= 200:
            return True, count
        if count in looks:
            p = unconditional_p(losses=losses, gains=gains, cases=count)
            if p <= levels[looks[count]]:
                return True, count
            if unharmed(LOOKS[looks[count]], p):
                return False, count
    return False, len(flips)


@pytest.mark.parametrize(
    ("flips", "red", "used"),
    [
        ("-" * 40, True, 11),  # the breaker: e is 186 after 10 losses, 341 after 11
        ("." * 20 + "-" * 20, False, 20),  # green half way, though the breaker would have been next
        ("-." * 8 + "." * 24, True, 20),
        ("-." * 5 + "." * 30, True, 30),
        ("-.-.-" + "." * 35, False, 40),
    ],
)
def test_a_session_ends_at_the_first_reason_to_end(flips, red, used):
    losses, gains = (np.cumsum([[one == sign for one in flips]], axis=1) for sign in "-+")
    ends = ended(losses, gains)
    assert (ends.red.tolist(), ends.cases.tolist()) == ([red], [used])


class Loaded:
    """A cell of which a given share is red in the first round, and another in the second."""

    part, name, weight = "loaded", "loaded", 1.0

    def __init__(self, first, second, draws):
        self.shares = {draws: first, AGAIN * draws: second}

    def read(self, rng, draws):
        return {"red": self.shares[draws]}

    def checks(self, values, draws):
        yield false_alarms(self.part, self.name, values["red"], draws)

    def shown(self, values):
        yield Shown("row", "column", values["red"], ALPHA)


def test_a_cell_that_breaks_its_limit_is_drawn_again_and_the_second_figure_counts():
    cells = [Loaded(0.05, 1.0, 100), Loaded(0.2, 0.05, 100), Loaded(0.2, 0.2, 100)]
    fine, unlucky, wrong = readings(cells, 100, (1,), map)
    assert (fine.draws, fine.first, fine.broken) == (100, (), ())
    assert (unlucky.draws, len(unlucky.first), unlucky.broken) == (400, 1, ())
    assert (wrong.draws, len(wrong.first), len(wrong.broken)) == (400, 1, 1)


def test_a_test_that_is_wrong_breaks_the_limit():
    # Five points more than are allowed, and ten points less power than was reached.
    assert not false_alarms("part", "cell", 0.10, 500).kept
    assert not power("part", "cell", 0.40, 500, Goal(share=0.50, draws=5_000)).kept
    assert power("part", "cell", 0.46, 500, Goal(share=0.50, draws=5_000)).kept
    assert not power("part", "cell", 0.40, 500, Goal(share=0.50, draws=5_000)).passes


def test_a_goal_may_have_been_a_little_lucky():
    check = power("part", "cell", 0.44, 500, Goal(share=0.50, draws=5_000))
    assert (check.kept, check.passes) == (False, True)


def test_the_same_seed_gives_the_same_draws_and_each_cell_has_its_own():
    cell = Session(40, 0.8, 0.1, (0.3, 0.3, 0.8))
    one, same = (readings([cell], 100, (1,), map)[0].values for _ in range(2))
    assert one == same
    twice = readings([cell, cell], 100, (1,), map)
    assert twice[0].values == one
    assert twice[1].values != one


def test_the_summary_names_every_broken_limit():
    kept = Check(what="misses", cell="first", value=0.04, limit=0.05)
    broken = Check(what="misses", cell="second", value=0.06, limit=0.05)
    apart = Check(what="misses", cell="third", value=0.07, limit=0.05, known="known why")
    assert [check.passes for check in (kept, broken, apart)] == [True, False, True]
    assert summary([kept, broken, apart]) == [
        "  misses: BROKEN in 1 (3 cells; closest 0.06000 <= 0.05000 at second)",
        "    broken: 0.06000 <= 0.05000 at second",
        "    apart: 0.07000 <= 0.05000 at third; known why",
    ]
