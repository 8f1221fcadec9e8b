"""Define every error that pytest-llmops raises, in one tree.

::

    LlmopsError
    ├── MisuseError            a wrong option, marker, file, row or name: the user can mend it
    │   └── DamagedError       a stored file that no longer is what was written
    ├── CallError              a call to a model that gave no usable answer
    │   ├── FatalCallError     asking again cannot help: 400 401 403 404 413 422, spent quota
    │   │   └── CacheMissError an answer was needed, and calls are not allowed (offline)
    │   ├── TransientCallError asking again may help: 408 409 425 429 5xx 529, time-outs
    │   ├── BadAnswerError     the model answered, and the answer is unusable: scores worst
    │   │   └── TargetError    the target, the user's code that answers, raised an exception
    │   └── BudgetError        the call would spend more than the session may
    ├── JudgeError             a judge gave no valid verdict: the score is unknown, never zero
    └── AnswerError            a test asked the answer for something it does not hold: a miss
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

BadAnswerKind = Literal[
    "length", "content_filter", "refusal", "empty", "malformed", "other_model", "cut_stream", "raised"
]


class LlmopsError(Exception):
    """Be the base of every error of this package."""


class MisuseError(LlmopsError):
    """Say what the user got wrong, where, and what to do."""


class DamagedError(MisuseError):
    """Say which stored file is damaged."""


class CallError(LlmopsError):
    """Say why a call to a model gave no usable answer.

    `request_id` is the provider's own name for the call, None where it gave none.
    """

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} (request id {self.request_id})" if self.request_id else message


class FatalCallError(CallError):
    """Say that the provider refused the call for good."""


class CacheMissError(FatalCallError):
    """Say that the cache holds no answer and `--llmops-cache=offline` forbids the call."""


class TransientCallError(CallError):
    """Say that the call failed in a way that may pass.

    `retry_after` is the wait in seconds that the provider asked for, None where it asked for none;
    `overloaded` says that the call was turned away for want of room: 429, 503, 529.
    """

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None = None,
        retry_after: float | None = None,
        overloaded: bool = False,
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after = retry_after
        self.overloaded = overloaded


class BadAnswerError(CallError):
    """Say that the model's own answer is unusable, and of which kind.

    `input_tokens` and `output_tokens` are what it cost all the same; None where the provider did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: BadAnswerKind,
        request_id: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.kind = kind
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


class TargetError(BadAnswerError):
    """Say that the target raised an exception.

    `raised` is the name of its type.
    """

    def __init__(self, message: str, *, raised: str) -> None:
        super().__init__(message, kind="raised")
        self.raised = raised


class BudgetError(CallError):
    """Say that a call was not made, since it could spend more than the session may."""


class JudgeError(LlmopsError):
    """Say that a judge gave no valid verdict."""


class AnswerError(LlmopsError, AssertionError):
    """Say what the answer does not hold; a miss, like a failed assertion."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the closest known name, or else all known names."""
    # Only messages need it, and every pytest start would pay for it.
    import difflib

    names = sorted(known)
    match = difflib.get_close_matches(name, names, n=1)
    if match:
        return f"Did you mean {match[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "None is known."
