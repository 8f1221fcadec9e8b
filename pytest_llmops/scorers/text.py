"""Compare an answer's text with what was expected: pass or fail, or how much they are alike.

Pass or fail, with a text: `exact` wants the same text to the last character, `contains` the text
somewhere in the answer, `starts_with` at its start, `regex` a match of the pattern somewhere.
`contains_all` and `contains_any` take a list of texts; `icontains` and its like do not tell upper from
lower case.
`json_equal` wants one JSON value equal to the expected one, `number` one number, `word_count` no more
words than the value, or from least to most of `[least, most]`; `refusal` wants no refusal, with the value
True one.

Scores from 0 to 1, against one text or a list of them: `levenshtein`, `rouge_1`, `rouge_2`, `rouge_l`,
`bleu`, `chrf`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers import expected as read
from pytest_llmops.scorers import overlap, refusal
from pytest_llmops.scorers.expected import shown
from pytest_llmops.scorers.json_equal import json_miss, read_routes
from pytest_llmops.scorers.number import number_miss, read_tolerance, wanted_number
from pytest_llmops.scorers.score import Metric, Score, Scorer, divides
from pytest_llmops.scorers.words import word_count
from pytest_llmops.store.canonical import SHORT, JsonValue, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Be one way to compare."""

    read: Callable[[JsonValue, str], Any]
    """Returns what is expected, ready to be compared with; a subject for messages comes second."""
    compare: Callable[..., str | float]
    """Returns why an answer misses, "" where it does not; of a score its value, from 0 to 1."""
    scores: bool = False
    """Whether it is a score, which takes a threshold."""
    default: JsonValue = None
    """What is expected where the metric has no value; None takes what each case expects."""
    options: frozenset[str] = frozenset()
    """Options that only this kind takes."""
    version: int = 1
    """Part of the metric version: raised when the same answer could get another score."""


