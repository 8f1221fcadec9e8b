"""Say what a suite could see and what would settle it: more cases or more repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmops.stats.verdict import MIN_UNITS, POWER_FACTOR
from pytest_llmops.stats.weigh import LARGEST, RESOLUTION

MOST_REPEATS = 100
"""More repeats than this are not proposed."""

HALVINGS = 50
"""Steps in the search for the drop that is just seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Hold what makes the differences of cases differ: variances, in score units squared (Miller 2024)."""

    effect: float
    """Spread of the true change over cases, which no repeat reduces."""
    baseline: float
    """Spread of single baseline answers to one case."""
    candidate: float
    """Spread of single candidate answers to one case."""
    assumed: bool
    """The data could not tell noise from anything else."""

    def sd(self, baseline_repeats: float, candidate_repeats: float) -> float:
        """Return the standard deviation of a case's difference, in score units."""
        noise = self.baseline / baseline_repeats + self.candidate / candidate_repeats
        return math.sqrt(self.effect + noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Be a size of suite that sees the margin, and its price in model calls."""

    cases: int
    baseline_repeats: int
    candidate_repeats: int
    baseline_calls: int
    """Calls for a new baseline, paid once; 0 where today's is enough."""

    @property
    def calls(self) -> int:
        """Return the calls of each comparison run."""
        return self.cases * self.candidate_repeats

    @property
    def price(self) -> int:
        """Return the calls up to and including the first comparison."""
        return self.calls + self.baseline_calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Hold the two ways to see a drop as large as the margin 4 times in 5."""

    more_cases: Way
    """Today's repeats, other cases; fewer than today's where these are more than enough."""
    more_repeats: Way | None
    """Today's cases; None where no number of repeats worth proposing is enough."""

    @property
    def cases(self) -> int:
        """Return how many cases it takes at today's repeats."""
        return self.more_cases.cases

    @property
    def repeats(self) -> int | None:
        """Return how many answers a case it takes from the candidate, with today's cases."""
        return self.more_repeats.candidate_repeats if self.more_repeats else None

    @property
    def cheaper(self) -> Way:
        """Return the way with fewer calls; on a tie more cases, which also tell more."""
        if self.more_repeats and self.more_repeats.price < self.more_cases.price:
            return self.more_repeats
        return self.more_cases


def components(
    baseline: Sequence[Sequence[float]],
    candidate: Sequence[Sequence[float]],
    *,
    spread: float | None = None,
    span: float = 1.0,
) -> Noise:
    """Return what the paired answers say of noise and of the spread of the effect.

    The noise of a side is pooled from the cases it answered more than once; a side without any borrows the
    other's. Where neither has any, all of the spread counts as noise. Where nothing differs at all, it is as
    if one answer on either side had differed by the whole range.

    Args:
        baseline: scores of each case, one a repeat.
        candidate: the same cases in the same order.
        spread: standard deviation of the differences where clusters made it another than that of the cases.
        span: width of the metric's range.

    Raises:
        ValueError: there is no case, or the message names the index of the case that cannot be used.
    """
    _check(baseline, "baseline")
    _check(candidate, "candidate")
    differences = [_mean(after) - _mean(before) for before, after in zip(baseline, candidate, strict=True)]
    total = _variance(differences) if spread is None else spread * spread
    before, after = _within(baseline), _within(candidate)
    if max(total, before or 0.0, after or 0.0) <= (RESOLUTION * span) ** 2:
        return _unseen(baseline, candidate, span)
    if before is None and after is None:
        return Noise(effect=0.0, baseline=total / 2, candidate=total / 2, assumed=True)
    one = after or 0.0 if before is None else before
    other = one if after is None else after
    share = one * _share(baseline) + other * _share(candidate)
    return Noise(effect=max(0.0, total - share), baseline=one, candidate=other, assumed=False)


def planned(
    baseline: Sequence[Sequence[float]], *, drop: float = 0.0, worst: float | None = None, span: float = 1.0
) -> Noise:
    """Return what to expect of a comparison before it is run, from the stored baseline alone.

    With one answer a case nothing tells noise from difficulty: then the worst is assumed, answers to one case
    as different as answers to different cases. A drop brings noise of its own: with `worst`, it is planned
    for as answers lost to it, at the same rate in all cases; without, all answers drop alike.

    Args:
        baseline: scores of each case, one a repeat.
        drop: the drop that the comparison should see, in score units, at least 0.
        worst: the score of a lost answer, such as 0 on [0, 1].
        span: width of the metric's range, which stands in where no answer differs from another.

    Raises:
        ValueError: there is no case, or the message names the index of the case that cannot be used.
    """
    stored = _Stored.of(baseline, worst)
    noise = stored.lowered(drop)
    if max(noise.baseline, noise.candidate, noise.effect) <= (RESOLUTION * span) ** 2:
        return _unseen(baseline, baseline, span)
    return noise


def foreseen(
    baseline: Sequence[Sequence[float]],
    *,
    candidate_repeats: int,
    worst: float | None = None,
    span: float = 1.0,
) -> float:
    """Return the smallest drop that a comparison still to be run sees 4 times in 5, in score units.

    The noise that this very drop brings is counted, see `planned`. No drop is larger than the one of all
    answers to `worst`.

    Args:
        baseline: scores of each case, one a repeat.
        candidate_repeats: answers a case that the candidate will give.
        worst: the score of a lost answer, such as 0 on [0, 1].
        span: width of the metric's range, which stands in where no answer differs from another.

    Raises:
        ValueError: there is no case, or the message names the index of the case that cannot be used.
    """
    stored = _Stored.of(baseline, worst)
    shared = 1 / _share(baseline)

    def seen(noise: Noise) -> float:
        return mde80(noise, cases=len(baseline), baseline_repeats=shared, candidate_repeats=candidate_repeats)

    low, high = 0.0, stored.height
    if not high:
        return seen(planned(baseline, span=span))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if seen(stored.lowered(middle)) <= middle:
            high = middle
        else:
            low = middle
    return high


def mde80(noise: Noise, *, cases: int, baseline_repeats: float, candidate_repeats: float) -> float:
    """Return the smallest drop seen 4 times in 5, in score units; without a case none is.

    Args:
        noise: what makes the differences of cases differ.
        cases: paired cases.
        baseline_repeats: answers a case; their harmonic mean where cases differ.
        candidate_repeats: the same of the candidate.
    """
    if not cases:
        return math.inf
    return POWER_FACTOR * noise.sd(baseline_repeats, candidate_repeats) / math.sqrt(cases)


def needed(noise: Noise, *, margin: float, cases: int, baseline_repeats: int, candidate_repeats: int) -> Need:
    """Return what would see a drop of `margin` 4 times in 5: more cases, or more repeats of today's.

    More repeats are asked of both sides; a side that has them already keeps what it has, so a baseline that
    was answered often enough costs nothing.

    Args:
        noise: what makes the differences of cases differ.
        margin: the drop to be seen, in score units, above 0.
        cases: today's paired cases.
        baseline_repeats: today's answers a case.
        candidate_repeats: the same of the candidate.
    """
    enough = (POWER_FACTOR * noise.sd(baseline_repeats, candidate_repeats) / margin) ** 2
    # Rounded first, lest a rounding error adds a case.
    grown = max(MIN_UNITS, math.ceil(round(enough, 9)))
    more_cases = Way(
        cases=grown,
        baseline_repeats=baseline_repeats,
        candidate_repeats=candidate_repeats,
        baseline_calls=grown * baseline_repeats if grown > cases else 0,
    )
    return Need(more_cases=more_cases, more_repeats=_repeated(noise, margin, more_cases, cases))


def _repeated(noise: Noise, margin: float, today: Way, cases: int) -> Way | None:
    if cases < MIN_UNITS:
        return None
    for repeats in range(1, MOST_REPEATS + 1):
        before, after = max(repeats, today.baseline_repeats), max(repeats, today.candidate_repeats)
        found = mde80(noise, cases=cases, baseline_repeats=before, candidate_repeats=after)
        if found <= margin * (1 + RESOLUTION):
            once = cases * before if before > today.baseline_repeats else 0
            return Way(cases=cases, baseline_repeats=before, candidate_repeats=after, baseline_calls=once)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """Hold what a stored baseline tells of its scores."""

    noise: float
    difficulty: float
    """Spread of the true scores of the cases."""
    height: float
    """Mean above the worst score, 0 where none is known."""
    assumed: bool

    @classmethod
    def of(cls, baseline: Sequence[Sequence[float]], worst: float | None) -> _Stored:
        _check(baseline, "baseline")
        means = [_mean(scores) for scores in baseline]
        repeated = _within(baseline)
        noise = _variance(means) if repeated is None else repeated
        return cls(
            noise=noise,
            difficulty=max(0.0, _variance(means) - noise * _share(baseline)),
            height=0.0 if worst is None else max(0.0, _mean(means) - worst),
            assumed=repeated is None,
        )

    def lowered(self, drop: float) -> Noise:
        """Return the noise of a comparison with answers of which so many are lost as make up the drop."""
        lost = min(1.0, drop / self.height) if self.height > 0 else 0.0
        kept = 1 - lost
        return Noise(
            effect=lost * lost * self.difficulty,
            baseline=self.noise,
            candidate=kept * self.noise + kept * lost * (self.height * self.height + self.difficulty),
            assumed=self.assumed,
        )


def _unseen(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]], span: float) -> Noise:
    before, after = (span * span / sum(map(len, side)) for side in (baseline, candidate))
    return Noise(effect=0.0, baseline=before, candidate=after, assumed=True)


def _within(side: Sequence[Sequence[float]]) -> float | None:
    """Return the pooled variance of answers to the same case, None where none was answered twice."""
    freedom = sum(len(scores) - 1 for scores in side)
    return math.fsum(map(_squares, side)) / freedom if freedom else None


def _share(side: Sequence[Sequence[float]]) -> float:
    """Return the mean over cases of the share of an answer's noise that is left in the case's mean."""
    return math.fsum(1 / len(scores) for scores in side) / len(side)


def _variance(values: Sequence[float]) -> float:
    return _squares(values) / (len(values) - 1) if len(values) > 1 else 0.0


def _squares(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _check(side: Sequence[Sequence[float]], name: str) -> None:
    if not side:
        raise ValueError(f"There is no {name} case.")
    for index, scores in enumerate(side):
        # Written so that NaN fails too.
        if not scores or not all(abs(score) < LARGEST for score in scores):
            raise ValueError(f"Case {index} has no usable {name} answer: {scores}.")
