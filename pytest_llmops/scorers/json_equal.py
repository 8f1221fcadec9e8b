"""Compare an answer with the JSON value that is expected, parts of it left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.expected import shown
from pytest_llmops.scorers.json_text import read_json
from pytest_llmops.store.canonical import JsonValue, canonical

Step: TypeAlias = str | int | None
"""A key, an index, or None for all of them."""

Route: TypeAlias = tuple[Step, ...]
"""The steps from a value to a part of it."""

_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]*]+)|(?P<all>\.\*|\[\*\])|\[(?P<index>[0-9]{1,9})\]|\[(?P<quote>["'])(?P<key>.+?)(?P=quote)\]"""
)


def read_routes(paths: object) -> tuple[Route, ...]:
    """Return the parts of a JSON value that paths such as `$.id` and `$.items[*].ts` name.

    Raises:
        MisuseError: there is no list of paths, or one of them cannot be read.
    """
    if isinstance(paths, str) or not isinstance(paths, Sequence):
        raise MisuseError(f"ignore={paths!r}: give a list of paths, such as ['$.id', '$.items[*].ts'].")
    return tuple(_route(path) for path in paths)


def json_miss(answer: str, expected: JsonValue, ignored: Iterable[Route] = ()) -> str:
    """Return where the answer first differs from the expected JSON value; "" where it does not.

    1 equals 1.0, and the order of keys does not matter. What `ignored` names may differ, and may be missing.
    """
    try:
        return _difference(read_json(answer), expected, "$", tuple(ignored))
    except ValueError as error:
        return f"the answer is {error}"


def _route(path: object) -> Route:
    steps: list[Step] = []
    place = 1
    while isinstance(path, str) and path.startswith("$") and (found := _STEP.match(path, place)):
        index = found["index"]
        steps.append(None if found["all"] else int(index) if index else found["name"] or found["key"])
        place = found.end()
    if not isinstance(path, str) or not steps or place < len(path):
        raise MisuseError(
            f"The path {path!r} of ignore cannot be read: write $ and then .name, ['any name'], [0] or [*], "
            "such as $.items[*].ts."
        )
    return tuple(steps)


def _difference(answer: JsonValue, expected: JsonValue, path: str, ignored: tuple[Route, ...]) -> str:
    """Return where two JSON values first differ, "" where they do not."""
    if isinstance(answer, Mapping) and isinstance(expected, Mapping):
        for key in sorted({*answer, *expected}):
            left = _beyond(ignored, key)
            if () in left:
                continue
            if key not in answer:
                return f"{path}.{key} is missing"
            if key not in expected:
                return f"{path}.{key} is not expected"
            if reason := _difference(answer[key], expected[key], f"{path}.{key}", left):
                return reason
        return ""
    if isinstance(answer, list) and isinstance(expected, list | tuple) and len(answer) == len(expected):
        for index, (each, other) in enumerate(zip(answer, expected, strict=True)):
            left = _beyond(ignored, index)
            if () not in left and (reason := _difference(each, other, f"{path}[{index}]", left)):
                return reason
        return ""
    if canonical(answer) == canonical(expected):
        return ""
    return f"{path} is {shown(answer)}, not {shown(expected)}"


def _beyond(ignored: tuple[Route, ...], step: str | int) -> tuple[Route, ...]:
    """Return what is ignored below a step; () stands for the step itself."""
    return tuple(route[1:] for route in ignored if route and (route[0] is None or route[0] == step))
