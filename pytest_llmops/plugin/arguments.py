"""Read the arguments of markers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError, closest


def bound(mark: pytest.Mark, form: Callable[..., None]) -> dict[str, Any]:
    """Return the arguments of a marker by name, defaults filled in.

    Args:
        mark: the marker as the user wrote it.
        form: a function with the arguments that the marker takes.

    Raises:
        MisuseError: an argument is unknown or missing.
    """
    signature = inspect.signature(form)
    known = signature.parameters
    for name in mark.kwargs:
        if name not in known:
            raise MisuseError(
                f"{mark.name}() does not know the argument {name!r}. {_guess(name, known)}"
                f"Known: {', '.join(known)}."
            )
    try:
        bound = signature.bind(*mark.args, **mark.kwargs)
    except TypeError as error:
        raise MisuseError(f"{mark.name}(): {error}. It takes: {', '.join(known)}.") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def changed(arguments: Mapping[str, Any], form: Callable[..., None], names: Iterable[str]) -> str:
    """Return the first of some arguments that is not its default; "" where all are."""
    defaults = inspect.signature(form).parameters
    return next((name for name in names if arguments[name] != defaults[name].default), "")


def _guess(name: str, known: Mapping[str, object]) -> str:
    guess = closest(name, known)
    return "" if guess.startswith("Known") else f"{guess} "


def text(mark: pytest.Mark, name: str, value: object) -> str:
    """Return `value` where it is text that is not empty.

    Raises:
        MisuseError: it is not.
    """
    if isinstance(value, str) and value:
        return value
    raise MisuseError(f"{mark.name}({name}={value!r}): give text.")


def count(mark: pytest.Mark, name: str, value: object) -> int:
    """Return `value` where it is a whole number of at least 1.

    Raises:
        MisuseError: it is not.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise MisuseError(f"{mark.name}({name}={value!r}): give a whole number of at least 1.")
