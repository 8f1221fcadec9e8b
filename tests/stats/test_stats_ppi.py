from __future__ import annotations

import numpy as np
import pytest

from pytest_llmops.stats.intervals import guarded_t
from pytest_llmops.stats.ppi import FEWEST, prediction_powered

ALPHA = 0.05


def powered(people, judge, others):
    return prediction_powered(list(zip(people, judge, strict=True)), others, span=1.0, alpha=ALPHA)


def test_few_labels_say_nothing():
    assert powered([0.0, 1.0] * 4, [0.0, 1.0] * 4, [0.0, 1.0]) is None
    assert powered([0.0, 1.0] * (FEWEST // 2), [0.0, 1.0] * (FEWEST // 2), [0.0, 1.0]) is not None


def test_the_estimate_is_the_judges_mean_put_right():
    random = np.random.default_rng(1)
    judge, others = random.normal(size=40), random.normal(0.5, 1, 200)
    people = 0.3 + 0.8 * judge + 0.1 * random.normal(size=40)
    found = powered(people, judge, others.tolist())
    # lambda of PPI++ with the labelled cases among all is the slope of a straight line.
    slope = np.polyfit(judge, people, 1)[0]
    everything = np.concatenate([judge, others]).mean()
    assert found.value == pytest.approx(slope * everything + (people - slope * judge).mean())
    # The other form: labelled and other cases as two samples, lambda as in PPI++.
    factor = np.cov(people, judge, bias=True)[0, 1] / ((1 + 40 / 200) * judge.var())
    assert found.value == pytest.approx((people - factor * judge).mean() + factor * others.mean())


def test_a_judge_that_says_nothing_leaves_the_labels_alone():
    people = [1.0, 0.0, -1.0, 0.0, 0.0] * 4
    alone = guarded_t(people, [1] * 20, span=1.0, alpha=ALPHA)
    for judge, others in (([0.0] * 20, [0.0] * 50), ([-value for value in people], [0.5] * 50), (people, [])):
        found = powered(people, judge, others)
        assert (found.low, found.high) == alone
        assert found.value == 0


def test_a_perfect_judge_makes_the_interval_much_narrower():
    random = np.random.default_rng(2)
    change = random.choice([-1.0, 0.0, 1.0], p=[0.2, 0.7, 0.1], size=300)
    found = powered(change[:30], change[:30], change[30:].tolist())
    alone = guarded_t(change[:30], [1] * 30, span=1.0, alpha=ALPHA)
    assert found.high - found.low < 0.5 * (alone.high - alone.low)
    assert found.value == pytest.approx(change.mean())


@pytest.mark.parametrize("skill", [0.0, 0.7, 0.9, 1.0])
@pytest.mark.parametrize(("labelled", "cases"), [(10, 100), (30, 200), (60, 300)])
@pytest.mark.parametrize("drop", [0.0, 0.1])
def test_the_interval_holds_the_truth_and_is_no_wider_than_that_of_the_labels(drop, labelled, cases, skill):
    random = np.random.default_rng(int(100 * drop) + labelled + int(10 * skill))
    missed, widths = [0, 0], [0.0, 0.0]
    for _ in range(500):
        before = random.random(cases) < 0.8
        again = random.random(cases) < 0.8 - drop
        after = np.where(random.random(cases) < 0.3, again, before & (random.random(cases) > drop / 0.8))
        people = after * 1.0 - before
        seen = [
            np.where(random.random(cases) < skill, side, random.random(cases) < 0.5)
            for side in (after, before)
        ]
        judge = seen[0] * 1.0 - seen[1]
        found = powered(people[:labelled], judge[:labelled], judge[labelled:].tolist())
        alone = guarded_t(people[:labelled], [1] * labelled, span=1.0, alpha=ALPHA)
        missed[0] += -drop < found.low
        missed[1] += -drop > found.high
        widths[0] += found.high - found.low
        widths[1] += alone.high - alone.low
    # 4 standard errors of .05 are .039.
    assert max(missed) / 500 < 0.09
    assert widths[0] <= widths[1]
    if skill == 1:
        assert widths[0] < 0.6 * widths[1]


def test_where_the_labels_alone_are_more_certain_they_alone_count():
    people = [1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0]
    found = powered(people, people, [-1.0, 1.0, 1.0])
    alone = guarded_t(people, [1] * 12, span=1.0, alpha=ALPHA)
    assert (found.low, found.high) == alone
