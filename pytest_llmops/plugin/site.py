"""Say where a marker stands, and what else its test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_llmops.golden.case import GoldenSet
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.score import Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Be what a marker needs to know of its test."""

    project: Project
    near: Path
    """The test file: names are looked up from there."""
    golden: GoldenSet
    prompt: Prompt
    model: str
    """`provider:model` that answers."""
    judge_model: str
    """`provider:model` that judges where no other is named."""
    offered: Callable[[], Mapping[str, Callable[[], Scorer]]]
    """Returns what gives the scorers of hooks and entry points, by name."""
