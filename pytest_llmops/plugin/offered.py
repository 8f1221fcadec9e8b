"""Find the scorers that conftest files, plugins and packages offer by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.score import Scorer

GROUP = "pytest_llmops.scorers"
"""The entry points whose objects are scorers."""

TOOL_CALLS = "tool_calls"
SIMILARITY = "similarity"

ELSEWHERE = (TOOL_CALLS, SIMILARITY)
"""Built-in metrics that are neither comparisons of texts nor what is spent."""

_entries_key = pytest.StashKey[tuple[EntryPoint, ...]]()


def offered_scorers(definition: pytest.Item) -> dict[str, Callable[[], Scorer]]:
    """Return what gives each scorer that is offered to a test function, by name.

    Raises:
        MisuseError: a hook gave something else, a name is taken twice, or it is that of a built-in metric.
    """
    from pytest_llmops.scorers.spent import SPENT
    from pytest_llmops.scorers.text import KINDS

    found: dict[str, tuple[str, Any, Callable[[], Scorer]]] = {}
    for name, where, thing, load in _offers(definition):
        if name.replace("-", "_") in {*SPENT, *KINDS, *ELSEWHERE}:
            raise MisuseError(f"The scorer {name!r} of {where} has a built-in metric's name; rename it.")
        if name in found and found[name][1] is not thing:
            raise MisuseError(f"Two scorers are called {name!r}: {found[name][0]} and {where}. Rename one.")
        found[name] = where, thing, load
    return {name: load for name, (_, _, load) in found.items()}


def _offers(definition: pytest.Item) -> Iterator[tuple[str, str, Any, Callable[[], Scorer]]]:
    """Yield for each scorer its name, where it stands, itself, and what gives it."""
    from pytest_llmops.scorers.own import defined

    for result in definition.ihook.pytest_llmops_scorers():
        for name, thing in _named(result):
            scorer = _scorer(thing, f"pytest_llmops_scorers() gave {thing!r}", name)
            yield name or scorer.metric.name, defined(thing), thing, partial(_same, scorer)
    config = definition.config
    if _entries_key not in config.stash:
        config.stash[_entries_key] = tuple(entry_points(group=GROUP))
    for entry in config.stash[_entries_key]:
        where = f"{entry.value} (package {entry.dist.name if entry.dist else 'unknown'})"
        yield entry.name, where, entry, partial(_loaded, entry, where)


def _named(result: object) -> Iterator[tuple[str | None, Any]]:
    if isinstance(result, Mapping) and all(isinstance(name, str) and name for name in result):
        yield from result.items()
    elif isinstance(result, Sequence) and not isinstance(result, str):
        yield from ((None, thing) for thing in result)
    else:
        raise MisuseError(
            f"pytest_llmops_scorers() gave {result!r}: give a list of scorers, or a mapping from their names."
        )


def _scorer(thing: Any, subject: str, name: str | None) -> Scorer:
    """Return the scorer of an offer, under the name that it is offered by where it can be renamed."""
    from pytest_llmops.scorers.own import as_scorer

    own_name = hasattr(thing, "metric") and not hasattr(thing, "wishing")
    scorer = as_scorer(thing, **({"name": name} if name and not own_name else {}))
    if scorer is None:
        raise MisuseError(f"{subject}, which is no scorer.")
    return scorer


def _same(scorer: Scorer) -> Scorer:
    return scorer


def _loaded(entry: EntryPoint, where: str) -> Scorer:
    try:
        thing = entry.load()
    except Exception as error:
        raise MisuseError(
            f"The scorer {entry.name!r} of {where} cannot be loaded: {type(error).__name__}: {error}."
        ) from None
    return _scorer(thing, f"The entry point {entry.name!r} of {where} is {thing!r}", entry.name)
