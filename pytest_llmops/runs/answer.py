"""Read an answer as JSON so that what it lacks is a miss of the case, not a broken test."""

from __future__ import annotations

from typing import Any, SupportsIndex

from pytest_llmops.errors import AnswerError
from pytest_llmops.store.canonical import JsonValue, parse_json

_SHOWN = 200
"""Characters of an answer that a message quotes."""


def parse_answer(text: str) -> Any:
    """Return the answer as JSON whose missing keys and indices raise AnswerError.

    Objects and arrays are dicts and lists; texts and numbers are str, int and float.

    Raises:
        AnswerError: the text is not one JSON value.
    """
    try:
        return _view(parse_json(text), "$")
    except ValueError as error:
        raise AnswerError(f"The answer is not JSON ({error}): {text[:_SHOWN]!r}") from None


class AnswerObject(dict[str, Any]):
    """Be a JSON object of an answer."""

    path: str

    def __missing__(self, key: object) -> Any:
        raise AnswerError(
            f"The answer has no {key!r} at {self.path}; it has: {', '.join(self) or 'nothing'}."
        )


class AnswerArray(list[Any]):
    """Be a JSON array of an answer."""

    path: str

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if not isinstance(index, slice) and not hasattr(index, "__index__"):
            raise AnswerError(f"The answer holds an array at {self.path}, which has no {index!r}.")
        try:
            return super().__getitem__(index)
        except IndexError:
            raise AnswerError(
                f"The answer's array at {self.path} has no item {index!r}, only {len(self)}."
            ) from None


class AnswerText(str):
    """Be a JSON text of an answer."""

    __slots__ = ("path",)
    path: str

    def __getitem__(self, index: SupportsIndex | slice) -> str:
        if isinstance(index, str):
            raise AnswerError(
                f"The answer holds the text {str(self)!r} at {self.path}, which has no {index!r}."
            )
        return super().__getitem__(index)


class AnswerInteger(int):
    """Be a whole number of an answer."""

    path: str

    def __getitem__(self, key: object) -> Any:
        raise AnswerError(f"The answer holds the number {self} at {self.path}, which has no {key!r}.")


class AnswerNumber(float):
    """Be a number of an answer."""

    path: str

    def __getitem__(self, key: object) -> Any:
        raise AnswerError(f"The answer holds the number {self} at {self.path}, which has no {key!r}.")


def _view(value: JsonValue, path: str) -> Any:
    view: AnswerObject | AnswerArray | AnswerText | AnswerInteger | AnswerNumber
    if isinstance(value, dict):
        view = AnswerObject({key: _view(item, f"{path}.{key}") for key, item in value.items()})
    elif isinstance(value, list):
        view = AnswerArray(_view(item, f"{path}[{index}]") for index, item in enumerate(value))
    elif isinstance(value, str):
        view = AnswerText(value)
    elif isinstance(value, bool) or value is None:
        return value
    else:
        view = AnswerInteger(value) if isinstance(value, int) else AnswerNumber(value)  # type: ignore[arg-type]
    view.path = path
    return view
