"""Ask scorers in the style of autoevals: callables of `(output, expected=None, input=None)`.

Such an object has `eval` and maybe `eval_async`, or is a plain function whose first parameter is `output`;
what it returns has a `score` from 0 to 1, or None where there is none, and maybe `metadata`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from pytest_llmops.calls.exchange import Response
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.score import Score
from pytest_llmops.store.canonical import JsonValue, digest
from pytest_llmops.store.function import class_digest, function_digest, plain

_SECRETS: Final = ("key", "token", "secret", "password")
"""Ends of the names of settings that change no score."""

_REASONS: Final = ("rationale", "reason")
"""Keys of the metadata that say why."""


def in_output_style(thing: Any) -> bool:
    """Tell whether an object is asked as those of autoevals are."""
    if inspect.isclass(thing):
        return False
    if callable(getattr(thing, "eval_async", None)) or callable(getattr(thing, "eval", None)):
        return True
    return callable(thing) and next(iter(_parameters(thing)), "") == "output"


def ask_in_style(thing: Any, case: Case, response: Response) -> Any:
    """Return what the object says of an answer, or something to await that gives it.

    `input` is the case's one input, or all of them by name.
    """
    asked = _asked(thing)
    known = _parameters(asked)
    more: dict[str, Any] = {}
    if "input" in known or any(each.kind is each.VAR_KEYWORD for each in known.values()):
        inputs = case.inputs
        more["input"] = next(iter(inputs.values())) if len(inputs) == 1 else dict(inputs)
    return asked(response.text, expected=case.expected, **more)


def style_result(result: Any) -> Any:
    """Return a result as a Score where it has a `score`; else as it is."""
    if not hasattr(result, "score"):
        return result
    metadata = getattr(result, "metadata", None)
    told = metadata if isinstance(metadata, Mapping) else {}
    reason = next((str(told[key]) for key in _REASONS if told.get(key)), "")
    error = getattr(result, "error", None)
    return Score(value=result.score, reason=reason, error=str(error) if error else "")


def style_version(thing: Any) -> str:
    """Return the digest of what makes the score: class, settings and package; or the function."""
    if getattr(thing, "__code__", None) is not None:
        return function_digest(thing)
    kind = type(thing)
    try:
        package = version(kind.__module__.partition(".")[0])
    except PackageNotFoundError:
        package = ""
    content: dict[str, JsonValue] = {
        "class": class_digest(kind),
        "package": package,
        "settings": plain(_settings(getattr(thing, "__dict__", {}))),
    }
    return digest(content)


def _asked(thing: Any) -> Any:
    return getattr(thing, "eval_async", None) or getattr(thing, "eval", None) or thing


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _settings(values: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return the settings of JSON without secrets, which change no score."""
    kept: dict[str, JsonValue] = {}
    for name, value in values.items():
        if str(name).lower().endswith(_SECRETS):
            continue
        held = plain(_settings(value) if isinstance(value, Mapping) else value)
        if held is not None:
            kept[str(name)] = held
    return kept
