"""Compare an answer with what was expected: exact, contains, icontains, regex, json_equal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.json_text import read_json
from pytest_llmops.scorers.score import Metric, Score, Scorer
from pytest_llmops.store.canonical import SHORT, JsonValue, canonical, digest

VERSION: Final = 1
"""Part of every metric version: raised when the same answer could get another score."""

_SHOWN = 120
"""Characters of a text that a reason quotes."""


def text_scorer(
    kind: str, *, name: str | None = None, value: JsonValue = None, required: bool = False
) -> Scorer:
    """Return the pass/fail scorer that compares answers with `value`, or else with each case's `expected`.

    `exact` wants the same text to the last character, `contains` wants the text somewhere in the answer,
    `icontains` the same in upper or lower case, `regex` a match of the pattern somewhere in the answer, and
    `json_equal` an answer that is one JSON value equal to the expected one.

    Args:
        kind: one of these five.
        name: the metric's name; the kind where None.
        value: text, or any JSON for `json_equal`; None takes what the case expects.
        required: a miss fails its case always, baseline or not.

    Raises:
        MisuseError: the kind is unknown, or `value` is nothing that it can compare with.
    """
    if kind not in _REASONS:
        raise MisuseError(f"There is no text metric {kind!r}. {closest(kind, _REASONS)}")
    version = digest({"kind": kind, "value": value, "version": VERSION})[:SHORT]
    metric = Metric(name=name or kind, version=version, required=required)
    scorer = TextScorer(kind=kind, metric=metric, value=value)
    if value is not None:
        scorer.check(value, f"The value of the metric {metric.name!r}")
    return scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScorer:
    """Compare answers in one of the five ways; `text_scorer` makes it."""

    kind: str
    metric: Metric
    value: JsonValue
    """What all answers are compared with; None takes what each case expects."""

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return 1 where the answer is as expected, else 0 with the reason.

        Raises:
            MisuseError: the case expects nothing, or nothing that this metric can compare with.
        """
        expected = self.value
        if expected is None:
            expected = case.expected
            self.check(expected, f"What the case {case.id!r} expects for the metric {self.metric.name!r}")
        reason = _REASONS[self.kind](response.text, expected)
        return self.metric.score(not reason, reason=reason)

    def check(self, expected: JsonValue, subject: str) -> None:
        """Refuse what this metric cannot compare with.

        Raises:
            MisuseError: `expected` is missing, no text, empty or no pattern; `subject` starts the message.
        """
        if expected is None:
            raise MisuseError(
                f"{subject} is missing: add `expected` to the row, or give the metric a value for all cases."
            )
        if self.kind == "json_equal":
            return
        if not isinstance(expected, str):
            raise MisuseError(
                f"{subject} is {_shown(expected)}, which is not text: write text, or use json_equal."
            )
        if not expected and self.kind in ("contains", "icontains"):
            raise MisuseError(f"{subject} is an empty text, which every answer contains.")
        if self.kind == "regex":
            _pattern(expected, subject)


def _exact(answer: str, expected: JsonValue) -> str:
    return "" if answer == expected else f"the answer is {_shown(answer)}, not {_shown(expected)}"


def _contains(answer: str, expected: JsonValue) -> str:
    return "" if str(expected) in answer else f"the answer does not contain {_shown(expected)}"


def _icontains(answer: str, expected: JsonValue) -> str:
    return _contains(answer.casefold(), str(expected).casefold())


def _regex(answer: str, expected: JsonValue) -> str:
    found = _pattern(str(expected), "The pattern").search(answer)
    return "" if found else f"the pattern {_shown(expected)} matches nothing in the answer"


def _json_equal(answer: str, expected: JsonValue) -> str:
    try:
        return _difference(read_json(answer), expected, "$")
    except ValueError as error:
        return f"the answer is {error}"


_REASONS: Final[Mapping[str, Callable[[str, JsonValue], str]]] = {
    "exact": _exact,
    "contains": _contains,
    "icontains": _icontains,
    "regex": _regex,
    "json_equal": _json_equal,
}
"""For each kind what says why an answer misses; "" where it does not."""


def _pattern(text: str, subject: str) -> re.Pattern[str]:
    try:
        # The re module keeps compiled patterns, so this costs once a pattern.
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise MisuseError(f"{subject} is {_shown(text)}, which is not a pattern: {error}.") from None


def _difference(answer: JsonValue, expected: JsonValue, path: str) -> str:
    """Return where two JSON values first differ, "" where they do not; 1 equals 1.0."""
    if isinstance(answer, Mapping) and isinstance(expected, Mapping):
        for key in sorted({*answer, *expected}):
            if key not in answer:
                return f"{path}.{key} is missing"
            if key not in expected:
                return f"{path}.{key} is not expected"
            if reason := _difference(answer[key], expected[key], f"{path}.{key}"):
                return reason
        return ""
    if isinstance(answer, list) and isinstance(expected, list | tuple) and len(answer) == len(expected):
        pairs = enumerate(zip(answer, expected, strict=True))
        return next((reason for i, (a, b) in pairs if (reason := _difference(a, b, f"{path}[{i}]"))), "")
    if canonical(answer) == canonical(expected):
        return ""
    return f"{path} is {_shown(answer)}, not {_shown(expected)}"


def _shown(value: JsonValue) -> str:
    text = repr(value) if isinstance(value, str) else canonical(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
