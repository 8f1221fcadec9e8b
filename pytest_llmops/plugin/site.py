"""Say where a marker stands, and what else its test says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_llmops.golden.case import GoldenSet
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Be what a marker needs to know of its test."""

    project: Project
    near: Path
    """The test file: names are looked up from there."""
    golden: GoldenSet
    prompt: Prompt
    """What is asked; of a target its version."""
    model: str
    """`provider:model` that answers; "" where a target leaves it to its prompts."""
    marked_model: str | None
    """The model that the test's marker names."""

    @property
    def judge_model(self) -> str:
        """Return `provider:model` that judges where no other is named.

        Raises:
            MisuseError: none is named, and none can be taken for granted.
        """
        settings = self.project.settings
        # A model upgrade by option must not change the judge with it: then nothing would be comparable.
        return settings.judge_model or self.project.model_of(self.prompt, self.marked_model, overridden=False)
