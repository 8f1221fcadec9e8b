"""Lay rows out as a table that fits the page: the least needed columns go first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_llmops.reports.page import Line, Page, Style, clip, columns

GROUP: Final = "test"
"""The column that becomes a heading line above its rows where it has no room beside them."""

_NAME_ROOM: Final = 28
_NAME_ROOM_LEAST: Final = 12
"""Columns for the first cell of a row, and the fewest before a column is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Be one row: its cells by column, fit to print."""

    group: str
    cells: Mapping[str, str]
    style: Style = "plain"


def table_lines(
    rows: Sequence[Row], page: Page, *, droppable: Sequence[str], left: Sequence[str]
) -> Iterator[Line]:
    """Give the table of `rows` in the richest layout that fits.

    Args:
        rows: rows with the same columns, those of one group together; the first column is a name.
        page: what is written on.
        droppable: columns that may go, least needed first.
        left: columns of text; others are numbers and stand at the right.
    """
    if not rows:
        return
    names = list(rows[0].cells)
    beside = _rendered(rows, [GROUP, *names], left, _NAME_ROOM)
    if _width(beside) <= page.width:
        yield from _styled(rows, beside, page)
        return
    for gone in range(len(droppable) + 1):
        kept = [name for name in names if name not in droppable[:gone]]
        for room in (_NAME_ROOM, _NAME_ROOM_LEAST):
            lines = _rendered(rows, kept, left, room)
            if _width(lines) + 2 <= page.width:
                yield from _grouped(rows, lines, page)
                return
    yield from _grouped(rows, lines, page)


def _rendered(rows: Sequence[Row], names: Sequence[str], left: Sequence[str], room: int) -> list[str]:
    from tabulate import tabulate

    first = next(iter(rows[0].cells))
    shown = [{**row.cells, first: clip(row.cells[first], room), GROUP: row.group} for row in rows]
    for previous, row, cells in zip(rows, rows[1:], shown[1:], strict=False):
        cells[GROUP] = "" if row.group == previous.group else row.group
    # As headers the names would take two columns more each, which narrow pages do not have.
    header, *lines = tabulate(
        [names, *([cells[name] for name in names] for cells in shown)],
        tablefmt="plain",
        disable_numparse=True,
        colalign=["left" if name in (*left, GROUP, first) else "right" for name in names],
    ).split("\n")
    return [header, "-" * _width([header, *lines]), *lines]


def _styled(rows: Sequence[Row], lines: Sequence[str], page: Page) -> Iterator[Line]:
    for line in lines[:2]:
        yield page.line(line, "dim")
    for row, line in zip(rows, lines[2:], strict=True):
        yield page.line(line, row.style)


def _grouped(rows: Sequence[Row], lines: Sequence[str], page: Page) -> Iterator[Line]:
    for line in lines[:2]:
        yield page.line(f"  {line}", "dim")
    group = None
    for row, line in zip(rows, lines[2:], strict=True):
        if row.group != group:
            group = row.group
            yield page.line(group, "bold")
        yield page.line(f"  {line}", row.style)


def _width(lines: Sequence[str]) -> int:
    return max(map(columns, lines))
