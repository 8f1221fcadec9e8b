"""Count what a session spent on calls and what the cache saved."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Add up calls of one session over all its processes."""

    calls: int = 0
    """Calls that reached a provider, failed attempts included."""
    failed: int = 0
    """Calls that gave no answer in the end."""
    saved: int = 0
    """Answers that came from the cache or the stored baseline instead."""
    saved_cost: float = 0.0
    """US dollars that these answers cost once, as far as it is known."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    """US dollars, of the calls with a known price."""
    unpriced: int = 0
    """Calls whose price is unknown."""
    seconds: float = 0.0
    """Time spent waiting for models, summed over calls."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__}
        )
