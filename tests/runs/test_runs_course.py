"""Hold the early stop against a plain reading of its rules, whoever runs the cases and in whatever order."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runs_built import ERRORS, GRADE, PASSED, SECONDS, answers, as_text, compared, result, run
from scipy.special import betainc, betaln

from pytest_llmops.runs.comparison import Stop
from pytest_llmops.runs.course import Course, Watch, running_order
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.sequential import nominal_levels
from pytest_llmops.stats.verdict import Evidence, Verdict
from pytest_llmops.stats.weigh import Sample, weigh

SEEDS = st.integers(0, 10**6)
MEASURED = ("measured", "bad_answer")


@dataclass(frozen=True, kw_only=True)
class World:
    """Be a course with the results of all its cases on both sides."""

    course: Course
    before: list[CaseResult]
    after: list[CaseResult]

    def stored(self, case_id: str) -> list[CaseResult]:
        return [each for each in self.before if each.case_id == case_id]


def world(seed: int, *, live: bool = False) -> World:
    """Return a made-up test: any size, repeats, clusters, metrics, lost and unusable answers."""
    rng = random.Random(seed)
    metrics = tuple(rng.sample([PASSED, GRADE, ERRORS], rng.choice([1, 1, 1, 2, 3])))
    cases, repeats = rng.choice([3, 8, 24, 60, 90]), rng.choice([1, 1, 2])
    stored = repeats if live else rng.choice([1, repeats, 3])
    drop = {metric.name: rng.choice([-0.1, 0.0, 0.0, 0.2, 0.5, 0.9]) for metric in metrics}
    faults, size = rng.choice([0.0, 0.0, 0.1]), rng.choice([1, 1, 1, 3])
    sides: list[list[CaseResult]] = [[], []]
    for side, runs in enumerate((stored, repeats)):
        for number in range(cases):
            for repeat in range(1, runs + 1):
                scores = {m.name: drawn(rng, m, 0.9 - side * max(0.0, drop[m.name])) for m in metrics}
                status = rng.choices(["measured", "bad_answer", "unmeasured"], [1, faults, faults])[0]
                sides[side].append(
                    result(
                        number,
                        scores if status == "measured" else {},
                        asked=str(side),
                        repeat=repeat,
                        status=status,
                        cluster=f"talk-{number // size}" if size > 1 else None,
                    )
                )
    units = [
        tuple(f"case-{number:03}" for number in range(first, min(first + size, cases)))
        for first in range(0, cases, size)
    ]
    course = Course(
        units=tuple(rng.sample(units, len(units))),
        repeats=repeats,
        metrics=metrics,
        margins={"": rng.choice([0.05, 0.05, 0.2])},
        alpha=0.05 / rng.choice([1, 3]),
        strict=rng.random() < 0.3,
        every_miss_counts=rng.random() < 0.2,
    )
    return World(course=course, before=sides[0], after=sides[1])


def drawn(rng: random.Random, metric: Metric, good: float) -> float:
    if metric is PASSED:
        return float(rng.random() < good)
    best, worst = (5.0, 1.0) if metric is GRADE else (0.0, 10.0)
    return worst + (best - worst) * (1.0 if rng.random() < good else rng.choice([0.0, 0.25, 0.5]))


def watched(made: World, after: Sequence[CaseResult] | None = None, *, live: bool = False) -> Watch:
    watch = Watch(made.course)
    for each in made.after if after is None else after:
        stored = made.stored(each.case_id)
        watch.take(each, [old for old in stored if not live or old.repeat == each.repeat])
    return watch


def ruled(made: World) -> Stop:
    """Return when the test ends, read case by case from the rules; an implementation of its own."""
    course = made.course
    levels = nominal_levels(course.alpha)
    looks = {math.ceil(share * len(course.units)): place for place, share in enumerate((0.25, 0.5, 0.75, 1))}
    flips = {metric.name: (0, 0) for metric in course.metrics}

    def ended(kind: str, level: float, units: int, metrics: Sequence[str] = ()) -> Stop:
        return Stop(
            kind=kind,  # type: ignore[arg-type]
            cases=frozenset(case for ids in course.units[:units] for case in ids),
            planned=frozenset(case for ids in course.units for case in ids),
            level=level,
            metrics=tuple(metrics),
        )

    for done in range(1, len(course.units) + 1):
        broken = []
        for metric in course.metrics:
            changes = [change for _, change in changes_of(made, metric, course.units[done - 1])]
            total, (losses, gains) = sum(changes), flips[metric.name]
            flips[metric.name] = (losses + (total < 0), gains + (total > 0))
            if mixture(*flips[metric.name]) >= 1 / (0.1 * course.alpha):
                broken.append(metric)
        seen = course.units[:done]
        red = [m.name for m in broken if verdict(made, m, seen, 0.1 * course.alpha) is Verdict.REGRESSED]
        if red:
            return ended("breaker", 0.1 * course.alpha, done, red)
        if done not in looks:
            continue
        level, place = levels[looks[done]], looks[done]
        if place == 3:
            return ended("end", level, done)
        if done < 5:
            continue
        red = [m.name for m in course.metrics if verdict(made, m, seen, level) is Verdict.REGRESSED]
        if red:
            return ended("regressed", level, done, red)
        quiet = all(calm(made, metric, seen, level, (2.0, 0.5, 0.3)[place]) for metric in course.metrics)
        if quiet and not course.every_miss_counts:
            return ended("unharmed", level, done)
    raise AssertionError("the last look ends every test")


def mixture(losses: int, gains: int) -> float:
    """Return the integral of (2q)^losses (2 - 2q)^gains over loss shares q, evenly spread on (1/2, 1)."""
    upper = 1 - betainc(losses + 1, gains + 1, 0.5)
    return math.exp((losses + gains + 1) * math.log(2) + betaln(losses + 1, gains + 1)) * upper


def values_of(results: Sequence[CaseResult], metric: Metric) -> list[float]:
    found = []
    for each in results:
        if each.status == "bad_answer":
            found.append({"passed": 0.0, "grade": 1.0, "errors": 10.0}[metric.name])
        elif each.status == "measured":
            found.append(each.scores[metric.name].value)
    return [value if metric.higher_is_better else -value for value in found if value is not None]


def changes_of(
    made: World, metric: Metric, ids: Sequence[str]
) -> list[tuple[tuple[list[float], list[float], str], float]]:
    found = []
    for case_id in ids:
        old, new = (
            values_of([each for each in side if each.case_id == case_id], metric)
            for side in (made.before, made.after)
        )
        if old and new:
            unit = next(str(number) for number, each in enumerate(made.course.units) if case_id in each)
            found.append(((old, new, unit), math.fsum(new) / len(new) - math.fsum(old) / len(old)))
    return found


def evidence(made: World, metric: Metric, units: Sequence[Sequence[str]], level: float) -> Evidence | None:
    rows = [row for row, _ in changes_of(made, metric, [case_id for ids in units for case_id in ids])]
    if not rows:
        return None
    sample = Sample(
        baseline=[row[0] for row in rows],
        candidate=[row[1] for row in rows],
        clusters=[row[2] for row in rows] if len(made.course.units) < len({*ids_of(made)}) else None,
        span={"passed": 1.0, "grade": 4.0, "errors": 10.0}[metric.name],
        pass_fail=metric is PASSED,
    )
    return weigh(sample, alpha=level)


def ids_of(made: World) -> list[str]:
    return [case_id for ids in made.course.units for case_id in ids]


def verdict(made: World, metric: Metric, units: Sequence[Sequence[str]], level: float) -> Verdict | None:
    found = evidence(made, metric, units, level)
    if found is None:
        return None
    margin = made.course.margins[""] * {"passed": 1.0, "grade": 4.0, "errors": 10.0}[metric.name]
    if found.units < 5:
        return Verdict.TOO_FEW
    if found.p_drop <= level and found.low < -margin:
        return Verdict.REGRESSED
    if found.low > 0 or found.low >= -margin:
        return Verdict.NO_REGRESSION
    return Verdict.INCONCLUSIVE


def calm(made: World, metric: Metric, units: Sequence[Sequence[str]], level: float, least: float) -> bool:
    found = evidence(made, metric, units, level)
    if found is None or found.p_drop < least:
        return False
    return not made.course.strict or verdict(made, metric, units, level) is not Verdict.INCONCLUSIVE


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_the_test_ends_where_the_rules_say(seed: int) -> None:
    made = world(seed)
    assert watched(made).stop == ruled(made)


def test_every_way_to_end_is_among_the_made_up_tests() -> None:
    kinds = [stop.kind for seed in range(40) if (stop := watched(world(seed)).stop)]
    assert all(kinds.count(kind) >= 3 for kind in ("breaker", "regressed", "unharmed", "end"))


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.randoms(use_true_random=False), st.booleans())
@example(11, random.Random(11), True)
def test_the_order_in_which_results_come_changes_nothing(
    seed: int, shuffler: random.Random, live: bool
) -> None:
    made = world(seed, live=live)
    shuffled = shuffler.sample(made.after, len(made.after))
    assert watched(made, shuffled, live=live).stop == watched(made).stop


@settings(deadline=None, max_examples=12)
@given(SEEDS, st.integers(2, 4), st.randoms(use_true_random=False))
def test_no_interleaving_of_processes_changes_the_outcome(
    seed: int, processes: int, chance: random.Random
) -> None:
    made = world(seed)
    place = {case_id: at for at, case_id in enumerate(ids_of(made))}
    queue = sorted(made.after, key=lambda each: (place[each.case_id], each.repeat))
    watches, read = [Watch(made.course) for _ in range(processes)], [0] * processes
    waiting = [queue[number::processes] for number in range(processes)]
    posted: list[CaseResult] = []
    while any(waiting):
        number = chance.choice([at for at, rest in enumerate(waiting) if rest])
        each = waiting[number].pop(0)
        watch = watches[number]
        for shown in posted[read[number] :]:
            watch.take(shown, made.stored(shown.case_id))
        read[number] = len(posted)
        if watch.stop is None or each.case_id in watch.stop.cases:
            posted.append(each)
    judge = watched(made, sorted(posted, key=lambda each: (each.case_id, each.repeat)))
    assert judge.finish() == ruled(made)
    assert {watch.stop for watch in watches} <= {None, ruled(made)}


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_no_more_cases_count_than_it_took(seed: int) -> None:
    made = world(seed)
    stop = watched(made).stop
    assert stop is not None
    inside = [each for each in made.after if each.case_id in stop.cases]
    assert watched(made, inside).stop == stop
    last = made.course.units[sum(set(ids) <= stop.cases for ids in made.course.units) - 1]
    assert watched(made, [each for each in inside if each.case_id not in last]).stop is None


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_only_the_metrics_that_stopped_it_are_called_regressed(seed: int) -> None:
    made = world(seed)
    stop = ruled(made)
    units = [ids for ids in made.course.units if set(ids) <= stop.cases]
    expected = stop.metrics
    if stop.kind == "end":
        expected = tuple(
            metric.name
            for metric in made.course.metrics
            if verdict(made, metric, units, stop.level) is Verdict.REGRESSED
        )
    comparison = compared(
        run(made.before, *made.course.metrics),
        run(made.after, *made.course.metrics),
        stop=stop,
        margins=made.course.margins,
        alpha=0.05,
    )
    (test,) = comparison.tests
    red = {each.metric.name for each in test.metrics if each.verdict is Verdict.REGRESSED}
    assert red == set(expected)
    assert set(test.pairing.not_run) == stop.planned - stop.cases
    assert set(test.pairing.paired) <= stop.cases
    assert {each.p_family for each in test.metrics} == {None}


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_answers_beyond_the_end_change_no_comparison(seed: int) -> None:
    made = world(seed)
    stop = ruled(made)
    metrics = made.course.metrics
    inside = [each for each in made.after if each.case_id in stop.cases]
    full, cut = (
        compared(run(made.before, *metrics), run(after, *metrics), stop=stop, margins=made.course.margins)
        for after in (made.after, inside)
    )
    lost = sum(each.status == "unmeasured" for each in made.after if each not in inside)
    tests = [replace(test, unmeasured=test.unmeasured - lost) for test in full.tests]
    assert as_text(replace(full, tests=tuple(tests))) == as_text(cut)


def breaking(cases: int = 40) -> World:
    """Return a test in which one metric breaks at once, and another is clearly lower too."""
    names = ("passed", "grade")
    before = [result(n, {"passed": 1.0, "grade": 5.0}, asked="old") for n in range(cases)]
    after = [
        result(n, {"passed": 0.0, "grade": 5.0 if n in (0, 1) else 2.0}, asked="new") for n in range(cases)
    ]
    course = Course(
        units=tuple((each.case_id,) for each in before),
        repeats=1,
        metrics=(PASSED, GRADE),
        margins={},
        alpha=0.05 / len(names),
        strict=False,
    )
    return World(course=course, before=before, after=after)


def test_the_breaker_of_one_metric_makes_no_other_one_red() -> None:
    made = breaking()
    stop = watched(made).stop
    assert stop is not None
    assert (stop.kind, stop.metrics) == ("breaker", ("passed",))
    passed, grade = (
        compared(run(made.before, PASSED, GRADE), run(made.after, PASSED, GRADE), stop=stop).tests[0].metrics
    )
    assert passed.verdict is Verdict.REGRESSED
    assert grade.p is not None
    assert grade.verdict is Verdict.INCONCLUSIVE


def test_a_metric_that_would_be_red_waits_for_its_own_look() -> None:
    made = breaking()
    stop = Stop(
        kind="breaker",
        cases=frozenset(f"case-{n:03}" for n in range(12)),
        planned=frozenset(ids_of(made)),
        level=0.005,
        metrics=("passed",),
    )
    grade = (
        compared(run(made.before, PASSED, GRADE), run(made.after, PASSED, GRADE), stop=stop)
        .tests[0]
        .metrics[1]
    )
    assert grade.p is not None
    assert grade.p <= stop.level
    assert grade.verdict is Verdict.INCONCLUSIVE
    assert grade.reason == "the test stopped early because of passed, before this was decided"


def test_a_breaker_within_the_margin_does_not_break() -> None:
    before, after = answers([5.0] * 80, "old", GRADE), answers([4.95] * 80, "new", GRADE)
    course = Course(
        units=tuple((each.case_id,) for each in before),
        repeats=1,
        metrics=(GRADE,),
        margins={},
        alpha=0.05,
        strict=False,
    )
    stop = watched(World(course=course, before=before, after=after)).stop
    assert stop is not None
    assert stop.kind == "end"


def test_a_case_that_never_came_keeps_the_test_going_to_its_end() -> None:
    made = breaking()
    lost = [each for each in made.after if each.case_id != "case-003"]
    watch = watched(made, lost)
    assert watch.stop is None
    stop = watch.finish()
    assert (stop.kind, stop.metrics) == ("end", ())
    assert stop.cases == stop.planned == frozenset(ids_of(made))
    assert stop.level == nominal_levels(made.course.alpha)[3]
    assert watch.finish() is stop


def test_a_repeat_that_never_came_counts_as_lost_too() -> None:
    before, after = answers([[1.0, 1.0]] * 20, "old"), answers([[0.0, 0.0]] * 20, "new")
    units = tuple((f"case-{number:03}",) for number in range(20))
    course = Course(units=units, repeats=2, metrics=(PASSED,), margins={}, alpha=0.05, strict=False)
    made = World(course=course, before=before, after=after[:1] + after[2:])
    assert watched(made).stop is None
    assert watched(replace(made, after=after)).stop is not None


def test_provider_faults_on_the_way_are_passed_over() -> None:
    made = breaking()
    hurt = [
        replace(each, status="unmeasured", scores={}) if number % 3 == 0 else each
        for number, each in enumerate(made.after)
    ]
    stop = watched(made, hurt).stop
    assert stop is not None
    assert stop.kind == "breaker"
    whole = watched(made).stop
    assert whole is not None
    assert len(stop.cases) > len(whole.cases)


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("units", [1, 2, 3, 4, 5, 7, 100])
def test_looks_are_after_quarters_at_the_levels_of_the_shared_risk(parts: int, units: int) -> None:
    course = Course(
        units=tuple((f"case-{number}",) for number in range(units)),
        repeats=1,
        metrics=(PASSED,),
        margins={},
        alpha=0.05 / parts,
        strict=False,
    )
    levels = nominal_levels(0.05 / parts)
    expected = {}
    for quarter in (1, 2, 3, 4):
        # Of looks that fall together the last one holds: no case may be left when all have run.
        expected[-(-units * quarter // 4)] = (quarter / 4, levels[quarter - 1])
    assert course.levels == expected
    assert course.breaker_level == pytest.approx(0.005 / parts)
    for done in range(units):
        assert course.next_look(done) == min(look for look in expected if look > done)
    assert course.next_look(units) == units


def test_a_course_travels_as_json() -> None:
    for seed in range(10):
        course = world(seed).course
        assert Course.from_json(json.loads(json.dumps(course.to_json()))) == course
    timed = replace(course, metrics=(SECONDS,))
    assert Course.from_json(json.loads(json.dumps(timed.to_json()))) == timed


@settings(deadline=None)
@given(st.sets(st.text(), min_size=1), st.randoms(use_true_random=False))
def test_the_running_order_is_that_of_the_test_and_its_units(
    units: set[str], shuffler: random.Random
) -> None:
    order = running_order("test_x.py::test_x", units)
    assert sorted(order.values()) == list(range(len(units)))
    shuffled = shuffler.sample(sorted(units), len(units))
    assert running_order("test_x.py::test_x", shuffled) == order


def test_the_running_order_is_no_order_of_names() -> None:
    units = [f"case {number:04}" for number in range(1000)]
    orders: list[Mapping[str, int]] = [running_order(key, units) for key in ("a", "b")]
    places = [[order[unit] for unit in units] for order in orders]
    assert places[0] != places[1]
    for each in places:
        ahead = sum(first < second for first, second in pairwise(each))
        assert 430 < ahead < 570


def stopped_after(count: int, cases: int) -> Stop:
    ids = [f"case-{number:03}" for number in range(cases)]
    return Stop(kind="unharmed", cases=frozenset(ids[:count]), planned=frozenset(ids), level=0.0046)


def test_cases_beside_the_course_keep_their_place_in_the_pairing() -> None:
    before = answers([1.0] * 45, "old")
    after = answers([1.0] * 44, "new")
    # Rows 40 to 43 were edited, row 44 was removed, and two rows are new: none of them is on the course.
    after[40:] = [replace(each, row_digest="edited") for each in after[40:]]
    after += [result(number, {"passed": 1.0}, asked="new") for number in (90, 91)]
    (test,) = compared(run(before, PASSED), run(after, PASSED), stop=stopped_after(20, 40)).tests
    assert test.pairing.paired == tuple(f"case-{number:03}" for number in range(20))
    assert test.pairing.changed == tuple(f"case-{number:03}" for number in range(40, 44))
    assert test.pairing.new == ("case-090", "case-091")
    assert test.pairing.missing == {"case-044": "not in this run"}
    assert test.pairing.not_run == tuple(f"case-{number:03}" for number in range(20, 40))


def test_unpaired_cases_are_counted_against_all_cases_of_the_baseline() -> None:
    before, after = answers([1.0] * 1000, "old"), answers([1.0] * 940, "new")
    runs = run(before, PASSED), run(after, PASSED)
    stop = stopped_after(470, 940)
    (test,) = compared(*runs, stop=stop).tests
    # 60 of 1,000 are missing; of those that ran they would be more than a tenth.
    assert test.metrics[0].verdict is Verdict.NO_REGRESSION
    (test,) = compared(run(answers([1.0] * 1050, "old"), PASSED), runs[1], stop=stop).tests
    assert test.metrics[0].verdict is Verdict.INCONCLUSIVE


def test_where_every_miss_counts_no_case_is_left_out_for_lack_of_a_drop() -> None:
    calm_ends = 0
    for seed in range(30):
        made = world(seed)
        careful = replace(made, course=replace(made.course, every_miss_counts=True))
        stop = watched(careful).stop
        assert stop == ruled(careful)
        assert stop.kind != "unharmed"
        calm_ends += (
            ruled(replace(made, course=replace(made.course, every_miss_counts=False))).kind == "unharmed"
        )
    assert calm_ends >= 3
