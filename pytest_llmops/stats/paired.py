"""Ask how often chance alone makes as many passing cases fail: McNemar's question, answered exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llmops.stats.intervals import clopper_pearson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAMMA = 1e-4
"""The risk that the true flip rate lies outside the range searched; added to p (Berger and Boos 1994)."""

RATES = 120
"""Flip rates at which the tail is worked out."""


def unconditional_p(*, losses: int, gains: int, cases: int) -> float:
    """Return how often chance alone gives a drop this clear; exchange the counts to ask for the rise.

    The clearness of a drop is (losses - gains) / sqrt(losses + gains). Its tail depends on how often a case
    flips at all, which is unknown: the worst rate counts (Suissa and Shuster 1985).

    Args:
        losses: cases that passed and now fail.
        gains: cases that failed and now pass.
        cases: all paired cases.
    """
    if losses <= gains:
        return 1.0
    import numpy as np

    flips = losses + gains
    rates = np.linspace(*clopper_pearson(flips, cases, alpha=GAMMA / 2), RATES)
    counts = _likely_counts(rates, cases)
    tails = _flip_shares(rates, counts, cases) @ _as_clear(counts, losses - gains, flips)
    return min(1.0, float(tails.max()) + GAMMA)


def _likely_counts(rates: NDArray[np.float64], cases: int) -> NDArray[np.int64]:
    """Return the numbers of flips worth summing over; by Bernstein's bound 1e-13 of the chance is left out.

    No flip at all is never as clear as a drop, so the counts start at 1.
    """
    import numpy as np

    expected = cases * rates
    reach = 8 * np.sqrt(expected * (1 - rates)) + 40
    first = max(1, int((expected - reach).min()))
    last = min(cases, int((expected + reach).max()) + 1)
    return np.arange(first, last + 1)


def _flip_shares(rates: NDArray[np.float64], counts: NDArray[np.int64], cases: int) -> NDArray[np.float64]:
    """Return the chance of each number of flips (columns) at each rate (rows)."""
    import numpy as np
    from scipy.special import gammaln, xlog1py, xlogy

    ways = gammaln(cases + 1) - gammaln(counts + 1) - gammaln(cases - counts + 1)
    rate = rates[:, np.newaxis]
    return np.exp(ways + xlogy(counts, rate) + xlog1py(cases - counts, -rate))


def _as_clear(counts: NDArray[np.int64], lead: int, flips: int) -> NDArray[np.float64]:
    """Return, for each number of flips, the chance that coin tosses make a drop as clear as the one seen."""
    import numpy as np
    from scipy.special import bdtrc

    # Squared before the division, so that equally clear tables come out equal and not a rounding error apart.
    needed_lead = np.ceil(np.sqrt(counts * float(lead) ** 2 / flips)).astype(np.int64)
    needed_losses = (counts + needed_lead + 1) // 2
    return np.asarray(bdtrc(np.minimum(needed_losses - 1, counts), counts, 0.5), dtype=np.float64)
