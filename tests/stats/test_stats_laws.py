"""Hold the laws that the evidence obeys, whatever the data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llmops.stats.verdict import Verdict, decide
from pytest_llmops.stats.weigh import Sample, weigh

ALPHAS = (0.1, 0.05, 0.025, 0.01, 0.001)
DROPS = {Verdict.REGRESSED, Verdict.WITHIN_MARGIN}
OPEN = {Verdict.NO_REGRESSION, Verdict.INCONCLUSIVE}

# Sixty-fourths add up without rounding, in any order.
BOUNDED = st.integers(0, 64).map(lambda step: step / 64)
ORDINAL = st.integers(1, 5).map(float)
PASSES = st.sampled_from([0.0, 1.0])
ALONE = st.none()
SOME = st.sampled_from([None, None, *"abc"])
ALL = st.sampled_from("abcdef")


@dataclass(frozen=True)
class Kind:
    """Be a kind of data: its scores, answers a case on either side, and how many cases share a cluster."""

    scores: st.SearchStrategy[float]
    repeats: tuple[int, int] = (1, 1)
    names: st.SearchStrategy[str | None] = ALONE
    span: float = 1.0
    pass_fail: bool = False


KINDS = {
    "pass/fail": Kind(PASSES, pass_fail=True),
    "pass/fail 5/1": Kind(PASSES, (5, 1), pass_fail=True),
    "pass/fail 3/3": Kind(PASSES, (3, 3), pass_fail=True),
    "pass/fail clusters": Kind(PASSES, names=SOME, pass_fail=True),
    "ordinal": Kind(ORDINAL, span=4.0),
    "ordinal 2/3 clusters": Kind(ORDINAL, (2, 3), names=ALL, span=4.0),
    "bounded": Kind(BOUNDED),
    "bounded 4/1": Kind(BOUNDED, (4, 1)),
    "bounded 2/2": Kind(BOUNDED, (2, 2)),
    "bounded clusters": Kind(BOUNDED, names=ALL),
    "bounded 2/2 clusters": Kind(BOUNDED, (2, 2), names=SOME),
    "log ratio": Kind(st.integers(-192, 192).map(lambda step: step / 64)),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@st.composite
def drawn(draw, kind, max_size=16):
    before, after = kind.repeats
    row = st.tuples(
        st.lists(kind.scores, min_size=before, max_size=before),
        st.lists(kind.scores, min_size=after, max_size=after),
        kind.names,
    )
    # Most suites change few of their cases.
    tied = st.tuples(kind.scores, kind.names).map(
        lambda case: ([case[0]] * before, [case[0]] * after, case[1])
    )
    rows = draw(st.lists(st.one_of(row, row, tied), min_size=1, max_size=max_size))
    names = [row[2] for row in rows]
    return Sample(
        baseline=[row[0] for row in rows],
        candidate=[row[1] for row in rows],
        clusters=names if any(names) else None,
        span=kind.span,
        pass_fail=kind.pass_fail,
    )


def lowered(sample, share):
    """Return the sample with the worst score in place of the first answers of the candidate."""
    lost = round(share * len(sample.candidate))
    worst = min(min(map(min, sample.baseline)), min(map(min, sample.candidate)))
    candidate = [
        [worst] * len(scores) if index < lost else scores for index, scores in enumerate(sample.candidate)
    ]
    return replace(sample, candidate=candidate)


def turned(sample):
    return replace(sample, baseline=sample.candidate, candidate=sample.baseline)


def verdict(evidence, margin, alpha):
    return decide(evidence, p_family=evidence.p_drop, margin=margin, alpha=alpha)


def numbers(evidence):
    return (evidence.change, evidence.low, evidence.high, evidence.sd)


@every_kind
@given(data=st.data(), share=st.sampled_from([0.0, 0.5, 1.0]), margin=st.sampled_from([0.01, 0.2]))
@settings(max_examples=30, deadline=None)
def test_exchanging_the_sides_exchanges_the_verdict(kind, data, share, margin):
    sample = lowered(data.draw(drawn(kind)), share)
    found, mirrored = weigh(sample), weigh(turned(sample))
    assert (mirrored.cases, mirrored.units) == (found.cases, found.units)
    assert (mirrored.p_drop, mirrored.p_rise) == (found.p_rise, found.p_drop)
    expected = (-found.change, -found.high, -found.low, found.sd)
    assert numbers(mirrored) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    one, other = (verdict(evidence, margin * kind.span, 0.05) for evidence in (found, mirrored))
    assert (one is Verdict.TOO_FEW) == (other is Verdict.TOO_FEW)
    assert (one in DROPS) == (other is Verdict.IMPROVED)
    assert (one is Verdict.IMPROVED) == (other in DROPS)
    assert (one in OPEN) == (other in OPEN)


@every_kind
@given(data=st.data(), random=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_neither_the_order_of_cases_nor_the_names_of_clusters_matter(kind, data, random):
    sample = data.draw(drawn(kind))
    order = list(range(len(sample.baseline)))
    random.shuffle(order)
    old = sorted(set(sample.clusters or ()) - {None})
    new = [f"new {number}" for number in random.sample(range(1_000), len(old))]
    names = dict(zip(old, new, strict=True))
    shuffled = replace(
        sample,
        baseline=[sample.baseline[index] for index in order],
        candidate=[sample.candidate[index] for index in order],
        clusters=sample.clusters and [names.get(sample.clusters[index]) for index in order],
    )
    assert weigh(shuffled) == weigh(sample)


@every_kind
@given(data=st.data(), random=st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_runs_does_not_matter(kind, data, random):
    sample = data.draw(drawn(kind))

    def shuffled(side):
        order = list(range(len(side[0])))
        random.shuffle(order)
        return [[scores[run] for run in order] for scores in side]

    found = weigh(replace(sample, baseline=shuffled(sample.baseline), candidate=shuffled(sample.candidate)))
    assert found == weigh(sample)


@every_kind
@given(data=st.data(), step=st.integers(-300, 300))
@settings(max_examples=20, deadline=None)
def test_raising_both_sides_alike_changes_nothing(kind, data, step):
    sample = data.draw(drawn(kind))
    baseline, candidate = (
        [[score + step / 64 for score in scores] for scores in side]
        for side in (sample.baseline, sample.candidate)
    )
    found, raised = weigh(sample), weigh(replace(sample, baseline=baseline, candidate=candidate))
    assert (raised.p_drop, raised.p_rise) == (found.p_drop, found.p_rise)
    assert numbers(raised) == pytest.approx(numbers(found), abs=1e-9)


@every_kind
@given(data=st.data(), share=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=25, deadline=None)
def test_interval_and_p_values_agree_at_every_risk(kind, data, share):
    sample = lowered(data.draw(drawn(kind)), share)
    wider = None
    for alpha in ALPHAS:
        found = weigh(sample, alpha=alpha)
        assert (found.low > 0) == (found.p_rise <= alpha)
        assert (found.high < 0) == (found.p_drop <= alpha)
        assert found.low <= found.change <= found.high
        assert 0 < found.p_drop <= 1
        assert 0 < found.p_rise <= 1
        # What is no drop and no rise by chance cannot be missing on both sides.
        assert found.p_drop + found.p_rise >= 1 - 1e-12
        assert all(map(math.isfinite, numbers(found)))
        if wider is not None:
            assert (found.p_drop, found.p_rise, found.sd) == (wider.p_drop, wider.p_rise, wider.sd)
            assert found.low <= wider.low
            assert found.high >= wider.high
        wider = found


@every_kind
@given(data=st.data(), share=st.sampled_from([0.3, 0.6, 1.0]))
@settings(max_examples=20, deadline=None)
def test_lost_answers_never_raise_the_change(kind, data, share):
    sample = data.draw(drawn(kind))
    assert weigh(lowered(sample, share)).change <= weigh(sample).change + 1e-12


@every_kind
@given(data=st.data(), bad=st.sampled_from([math.nan, math.inf, -math.inf, 1e300]))
@settings(max_examples=10, deadline=None)
def test_a_score_that_is_no_number_is_named_and_never_weighed(kind, data, bad):
    sample = data.draw(drawn(kind))
    side = data.draw(st.sampled_from(["baseline", "candidate"]))
    scores = [list(answers) for answers in getattr(sample, side)]
    index = data.draw(st.integers(0, len(scores) - 1))
    scores[index][data.draw(st.integers(0, len(scores[index]) - 1))] = bad
    with pytest.raises(ValueError, match=f"^Case {index} has a {side} score"):
        weigh(replace(sample, **{side: scores}))


@every_kind
@pytest.mark.parametrize("cases", [1, 2, 5, 10, 40])
@pytest.mark.parametrize("change", [0.0, -1.0, 1.0])
@pytest.mark.parametrize("grouping", ["alone", "one cluster", "two clusters"])
def test_suites_without_any_variety_give_finite_evidence(kind, cases, change, grouping):
    before, after = kind.repeats
    start = 1.0 if change < 0 else 0.0
    clusters = {
        "alone": None,
        "one cluster": ["only"] * cases,
        "two clusters": ["first", *["second"] * (cases - 1)],
    }[grouping]
    found = weigh(
        Sample(
            baseline=[[start] * before] * cases,
            candidate=[[start + change] * after] * cases,
            clusters=clusters,
            span=kind.span,
            pass_fail=kind.pass_fail,
        )
    )
    assert found.cases == cases
    assert found.units == {"alone": cases, "one cluster": 1, "two clusters": min(2, cases)}[grouping]
    assert found.change == change
    assert found.sd == pytest.approx(0.0, abs=1e-12)
    assert found.low <= change <= found.high
    assert all(map(math.isfinite, (found.low, found.high, found.p_drop, found.p_rise)))
    if not change:
        assert found.p_drop == found.p_rise == 1.0
    if found.units == 1:
        assert found.low <= 0 <= found.high
        assert verdict(found, 0.05, 0.05) is Verdict.TOO_FEW


@pytest.mark.parametrize("size", [1e-150, 1e-20, 1e20, 1e99])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_scores_of_any_size_give_finite_evidence(size, data):
    sample = data.draw(drawn(KINDS["bounded 2/2 clusters"], max_size=12))
    baseline, candidate = (
        [[score * size for score in scores] for scores in side]
        for side in (sample.baseline, sample.candidate)
    )
    found = weigh(replace(sample, baseline=baseline, candidate=candidate, span=size))
    assert all(map(math.isfinite, numbers(found)))
    assert found.low <= found.change <= found.high
    assert 0 < found.p_drop <= 1
    assert 0 < found.p_rise <= 1
