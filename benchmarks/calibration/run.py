"""Run a plan from end to end."""

from __future__ import annotations

from benchmarks.calibration.exact import Found, found
from benchmarks.calibration.outcome import Part, summary
from benchmarks.calibration.plan import Plan, Reading, Spread
from benchmarks.calibration.report import all_parts


def report(plan: Plan, seed: int, spread: Spread) -> bool:
    """Print what the plan finds, and return whether no limit is broken."""
    parts = measured(plan, seed, spread)
    for part in parts:
        print(f"\n{part.title}\n", *part.lines, sep="\n", flush=True)
    checks = [check for part in parts for check in part.checks]
    broken = sum(not check.passes for check in checks)
    print("\nlimits", *summary(checks), sep="\n")
    apart = sum(check.passes and not check.kept for check in checks)
    print(f"of {len(checks):,} limits {broken} broken, {apart} apart as known, all others kept")
    return not broken


def measured(plan: Plan, seed: int, spread: Spread) -> list[Part]:
    """Return the parts of the report."""
    tables: list[Found] = [item for items in spread(found, plan.sizes[::-1]) for item in items]
    tables.sort(key=lambda item: item.cell)
    read: dict[str, list[Reading]] = {part: plan.readings(part, seed, spread) for part in plan.draws}
    return all_parts(tables, read)
