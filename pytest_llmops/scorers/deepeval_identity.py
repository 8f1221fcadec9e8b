"""Describe a metric object of deepeval as JSON, so that a change of what it was made with shows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from pytest_llmops.store.canonical import JsonValue, canonical

_LEFT_OUT = frozenset({"threshold", "verbose_mode", "async_mode", "flaky", "evaluation_model"})
"""Attributes of the metric that do not decide its score; the judge's name is told apart."""


class Description:
    """Describe one object and all it holds, and collect the models in it.

    Args:
        is_model: tells whether an object is a judge model, which is not described.
    """

    def __init__(self, is_model: Callable[[object], bool]) -> None:
        self._is_model = is_model
        self._seen: dict[int, int] = {}
        self.models: list[object] = []
        """The models that were found."""

    def of_metric(self, metric: object) -> JsonValue:
        """Return the description of a metric."""
        held = {name: value for name, value in vars(metric).items() if name not in _LEFT_OUT}
        return [_source(type(metric)), self.of(held)]

    def of(self, value: Any) -> JsonValue:
        """Return the description of anything that a metric holds."""
        if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
            return value
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, Enum):
            return [type(value).__qualname__, value.name]
        if isinstance(value, type) or inspect.isroutine(value):
            return _source(value)
        if isinstance(value, re.Pattern):
            return [str(value.pattern), value.flags]
        if self._is_model(value):
            self.models.append(value)
            return "judge"
        # All of it is alive for as long as it is described, so ids are not used twice.
        if id(value) in self._seen:
            return ["again", self._seen[id(value)]]
        self._seen[id(value)] = len(self._seen)
        return self._of_parts(value)

    def _of_parts(self, value: Any) -> JsonValue:
        if isinstance(value, Mapping):
            pairs: list[JsonValue] = [[self.of(key), self.of(item)] for key, item in value.items()]
            return sorted(pairs, key=canonical)
        if isinstance(value, list | tuple):
            return [self.of(item) for item in value]
        if isinstance(value, set | frozenset):
            return sorted((self.of(item) for item in value), key=canonical)
        # An object without attributes is its class: its repr may name a place in memory.
        held = getattr(value, "__dict__", None)
        return [_source(type(value)), self.of(held)]


def _source(thing: Any) -> JsonValue:
    """Return the name of a class or function, and its text where it is not deepeval's own."""
    module, name = str(thing.__module__), str(thing.__qualname__)
    if module.partition(".")[0] == "deepeval":
        return [module, name]
    schema = getattr(thing, "model_json_schema", None)
    try:
        text = inspect.getsource(thing)
    except (OSError, TypeError):
        text = ""
    return [module, name, text, schema() if schema is not None else None]
