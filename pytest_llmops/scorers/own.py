"""Make scorers of what users give: functions, objects in the style of autoevals, scorers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, overload

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.custom import CustomScorer
from pytest_llmops.scorers.output_style import in_output_style
from pytest_llmops.scorers.score import Scorer
from pytest_llmops.scorers.wish import Wish


@overload
def scorer(function: Callable[..., Any], /) -> CustomScorer: ...


@overload
def scorer(
    *,
    name: str | None = None,
    kind: Literal["pass_fail", "score"] | None = None,
    range: tuple[float, float] = (0, 1),
    threshold: float | None = None,
    higher_is_better: bool = True,
    required: bool = False,
    version: str | None = None,
    free: bool | None = None,
) -> Callable[[Callable[..., Any]], CustomScorer]: ...


def scorer(function: Callable[..., Any] | None = None, /, **wish: Any) -> Any:
    """Make a scorer of a function `(case, response)` that returns a number, a bool or a Score; async too.

    Stands as a decorator, bare or with arguments; the scorer can still be called as the function. A function
    that says `-> bool` passes or fails; any other gives a score in `range`, and without a threshold no case
    can fail by it. Whether a Score passes is decided by the threshold, whatever it says itself. A sync
    function holds up all calls while it runs: one that takes long should be async. One that raises is an
    error of the test, like a broken body, and nothing is scored.

    Callables in the style of autoevals, `(output, expected=None, input=None)`, are taken too.

    Args:
        function: the function.
        wish: name: the metric's name, the function's where None.
            kind: `pass_fail` or `score`, where the function does not say it.
            range: lowest and highest score.
            threshold: the score that a case must reach to pass; None where no single case can fail.
            higher_is_better: False for errors and the like, where a threshold is the highest passing score.
            required: a miss fails its case always, baseline or not.
            version: changes when the same answer could get another score. Where None: a digest of the
                function's parameters and statements and of the plain values it uses, but not of other
                functions; of an autoevals object its class, settings and package version.
            free: stored answers are scored again without asking when the version changes; where None true
                of functions and false of autoevals objects, which may ask a model.

    Raises:
        MisuseError: it is no such function, or an argument is wrong.
    """
    try:
        wanted = Wish(**wish)
    except TypeError:
        known = ", ".join(Wish.__slots__)
        unknown = ", ".join(sorted(wish.keys() - set(Wish.__slots__)))
        raise MisuseError(f"scorer() does not know {unknown}. Known: {known}.") from None
    return partial(custom_scorer, wish=wanted) if function is None else custom_scorer(function, wish=wanted)


def custom_scorer(thing: Any, *, wish: Wish | None = None) -> CustomScorer:
    """Return the scorer of a function or of an object in the style of autoevals.

    Raises:
        MisuseError: it is neither, or a wish cannot be fulfilled.
    """
    if isinstance(thing, CustomScorer) or not (callable(thing) or in_output_style(thing)):
        raise MisuseError(f"scorer({thing!r}): give a function (case, response).")
    if inspect.isclass(thing):
        raise MisuseError(f"scorer({thing.__name__}): this is a class; give an object, {thing.__name__}().")
    return CustomScorer(thing, wish or Wish())


def as_scorer(thing: Any, **wish: Any) -> Scorer | None:
    """Return the scorer that a user's object is, or that can be made of it; None where it is none.

    Args:
        thing: a scorer, a function, or an object in the style of autoevals.
        wish: name, threshold, required: what is wanted other than the scorer says, which only those of
            functions and of autoevals objects take.

    Raises:
        MisuseError: a wish cannot be fulfilled.
    """
    if isinstance(thing, CustomScorer):
        return thing.wishing(**wish) if wish else thing
    if hasattr(thing, "metric") and hasattr(thing, "score"):
        if wish:
            raise MisuseError(f"{', '.join(wish)}: no other argument beside a scorer, which brings its own.")
        found: Scorer = thing
        return found
    if not callable(thing) and not in_output_style(thing):
        return None
    return custom_scorer(thing, wish=Wish(**wish))


def defined(thing: Any) -> str:
    """Return where a scorer's function, or its class, stands, for messages."""
    plain = inspect.unwrap(thing) if callable(thing) else thing
    code = getattr(plain, "__code__", None)
    owner = plain if code is not None else type(plain)
    name = f"{owner.__module__}.{owner.__qualname__}"
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code is not None else name
