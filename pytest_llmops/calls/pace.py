"""Follow how much a provider takes at once: additive increase, multiplicative decrease."""

from __future__ import annotations

from dataclasses import dataclass, replace

CROWDED = 0.3
"""Share of recent calls turned away at which a provider counts as overrun; a lone refusal is not that."""

QUIET = 0.05
"""Share of recent calls turned away up to which more is tried."""

RECENT = 32
"""About how many calls the recent share looks back on."""

CUT = 0.5
"""What is left of the slots when a provider is overrun."""

MARGIN = 0.95
"""What is taken of the rate that was seen to be let in."""

EASE = 0.02
"""Share of the rate that a refusal takes off while more than `QUIET` are turned away."""

GROWTH = 0.02
"""Growth of the rate in a second, for each second in which nothing was turned away beyond `HOLD`."""

HOLD = 1.0
"""Seconds after a refusal in which the rate does not grow."""

SLOWER = 2.0
"""How many times the best smoothed latency is still taken for the provider's own; beyond it nothing grows."""

PAUSE = 1.0
"""Seconds without calls after a cut for which the provider named no wait."""

WINDOW = 1.0
"""Seconds that an admitted rate is counted over at least: limits are set by the second or longer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Be how many calls may be under way, and how fast they may follow each other; times in seconds.

    A pace is never changed: each event gives the next one. All processes of a session share it.
    """

    slots: float
    """Calls that may be under way."""
    most: float
    """Ceiling of `slots`."""
    rate: float = 0.0
    """Calls that may start in a second; 0 for no limit, as long as none was met."""
    free_at: float = 0.0
    """When the next call may start."""
    cut_at: float = 0.0
    """When slots and rate were last cut, or the first call started."""
    begun: float = 0.0
    """Calls started since then and not turned away."""
    refused_at: float = 0.0
    """When a call was last turned away."""
    refused: float = 0.0
    """Share of recent calls that were turned away."""
    latency: float = 0.0
    """Smoothed seconds of an answer."""
    best: float = 0.0
    """The lowest that `latency` was."""

    def wait(self, now: float, running: int) -> float | None:
        """Return the seconds until a call may start; None while all slots are taken."""
        if running >= max(1, int(self.slots)):
            return None
        return max(0.0, self.free_at - now)

    def started(self, now: float) -> Pace:
        """Return the pace after a call has started."""
        free_at = max(now, self.free_at) + 1 / self.rate if self.rate else self.free_at
        # Refusals come sooner than answers: a share of the calls started is not misled by that.
        refused = self.refused * (1 - 1 / RECENT)
        return replace(
            self, free_at=free_at, cut_at=self.cut_at or now, begun=self.begun + 1, refused=refused
        )

    def answered(self, now: float, seconds: float) -> Pace:
        """Return the pace after an answer that took so many seconds."""
        latency = self.latency + (seconds - self.latency) / RECENT if self.latency else seconds
        calm = replace(
            self,
            latency=latency,
            best=min(self.best or latency, latency),
        )
        if calm.refused > QUIET:
            return calm
        slots = self.slots
        if latency <= SLOWER * calm.best:
            slots = min(self.most, slots + 1 / slots)
        # A limit that was just met is still there; one met long ago may have been another's doing.
        growth = GROWTH * max(0.0, now - self.refused_at - HOLD) if self.rate else 0.0
        return replace(calm, slots=slots, rate=self.rate + growth)

    def turned_away(self, now: float, began: float, asked: float | None) -> Pace:
        """Return the pace after a refusal for want of room.

        Args:
            now: the present.
            began: when the refused call started.
            asked: the wait that the provider asked for, None where it asked for none.
        """
        crowded = replace(
            self,
            refused=min(1.0, self.refused + 1 / RECENT),
            refused_at=now,
            begun=max(0.0, self.begun - (began >= self.cut_at)),
        )
        # Calls that were under way at the last cut say nothing about the pace since.
        if began < self.cut_at:
            return crowded
        if crowded.refused < CROWDED:
            # Too many for chance, too few for a cut: a rate that was learnt a little too high would stay so.
            eased = self.rate * (1 - EASE if crowded.refused > QUIET else 1)
            return replace(crowded, rate=min(self.rate, max(eased, 1 / WINDOW)))
        admitted = crowded.begun / max(now - self.cut_at, WINDOW)
        rate = max(admitted, CUT * self.rate, 1 / WINDOW) * MARGIN
        return replace(
            crowded,
            slots=max(1.0, CUT * self.slots),
            rate=min(rate, self.rate) if self.rate else rate,
            free_at=max(self.free_at, now + (PAUSE if asked is None else asked)),
            cut_at=now + (PAUSE if asked is None else asked),
            begun=0.0,
            refused=0.0,
        )
