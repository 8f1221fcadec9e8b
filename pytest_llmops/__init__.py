"""Compare prompt evals with a stored baseline, inside pytest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_llmops.calls.exchange import (
        Caller,
        EmbeddingRequest,
        Embeddings,
        Provider,
        Request,
        Response,
        Timing,
        Usage,
    )
    from pytest_llmops.errors import (
        AnswerError,
        BadAnswerError,
        CallError,
        FatalCallError,
        JudgeError,
        LlmopsError,
        MisuseError,
        TargetError,
        TransientCallError,
    )
    from pytest_llmops.golden.case import Case, GoldenSet
    from pytest_llmops.plugin.case import LlmCase
    from pytest_llmops.plugin.llm_calls import Llm
    from pytest_llmops.prompts.prompt import Prompt
    from pytest_llmops.providers.scripted import ScriptedProvider
    from pytest_llmops.scorers.own import scorer
    from pytest_llmops.scorers.score import Metric, Score, Scorer

__all__ = [
    "AnswerError",
    "BadAnswerError",
    "CallError",
    "Caller",
    "Case",
    "EmbeddingRequest",
    "Embeddings",
    "FatalCallError",
    "GoldenSet",
    "JudgeError",
    "Llm",
    "LlmCase",
    "LlmopsError",
    "Metric",
    "MisuseError",
    "Prompt",
    "Provider",
    "Request",
    "Response",
    "Score",
    "Scorer",
    "ScriptedProvider",
    "TargetError",
    "Timing",
    "TransientCallError",
    "Usage",
    "scorer",
]

_HOMES = {
    "calls.exchange": (
        "Caller",
        "EmbeddingRequest",
        "Embeddings",
        "Provider",
        "Request",
        "Response",
        "Timing",
        "Usage",
    ),
    "errors": (
        "AnswerError",
        "BadAnswerError",
        "CallError",
        "FatalCallError",
        "JudgeError",
        "LlmopsError",
        "MisuseError",
        "TargetError",
        "TransientCallError",
    ),
    "golden.case": ("Case", "GoldenSet"),
    "plugin.case": ("LlmCase",),
    "plugin.llm_calls": ("Llm",),
    "prompts.prompt": ("Prompt",),
    "providers.scripted": ("ScriptedProvider",),
    "scorers.own": ("scorer",),
    "scorers.score": ("Metric", "Score", "Scorer"),
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use, so that importing the package costs nothing."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
