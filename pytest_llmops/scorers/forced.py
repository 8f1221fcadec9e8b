"""Ask how likely a model finds a given text: it is made to write that text, and tells its log-probabilities.

llama.cpp tells the probabilities that the model itself gave, before the grammar ruled all others out.
"""

from __future__ import annotations

import json
import re
from typing import Final

from pytest_llmops.calls.exchange import Caller, Request, Response, split_model
from pytest_llmops.errors import BadAnswerError, JudgeError
from pytest_llmops.scorers.side_by_side import side_by_side

LONGEST: Final = 2_000
"""Characters of a text that can be forced: of longer ones each judgement would take minutes."""

_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and halves of pairs: no grammar spells them all, and no answer means them."""

_MARK: Final = ("<|", "< |")
"""How the marks of chat templates begin: as one token they would end the text."""

_SLACK: Final = 16
"""Tokens beyond one for each byte, so that no limit cuts the text off."""

_INSTEAD: Final = (
    "The likelihood judge needs a llama.cpp server with `grammar`, such as the embedded model "
    "(local:smollm2-135m); for other models give the judge criteria in words."
)


class Unforced(Exception):  # noqa: N818 - never leaves the room
    """Say why a model did not tell how likely a text is."""


def forcible(text: str) -> str:
    """Return a text as it can be forced: trimmed, control characters blanked, marks of chat templates broken.

    Raises:
        Unforced: it is longer than `LONGEST` characters.
    """
    plain = _UNSPEAKABLE.sub(" ", text.replace("\r\n", "\n")).replace(*_MARK).strip()
    if len(plain) > LONGEST:
        raise Unforced(
            f"the text has {len(plain):,} characters, and a likelihood judge reads at most {LONGEST:,}. "
            "Judge long answers by criteria in words."
        )
    return plain


def forced(prompt: str, text: str, model: str) -> Request:
    """Return the request that makes `model` continue `prompt` with `text`.

    Args:
        prompt: what comes before.
        text: what to write, made of what `forcible` gave.
        model: `provider:model`.
    """
    provider, name = split_model(model)
    return Request(
        provider=provider,
        model=name,
        messages=(),
        parameters={
            "prompt": prompt,
            # Escaped to ASCII: with some raw characters llama.cpp silently leaves the grammar out.
            "grammar": f"%llguidance {{}}\nstart: {json.dumps(text)}",
            "temperature": 0,
            "max_tokens": len(text.encode()) + _SLACK,
            "logprobs": 1,
        },
    )


async def log_likelihoods(asked: list[tuple[str, str]], model: str, caller: Caller) -> list[float]:
    """Return the natural log-probability of each text after its prompt, asked side by side.

    Of a character that takes several tokens llama.cpp tells the last one only.

    Args:
        asked: prompts, each with a text made of what `forcible` gave.
        model: `provider:model`.
        caller: who answers.

    Raises:
        Unforced: the endpoint does not force the text, or does not tell log-probabilities.
        CallError: the model could not be asked.
    """
    return await side_by_side([_log_likelihood(prompt, text, model, caller) for prompt, text in asked])


async def _log_likelihood(prompt: str, text: str, model: str, caller: Caller) -> float:
    try:
        response = await caller.acall(forced(prompt, text, model))
    except BadAnswerError as error:
        raise Unforced(f"{error} {_INSTEAD}") from error
    return _sum(response, text)


def _sum(response: Response, text: str) -> float:
    if response.text != text:
        raise Unforced(
            f"the endpoint was to write {text[:80]!r}, and wrote {response.text[:80]!r}: it does not force "
            f"answers. {_INSTEAD}"
        )
    if not response.logprobs:
        raise Unforced(f"the endpoint tells no log-probabilities. {_INSTEAD}")
    spelled, total = "", 0.0
    for told in response.logprobs:
        if spelled == text:
            # What follows is the token that ends every text.
            break
        spelled += str(told["token"])
        total += float(str(told["logprob"]))
    if spelled != text:
        raise Unforced(f"the endpoint's log-probabilities are not those of the text. {_INSTEAD}")
    return min(total, 0.0)


def no_verdict(judge: str, model: str, case_id: str, why: object) -> JudgeError:
    """Return the error that a judge's failure on a case is."""
    return JudgeError(f"The judge {judge!r} ({model}) could not judge the case {case_id!r}: {why}")
