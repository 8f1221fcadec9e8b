"""Turn figures into the parts of the report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from benchmarks.calibration.cells import Shown
from benchmarks.calibration.exact import ALPHA, LABELS, OWN, Cell, Found
from benchmarks.calibration.goals_pass_fail import (
    COVERAGE,
    DROPS,
    MARGIN,
    MISSES,
    MISSES_ALONE,
    REGRESSED,
    VERDICT_CORRELATION,
    VERDICTS,
    WRONG_ALL_CLEAR,
)
from benchmarks.calibration.goals_sampled import LEVELS
from benchmarks.calibration.outcome import Check, Part, described, table
from benchmarks.calibration.plan import AGAIN, Reading
from pytest_llmops.stats.sequential import LOOKS, nominal_levels
from pytest_llmops.stats.verdict import Verdict

ROUNDED = 0.00005
"""The goals have four digits."""

SHOWN_SIZES = (20, 50, 100, 200)
SHOWN_RATES = (0.8, 0.95)
SHOWN_DROP = 0.1


def rules(found: Sequence[Found]) -> Part:
    """Return the table of rules side by side."""
    unchanged = [item for item in found if item.cell.drop == 0]
    sizes = [size for size in SHOWN_SIZES if any(item.cell.cases == size for item in found)]
    names = sorted(found[0].red, key=lambda name: name != OWN)
    rows = []
    for name in names:
        alarms = [item.red[name] for item in unchanged]
        over = sum(alarm > ALPHA for alarm in alarms)
        seen = " / ".join(f"{_power(found, name, size):.2f}" for size in sizes)
        rows.append([name, f"{max(alarms):.4f}", f"{over} of {len(alarms)}", seen])
    head = [
        "rule",
        "false alarms, worst suite",
        "suites over 5 %",
        f"sees a 10-point drop: n = {' / '.join(map(str, sizes))}",
    ]
    return Part(
        title="passes and failures, rules side by side (exact)", lines=tuple(table(head, rows)), checks=()
    )


def _power(found: Sequence[Found], name: str, size: int) -> float:
    return fmean(
        item.red[name]
        for item in found
        if item.cell.cases == size and item.cell.rate in SHOWN_RATES and item.cell.drop == SHOWN_DROP
    )


def pass_fail(found: Sequence[Found]) -> Part:
    """Return the verdict mix and the checks of passes and failures."""
    labels = [str(label) for label in LABELS]
    rows = [
        [str(item.cell), *(f"{share:.3f}" for share in item.verdicts)]
        for item in found
        if item.cell.cases in SHOWN_SIZES
        and item.cell.correlation == VERDICT_CORRELATION
        and item.cell.rate in SHOWN_RATES
        and item.cell.drop in (0.0, SHOWN_DROP)
    ]
    checks = tuple(check for item in found for check in _exact_checks(item))
    title = f"passes and failures, verdicts at a margin of {MARGIN} (exact)"
    return Part(title=title, lines=tuple(table(["suite", *labels], rows)), checks=checks)


def _exact_checks(item: Found) -> Iterator[Check]:
    cell, own = item.cell, item.red[OWN]
    verdicts = VERDICTS.get((cell.cases, cell.rate, cell.drop))
    if verdicts and cell.correlation == VERDICT_CORRELATION:
        distance = max(abs(share - goal) for share, goal in zip(item.verdicts, verdicts, strict=True))
        yield _most("pass/fail: distance from the verdict mix", cell, distance, ROUNDED)
    if cell.drop not in DROPS:
        return
    goal = REGRESSED[cell.cases, cell.rate, cell.correlation][DROPS.index(cell.drop)]
    if cell.drop == 0:
        yield _most("pass/fail: false alarms", cell, own, ALPHA)
    else:
        yield Check(what="pass/fail: power", cell=str(cell), value=own, limit=goal - ROUNDED, at_least=True)
    for end, alone in zip(item.misses, item.misses_alone, strict=True):
        yield _most("pass/fail: misses of the interval", cell, end, MISSES + ROUNDED)
        yield _most("pass/fail: misses before agreement", cell, alone, MISSES_ALONE + ROUNDED)
    held = 1 - sum(item.misses)
    yield Check(what="pass/fail: coverage", cell=str(cell), value=held, limit=COVERAGE, at_least=True)
    if cell.drop == MARGIN:
        fine = {Verdict.NO_REGRESSION, Verdict.WITHIN_MARGIN, Verdict.IMPROVED}
        wrong = sum(share for label, share in zip(LABELS, item.verdicts, strict=True) if label in fine)
        yield _most("pass/fail: all clear at a drop of the margin", cell, wrong, WRONG_ALL_CLEAR + ROUNDED)


def _most(what: str, cell: Cell, value: float, limit: float) -> Check:
    return Check(what=what, cell=str(cell), value=value, limit=limit)


def drawn(part: str, found: Sequence[Reading]) -> Part:
    """Return a part that was found by drawing."""
    shown = [one for reading in found for one in reading.cell.shown(reading.values)]
    columns = sorted({one.column for one in shown}, key=_natural)
    places: dict[str, dict[str, list[Shown]]] = {}
    for one in shown:
        places.setdefault(one.row, {}).setdefault(one.column, []).append(one)
    rows = [
        [row, *(_figure(members.get(column)) for column in columns)]
        for row, members in sorted(places.items(), key=lambda item: _natural(item[0]))
    ]
    draws = min(reading.draws for reading in found)
    error = math.sqrt(ALPHA * (1 - ALPHA) / draws)
    title = f"{part}: {len(found)} cells, {draws:,} draws each, standard error {error:.4f} at {ALPHA}"
    again = [line for reading in found if reading.first for line in _again(reading)]
    checks = tuple(check for reading in found for check in reading.checks)
    return Part(title=title, lines=(*table(["", *columns], rows), *again), checks=checks)


def _natural(text: str) -> list[tuple[float, str]]:
    """Return what sorts text by the numbers in it, else by its letters."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(float(piece), "") if index % 2 else (-1.0, piece) for index, piece in enumerate(pieces)]


def _figure(members: Sequence[Shown] | None) -> str:
    if not members:
        return ""
    if members[0].worst:
        return f"{max(one.value for one in members):.3f}"
    goals = [one.goal for one in members if one.goal is not None]
    goal = f" (goal {fmean(goals):.3f})" if goals else ""
    return f"{fmean(one.value for one in members):.3f}{goal}"


def _again(reading: Reading) -> Iterator[str]:
    for check in reading.first:
        now = next(one for one in reading.checks if (one.what, one.cell) == (check.what, check.cell))
        yield f"  drawn again, {AGAIN} times as often: {described(check)}; now {now.value:.4f}"


def levels() -> Part:
    """Return the p-values at which a session stops red, beside those of an earlier simulation."""
    rows = [
        [f"{share:.0%} of the cases", f"{level:.4g}", f"{goal:.4g}", f"{level / goal - 1:+.2%}"]
        for share, level, goal in zip(LOOKS, nominal_levels(ALPHA), LEVELS, strict=True)
    ]
    head = ["look", "stops red at p", "simulated before", "apart"]
    return Part(title="early stop: levels (integrated)", lines=tuple(table(head, rows)), checks=())


def all_parts(found: Sequence[Found], read: Mapping[str, Sequence[Reading]]) -> list[Part]:
    """Return the parts of the report, the rules side by side first."""
    return [rules(found), pass_fail(found), *(drawn(part, cells) for part, cells in read.items()), levels()]
