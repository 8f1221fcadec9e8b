"""Say what a session may spend, and when the next call would be too much."""

from __future__ import annotations

from dataclasses import dataclass

TINY = 1e-9
"""US dollars that sums of floating-point numbers may be off by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Be what a session has spent, and what is put aside for its calls under way."""

    calls: int = 0
    """Calls that reached a provider, those under way among them."""
    cost: float = 0.0
    """US dollars of the finished ones."""
    reserved: float = 0.0
    """US dollars that the calls under way can cost at most."""
    seconds: float = 0.0
    """Since the first call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Be the most that a session may spend; None for no limit."""

    calls: int | None = None
    """Calls that reach a provider; each attempt counts."""
    cost: float | None = None
    """US dollars."""
    seconds: float | None = None
    """From the first call on."""

    @property
    def limited(self) -> bool:
        """Tell whether there is any limit."""
        return (self.calls, self.cost, self.seconds) != (None, None, None)

    def refusal(self, spent: Spent, most: float) -> str:
        """Return why one more call must not be made, which costs `most` dollars at most; "" where it may."""
        if self.calls is not None and spent.calls >= self.calls:
            return f"--llmops-max-calls={self.calls} is reached"
        if self.seconds is not None and spent.seconds >= self.seconds:
            return f"--llmops-max-seconds={self.seconds:g} is reached"
        if self.cost is not None and spent.cost + most > self.cost + TINY:
            return (
                f"--llmops-max-cost={self.cost:g} is reached: ${spent.cost:.4f} is spent, and the next call "
                f"can cost ${most:.4f}"
            )
        return ""

    def must_wait(self, spent: Spent, most: float) -> bool:
        """Tell whether calls under way must end first: they may turn out cheaper than what is put aside."""
        return self.cost is not None and spent.cost + spent.reserved + most > self.cost + TINY
