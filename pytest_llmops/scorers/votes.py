"""Make one score of several verdicts on the same answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.scale import Judgement, Scale

Rule = Literal["majority", "mean"]

RULES: Final = ("majority", "mean")

SPLIT: Final = "split"
"""The label of an answer on which the verdicts differ by more than a quarter of the scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """Be one verdict, and whose it is."""

    by: str
    judgement: Judgement


def rule_of(rule: str | None, scale: Scale, *, probable: bool) -> Rule:
    """Return how verdicts are added up: passes and failures by majority, numbers by their mean.

    Raises:
        MisuseError: there is no such rule, or numbers are to have a majority.
    """
    binary = scale.key == "verdict" and not probable
    match rule:
        case None:
            return "majority" if binary else "mean"
        case "mean":
            return "mean"
        case "majority" if binary:
            return "majority"
    if rule in RULES:
        raise MisuseError("vote='majority' is for judges that say pass or fail; numbers have a mean.")
    raise MisuseError(f"There is no vote={rule!r}. Known: {', '.join(RULES)}.")


def added_up(votes: Sequence[Vote], rule: Rule, *, span: float) -> tuple[Judgement, str]:
    """Return what the votes say together, and the label of it: `split` where they differ much.

    A majority is more than half, so that a tie is no pass.
    """
    values = [vote.judgement.value for vote in votes]
    if len(votes) == 1:
        return votes[0].judgement, ""
    share = math.fsum(values) / len(values)
    value = float(share > 0.5) if rule == "majority" else share
    label = SPLIT if max(values) - min(values) > span / 4 else ""
    return Judgement(value=value, reason=_told(votes, split=bool(label))), label


def _told(votes: Sequence[Vote], *, split: bool) -> str:
    """Return who said what; where nearly all agree, the first reason stands for all."""
    if not split:
        return f"all {len(votes)} agree: {votes[0].judgement.reason}"
    return "; ".join(
        f"{vote.by} {vote.judgement.value:g}: {vote.judgement.reason}".rstrip(": ") for vote in votes
    )
