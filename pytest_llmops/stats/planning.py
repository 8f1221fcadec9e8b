"""Foresee a comparison that is still to be run, from the stored baseline alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmops.stats.noise import Noise, check_scores, mean, share_left, unseen, variance, within_cases
from pytest_llmops.stats.power import mde80
from pytest_llmops.stats.weigh import RESOLUTION

HALVINGS = 50
"""Steps in the search for the drop that is just seen."""


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
        return unseen(baseline, baseline, span)
    return noise


def foreseen(
    baseline: Sequence[Sequence[float]],
    *,
    candidate_repeats: int,
    worst: float | None = None,
    span: float = 1.0,
    alpha: float = 0.05,
) -> float:
    """Return the smallest drop that a comparison still to be run sees 4 times in 5, in score units.

    The noise that this very drop brings is counted, see `planned`. No drop is larger than the one of all
    answers to `worst`.

    Args:
        baseline: scores of each case, one a repeat.
        candidate_repeats: answers a case that the candidate will give.
        worst: the score of a lost answer, such as 0 on [0, 1].
        span: width of the metric's range, which stands in where no answer differs from another.
        alpha: risk of a false alarm, one-sided.

    Raises:
        ValueError: there is no case, or the message names the index of the case that cannot be used.
    """
    stored = _Stored.of(baseline, worst)
    shared = 1 / share_left(baseline)

    def seen(noise: Noise) -> float:
        return mde80(
            noise,
            cases=len(baseline),
            baseline_repeats=shared,
            candidate_repeats=candidate_repeats,
            alpha=alpha,
        )

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
        check_scores(baseline, "baseline")
        means = [mean(scores) for scores in baseline]
        repeated = within_cases(baseline)
        noise = variance(means) if repeated is None else repeated
        return cls(
            noise=noise,
            difficulty=max(0.0, variance(means) - noise * share_left(baseline)),
            height=0.0 if worst is None else max(0.0, mean(means) - worst),
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
