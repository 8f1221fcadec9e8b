"""Score answers with users' own functions and objects."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import CallError, JudgeError, MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.output_style import (
    ask_in_style,
    in_output_style,
    style_result,
    style_version,
)
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.scorers.wish import Wish
from pytest_llmops.store.canonical import SHORT
from pytest_llmops.store.function import function_digest


class CustomScorer:
    """Score answers with a user's own function or object; `scorer` makes it."""

    waits = True
    """Runs a user's code, which may wait, and is to be called once an answer."""

    def __init__(self, thing: Callable[..., Any], wish: Wish) -> None:
        """Check what a user gave.

        Args:
            thing: a function `(case, response)`, or a callable in the style of autoevals.
            wish: what the metric shall be.

        Raises:
            MisuseError: it is no such function, or a wish cannot be fulfilled.
        """
        self.thing = thing
        self._wish = wish
        self._in_style = in_output_style(thing)
        self._name = wish.name or str(getattr(thing, "__name__", None) or getattr(thing, "name", "") or "")
        if not self._name:
            self._name = type(thing).__name__
        wish.check(self._name)
        if not self._in_style and not _takes_two(thing):
            raise MisuseError(
                f"The scorer {self._name!r} does not take (case, response), as a scorer's function must."
            )
        self._passes = wish.kind == "pass_fail" or (wish.kind is None and _says_bool(thing))
        if self._passes and (wish.threshold is not None or tuple(wish.range) != (0, 1)):
            raise MisuseError(
                f"The scorer {self._name!r} passes or fails: it takes no threshold and no range."
            )

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Return what the function itself returns."""
        return self.thing(*arguments, **more)

    def wishing(self, **wish: Any) -> CustomScorer:
        """Return the same scorer with another name, threshold or the like.

        Raises:
            MisuseError: an argument is wrong.
        """
        return CustomScorer(self.thing, replace(self._wish, **wish))

    @cached_property
    def metric(self) -> Metric:
        """Return what the score means; made on first use, when all that the function uses is defined."""
        wish = self._wish
        made = style_version if self._in_style else function_digest
        return Metric(
            name=self._name,
            version=wish.version or made(self.thing)[:SHORT],
            kind="pass_fail" if self._passes else "score",
            range=(float(wish.range[0]), float(wish.range[1])),
            higher_is_better=wish.higher_is_better,
            threshold=wish.threshold,
            required=wish.required,
            free=not self._in_style if wish.free is None else wish.free,
        )

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return what the function says.

        Raises:
            MisuseError: it raised an exception, or returned no score of its metric.
            CallError: it raised this itself, as JudgeError: then the case is not measured.
        """
        try:
            ask = ask_in_style(self.thing, case, response) if self._in_style else self.thing(case, response)
            given = await ask if inspect.isawaitable(ask) else ask
        except (CallError, JudgeError):
            raise
        except Exception as error:
            told = str(error).partition("\n")[0]
            raise MisuseError(
                f"The scorer {self._name!r} raised {type(error).__name__} on the case {case.id!r}: {told} "
                f"({_place(error)})."
            ) from error
        return self._read(style_result(given) if self._in_style else given, case)

    def _read(self, given: Any, case: Case) -> Score:
        score = given if isinstance(given, Score) else Score(value=_number(given))
        if score.value is None and (isinstance(given, Score) or self._in_style):
            return replace(score, passed=None, error=score.error or f"{self._name} gave no score")
        wrong = self._refusal(score.value, case)
        if wrong:
            raise MisuseError(wrong)
        value = float(score.value or 0.0)
        return replace(score, value=value, passed=self.metric.passes(value))

    def _refusal(self, value: object, case: Case) -> str:
        """Return why a value is no score; "" where it is one."""
        gave = f"The scorer {self._name!r} gave"
        if isinstance(value, bool) and not self._passes and self._wish.kind is None and not self._in_style:
            return (
                f"{gave} {value} on the case {case.id!r}, but does not say that it passes or fails: write "
                "`-> bool`, or return a number."
            )
        refusal = self.metric.refusal(value)
        if not refusal and self._passes and value not in (0, 1):
            refusal = f"{value}, which is neither True nor False"
        return f"{gave} {refusal} (on the case {case.id!r})." if refusal else ""


def _says_bool(thing: Any) -> bool:
    function = inspect.unwrap(thing) if hasattr(thing, "__annotations__") else type(thing).__call__
    return getattr(function, "__annotations__", {}).get("return") in (bool, "bool")


def _takes_two(thing: Any) -> bool:
    try:
        inspect.signature(thing).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        # Some that are written in C do not tell.
        return True
    return True


def _number(given: Any) -> Any:
    """Return a number of numpy's as Python's own, and anything else as it is."""
    return given.item() if type(given).__module__ == "numpy" and hasattr(given, "item") else given


def _place(error: Exception) -> str:
    """Return the line of the user's function that an exception came out of."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = frames[min(1, len(frames) - 1)]
    return f"{Path(frame.filename).name}, line {frame.lineno}"
