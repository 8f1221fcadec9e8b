"""Hold what was measured beside what it must keep to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Compare one figure with its limit."""

    what: str
    """What is measured, the same words for all cells of a kind."""
    cell: str
    """Where it was measured."""
    value: float
    limit: float
    at_least: bool = False
    """The limit is the least that is wanted; else the most."""
    error: float = 0.0
    """Standard error of the value, or of its distance from the limit; 0 where it is exact."""
    known: str = ""
    """Why the limit may be broken here; empty where it may not."""

    @property
    def kept(self) -> bool:
        """Tell whether the limit is kept."""
        return self.room >= 0

    @property
    def passes(self) -> bool:
        """Tell whether the limit is kept, or known not to hold here."""
        return self.kept or bool(self.known)

    @property
    def room(self) -> float:
        """Return how far the figure lies on the right side of its limit."""
        return self.value - self.limit if self.at_least else self.limit - self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Be one part of the report."""

    title: str
    lines: tuple[str, ...]
    """A table, for people."""
    checks: tuple[Check, ...]


def summary(checks: Iterable[Check]) -> list[str]:
    """Return a line for each kind of check, with the cell that has the least room, and every one broken."""
    kinds: dict[str, list[Check]] = {}
    for check in checks:
        kinds.setdefault(check.what, []).append(check)
    lines = []
    for what, members in kinds.items():
        broken = [check for check in members if not check.passes]
        apart = [check for check in members if check.passes and not check.kept]
        closest = min((check for check in members if check not in apart), key=lambda check: check.room)
        state = f"BROKEN in {len(broken)}" if broken else "kept"
        lines.append(f"  {what}: {state} ({len(members)} cells; closest {described(closest)})")
        lines += [f"    broken: {described(check)}" for check in broken]
        lines += [f"    apart: {described(check)}; {check.known}" for check in apart]
    return lines


def described(check: Check) -> str:
    """Return the figure, its limit and its cell."""
    sign = ">=" if check.at_least else "<="
    if not check.error:
        return f"{check.value:.5f} {sign} {check.limit:.5f} at {check.cell}"
    return f"{check.value:.4f} {sign} {check.limit:.4f}, standard error {check.error:.4f} at {check.cell}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return a table in Markdown that also reads well as plain text."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]
