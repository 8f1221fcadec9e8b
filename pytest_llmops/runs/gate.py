"""Decide which metrics may turn the build red."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.scorers.score import Metric

SLICE = "@"
"""Stands between a metric and the tag of a slice."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold what `--llmops-gate` names: `METRIC` alone, or `METRIC@TAG` for a slice.

    Metrics named alone are the only ones that are gated over all cases; where none is, each metric's own
    default holds. A slice is gated only where it is named.
    """

    names: tuple[str, ...] = ()

    def covers(self, metric: Metric, tag: str = "") -> bool:
        """Tell whether a regression of `metric`, over all cases or in the slice `tag`, is red."""
        if tag:
            return f"{metric.name}{SLICE}{tag}" in self.names
        alone = [name for name in self.names if SLICE not in name]
        return metric.name in alone if alone else metric.gated

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags of the gated slices."""
        return tuple(name.partition(SLICE)[2] for name in self.names if SLICE in name)

    def check(self, metrics: Iterable[Metric], *, live: bool) -> None:
        """Refuse a gate that no comparison of this session could hold.

        Args:
            metrics: all metrics of the session.
            live: both sides are answered in this session.

        Raises:
            MisuseError: no metric has any of the names, or times of another day would be gated.
        """
        known = {metric.name: metric for metric in metrics}
        named = [name.partition(SLICE)[0] for name in self.names]
        if named and known and not any(name in known for name in named):
            raise MisuseError(f"--llmops-gate: no test measures {named[0]!r}. {closest(named[0], known)}")
        timed = [name for name in named if name in known and known[name].volatile]
        if timed and not live:
            raise MisuseError(
                f"--llmops-gate: {timed[0]!r} of a stored baseline is from another day, so its change proves "
                "nothing. Gate it with --llmops-baseline=alias:NAME, which asks both prompt versions today."
            )
