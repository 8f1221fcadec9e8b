"""Decide before all cases were run: how much of the risk each look at the evidence may spend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOOKS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the cases after which the evidence is looked at."""

BREAKER_SHARE = 0.1
"""The part of alpha that the circuit breaker spends, at an e-value of 1 / (BREAKER_SHARE * alpha)."""

GREEN = {0.5: 0.5, 0.75: 0.3}
"""Looks at which a session may stop for lack of any sign of a drop, and the p-value from which it does."""

NODES = 64
"""Points of the Gauss-Legendre rule; more change no digit of a level."""

FAR = 9.0
"""Standard deviations below which a path that goes on is not followed: 1e-19 of all of them."""


def e_value(losses: int, gains: int) -> float:
    """Return the evidence that flips are mostly losses: below 1 for none, infinite beyond 1e308.

    It is the likelihood of a loss share spread evenly over (1/2, 1), over that of 1/2. Under no change it
    reaches 1 / a at any moment with a chance of at most a (Ville 1939), so it may be read after every case.
    The integral of the likelihood is a tail of Pascal's triangle; this is its sum from the largest index.
    """
    term = total = 1.0
    for step in range(losses):
        term *= (losses - step) / (gains + 2 + step)
        total += term
        if term < 1e-17 * total or math.isinf(total):
            break
    return total / (gains + 1)


def nominal_levels(alpha: float) -> tuple[float, float, float, float]:
    """Return the one-sided p-value at or below which each of the `LOOKS` stops red.

    Together they spend what the circuit breaker leaves of `alpha`, in O'Brien and Fleming's manner: hardly
    any early (Lan and DeMets 1983). Each level is solved for by integrating over the paths of a Brownian
    motion that no earlier look has stopped (Armitage, McPherson and Rowe 1969).

    Args:
        alpha: the risk of a false alarm that is accepted, one-sided, above 0 and at most 0.5.
    """
    from scipy.special import ndtr

    spent = _spent((1 - BREAKER_SHARE) * alpha)
    paths = _Paths.start()
    levels = []
    for earlier, share, spent_before, spent_now in zip(
        (0.0, *LOOKS), LOOKS, (0.0, *spent), spent, strict=False
    ):
        step = math.sqrt(share - earlier)
        bound = paths.bound(spent_now - spent_before, step)
        paths = paths.below(bound, share, step)
        levels.append(float(ndtr(-bound / math.sqrt(share))))
    first, second, third, last = levels
    return first, second, third, last


def unharmed(share: float, p_drop: float) -> bool:
    """Tell whether a session may stop green.

    Args:
        share: the look, one of `LOOKS`; at most of them nothing stops green.
        p_drop: how often chance alone gives a drop as clear as the one seen so far, of `Evidence`.
    """
    return p_drop >= GREEN.get(share, math.inf)


class _Paths(NamedTuple):
    """Be the paths that no look has stopped so far: points where they are, and the chance to be there."""

    points: NDArray[np.float64]
    chances: NDArray[np.float64]

    @classmethod
    def start(cls) -> Self:
        import numpy as np

        return cls(np.zeros(1), np.ones(1))

    def bound(self, risk: float, step: float) -> float:
        """Return the value that so large a share of all paths exceeds after one step more."""
        from scipy.optimize import brentq
        from scipy.special import ndtr

        def excess(value: float) -> float:
            return float(self.chances @ ndtr((self.points - value) / step)) - risk

        return float(brentq(excess, -FAR, 2 * FAR, xtol=1e-13))

    def below(self, bound: float, share: float, step: float) -> Self:
        """Return the paths that are below the bound after one step more."""
        import numpy as np

        places, weights = np.polynomial.legendre.leggauss(NODES)
        half = (bound + FAR * math.sqrt(share)) / 2
        points = bound + half * (places - 1)
        moves = (points[:, np.newaxis] - self.points) / step
        densities = np.exp(-moves * moves / 2) @ self.chances / (step * math.sqrt(2 * math.pi))
        return type(self)(points, half * weights * densities)


def _spent(alpha: float) -> list[float]:
    """Return the risk spent up to each look."""
    from scipy.special import ndtr, ndtri

    last = -float(ndtri(alpha / 2))
    return [2 * float(ndtr(-last / math.sqrt(share))) for share in LOOKS]