def text_scorer(
    kind: str,
    *,
    name: str | None = None,
    value: JsonValue = None,
    threshold: float | None = None,
    required: bool = False,
    tolerance: JsonValue = None,
    ignore: Sequence[str] | None = None,
) -> Scorer:
    """Return the scorer that compares answers with `value`, or else with what each case expects.

    Args:
        kind: one of `KINDS`; hyphens are read as underscores.
        name: the metric's name; the kind where None.
        value: what all answers are compared with; None takes what each case expects.
        threshold: the lowest passing score, above 0 and at most 1; None where no single case can fail.
        required: a miss fails its case always, baseline or not.
        tolerance: how far a `number` may be off: a number is absolute, a text such as `1%` is relative to
            the expected number.
        ignore: paths that `json_equal` does not look at, such as `$.items[*].ts`.

    Raises:
        MisuseError: the kind is unknown, `value` is nothing that it can compare with, or an option is none of
            this kind or wrong.
    """
    kind = kind.replace("-", "_")
    if kind not in KINDS:
        raise MisuseError(f"There is no text metric {kind!r}. {closest(kind, KINDS)}")
    way = KINDS[kind]
    options: dict[str, JsonValue] = {"tolerance": tolerance, "ignore": ignore}
    given = {option: chosen for option, chosen in options.items() if chosen is not None}
    _check(kind, way, threshold, given)
    prepared = {option: _OPTIONS[option](chosen) for option, chosen in given.items()}
    version = digest({"kind": kind, "value": value, "version": way.version, **given})[:SHORT]
    metric = Metric(
        name=name or kind,
        version=version,
        kind="score" if way.scores else "pass_fail",
        threshold=threshold,
        required=required,
    )
    scorer = TextScorer(
        metric=metric,
        value=way.default if value is None else value,
        read=way.read,
        compare=partial(way.compare, **prepared),
    )
    if scorer.value is None:
        return scorer
    return replace(scorer, wanted=scorer.expected(scorer.value, f"The value of the metric {metric.name!r}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScorer:
    """Compare answers in one way; `text_scorer` makes it."""

    metric: Metric
    value: JsonValue
    """What all answers are compared with; None takes what each case expects."""
    read: Callable[[JsonValue, str], Any]
    compare: Callable[[str, Any], str | float]
    wanted: Any = None
    """The value, read once and ready to be compared with."""

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return 1 where the answer is as expected, else 0 with the reason; or how much they are alike.

        Raises:
            MisuseError: the case expects nothing, or nothing that this metric can compare with.
        """
        if self.value is None:
            subject = f"What the case {case.id!r} expects for the metric {self.metric.name!r}"
            expected = self.expected(case.expected, subject)
        else:
            expected = self.wanted
        found = self.compare(response.text, expected)
        if isinstance(found, str):
            return self.metric.score(not found, reason=found)
        return self.metric.score(found)

    def expected(self, value: JsonValue, subject: str) -> Any:
        """Return what is expected, ready to be compared with.

        Raises:
            MisuseError: it is missing, or nothing that this metric can compare with; `subject` starts the
                message.
        """
        if value is None:
            raise MisuseError(
                f"{subject} is missing: add `expected` to the row, or give the metric a value for all cases."
            )
        return self.read(value, subject)


def _check(kind: str, way: Kind, threshold: object, given: Mapping[str, object]) -> None:
    """Refuse what this kind does not take."""
    for option in given.keys() - way.options:
        owner = next(name for name, each in KINDS.items() if option in each.options)
        raise MisuseError(f"The metric {kind!r} takes no {option}; {owner!r} does.")
    if threshold is None:
        return
    if not way.scores:
        raise MisuseError(f"The metric {kind!r} passes or fails: it takes no threshold.")
    if not divides(threshold, 0, 1):
        raise MisuseError(f"The threshold {threshold!r} of {kind!r} is not a number above 0 and at most 1.")


def _exact(answer: str, expected: str) -> str:
    return "" if answer == expected else f"the answer is {shown(answer)}, not {shown(expected)}"


def _contains(answer: str, expected: str) -> str:
    return "" if expected in answer else f"the answer does not contain {shown(expected)}"


def _contains_all(answer: str, expected: Sequence[str]) -> str:
    missing = [shown(each) for each in expected if each not in answer]
    return f"the answer does not contain {', '.join(missing)}" if missing else ""


def _contains_any(answer: str, expected: Sequence[str]) -> str:
    if any(each in answer for each in expected):
        return ""
    return f"the answer contains none of {', '.join(map(shown, expected))}"


def _icontains(answer: str, expected: str) -> str:
    return _contains(answer.casefold(), expected.casefold())


def _icontains_all(answer: str, expected: Sequence[str]) -> str:
    return _contains_all(answer.casefold(), [each.casefold() for each in expected])


def _icontains_any(answer: str, expected: Sequence[str]) -> str:
    return _contains_any(answer.casefold(), [each.casefold() for each in expected])


def _starts_with(answer: str, expected: str) -> str:
    if answer.startswith(expected):
        return ""
    return f"the answer starts with {shown(answer[: len(expected)])}, not with {shown(expected)}"


def _regex(answer: str, expected: re.Pattern[str]) -> str:
    if expected.search(answer):
        return ""
    return f"the pattern {shown(expected.pattern)} matches nothing in the answer"


def _json_equal(answer: str, expected: JsonValue, ignore: Any = ()) -> str:
    return json_miss(answer, expected, ignore)


def _number(answer: str, expected: Any, tolerance: Any = None) -> str:
    return number_miss(answer, expected, tolerance or read_tolerance(None))


def _word_count(answer: str, expected: tuple[int, int]) -> str:
    least, most = expected
    count = word_count(answer)
    if least <= count <= most:
        return ""
    return f"the answer has {count} words, not {least} to {most}"


KINDS: Final[Mapping[str, Kind]] = {
    "exact": Kind(read=read.text, compare=_exact),
    "contains": Kind(read=read.part, compare=_contains),
    "contains_all": Kind(read=read.parts, compare=_contains_all),
    "contains_any": Kind(read=read.parts, compare=_contains_any),
    "icontains": Kind(read=read.part, compare=_icontains),
    "icontains_all": Kind(read=read.parts, compare=_icontains_all),
    "icontains_any": Kind(read=read.parts, compare=_icontains_any),
    "starts_with": Kind(read=read.part, compare=_starts_with),
    "regex": Kind(read=read.pattern, compare=_regex),
    "json_equal": Kind(read=read.any_json, compare=_json_equal, options=frozenset({"ignore"})),
    "number": Kind(read=wanted_number, compare=_number, options=frozenset({"tolerance"})),
    "word_count": Kind(read=read.span, compare=_word_count),
    "refusal": Kind(
        read=read.yes_or_no, compare=refusal.refusal_miss, default=False, version=refusal.VERSION
    ),
    "levenshtein": Kind(read=read.references, compare=overlap.levenshtein, scores=True),
    "rouge_1": Kind(read=read.worded, compare=overlap.rouge_1, scores=True),
    "rouge_2": Kind(read=read.worded, compare=overlap.rouge_2, scores=True),
    "rouge_l": Kind(read=read.worded, compare=overlap.rouge_l, scores=True),
    "bleu": Kind(read=read.filled, compare=overlap.bleu, scores=True),
    "chrf": Kind(read=read.filled, compare=overlap.chrf, scores=True),
}
"""All ways to compare, by name."""

_OPTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {"tolerance": read_tolerance, "ignore": read_routes}
"""What reads an option."""
