"""Lay out what the cache holds for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.survey import ModelShare, Survey
from pytest_llmops.providers.weights import RELEASES
from pytest_llmops.reports.escape import escape
from pytest_llmops.reports.figures import counted, dollars_text
from pytest_llmops.reports.page import clip, columns

WIDTH = 80

HEADER = ("model", "answers", "tokens in", "tokens out", "size", "cost again")

UNITS = ("B", "kB", "MB", "GB", "TB")


def survey_lines(shown: str, found: Survey, prices: Prices) -> Iterator[str]:
    """Give what the cache holds in lines of 80 columns.

    Args:
        shown: the file's name.
        found: what it holds.
        prices: what the answers would cost again.
    """
    span = ""
    if found.span is not None:
        oldest, newest = (f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}" for moment in found.span)
        span = f", {oldest}" if oldest == newest else f", {oldest} to {newest}"
    yield f"{shown}: {counted(found.answers, 'answer')}, {size_text(found.size)}{span and span + ' UTC'}"
    if found.models:
        yield from _table(found.models, prices)
    if found.claims:
        yield f"{counted(found.claims, 'call')} under way"
    if found.damaged:
        yield f"{counted(found.damaged, 'damaged answer')}: `llmops cache verify` names them."


def size_text(size: float) -> str:
    """Return a number of bytes for people."""
    power = 0
    while size >= 999.5 and power < len(UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.0f} {UNITS[power]}" if size >= 100 or not power else f"{size:.1f} {UNITS[power]}"


def _table(shares: Sequence[ModelShare], prices: Prices) -> Iterator[str]:
    rows = [_row(share, *_cost(share, prices)) for share in shares]
    if len(shares) > 1:
        rows.append(_sum(shares, prices))
    # Names of models come from servers, of any length: they get what is left of the line.
    others = columns(_rendered([("", *row[1:]) for row in rows])[0])
    room = max(WIDTH - others + columns(HEADER[0]), len(HEADER[0]))
    header, *lines = _rendered([(clip(name, room), *cells) for name, *cells in rows])
    yield ""
    yield header
    yield "-" * max(map(columns, (header, *lines)))
    yield from lines


def _rendered(rows: Sequence[Sequence[str]]) -> list[str]:
    from tabulate import tabulate

    alignment = ["left", *["right"] * (len(HEADER) - 1)]
    table = tabulate([HEADER, *rows], tablefmt="plain", disable_numparse=True, colalign=alignment)
    return [line.rstrip() for line in table.split("\n")]


def _row(share: ModelShare, dollars: float, unpriced: int) -> tuple[str, ...]:
    given, made = share.tokens
    name = escape(share.model).replace("\n", "\\n").replace("\t", "\\t")
    return (
        name,
        f"{share.answers:,}",
        f"{given:,}",
        f"{made:,}",
        size_text(share.size),
        _dollars(dollars, unpriced),
    )


def _sum(shares: Sequence[ModelShare], prices: Prices) -> tuple[str, ...]:
    costs = [_cost(share, prices) for share in shares]
    tokens = [share.tokens for share in shares]
    return (
        "all",
        f"{sum(share.answers for share in shares):,}",
        f"{sum(given for given, _ in tokens):,}",
        f"{sum(made for _, made in tokens):,}",
        size_text(sum(share.size for share in shares)),
        _dollars(sum(dollars for dollars, _ in costs), sum(unpriced for _, unpriced in costs)),
    )


def _cost(share: ModelShare, prices: Prices) -> tuple[float, int]:
    # An answer does not say who gave it; a model's own name does, as where prompts name it alone.
    return share.cost_again(prices, "local" if share.model in RELEASES else "openai")


def _dollars(dollars: float, unpriced: int) -> str:
    return dollars_text(dollars, unpriced).removeprefix("cost ")
