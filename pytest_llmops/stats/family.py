"""Correct p-values for the number of questions that were asked at once."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float] | None:
    """Return Holm's adjusted p-values in the order given, or None for an empty family.

    Comparing each of them with alpha keeps the risk of any false alarm in the family at alpha, however the
    metrics depend on each other.
    """
    if not p_values:
        return None
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = reached
    return adjusted
