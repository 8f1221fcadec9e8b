"""Know what a session compares with: stored runs, or a prompt version that answers beside the candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.record import Run
from pytest_llmops.store.canonical import digest_text

ArmName = Literal["control", "canary"]
"""control: the prompt version to compare with, asked today; canary: the stored baseline's own prompt, asked
again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Be a prompt version that answers cases of a test beside the candidate."""

    prompt: Prompt
    model: str
    """`provider:model`."""
    cases: frozenset[str]
    """Ids of the cases that it answers."""
    again: bool = False
    """Ask, whatever the cache and the baseline hold."""


def compares(project: Project) -> bool:
    """Tell whether tests of `project` are compared: something is named, and the project holds it."""
    settings = project.settings
    if settings.live_alias is not None:
        return settings.live_alias in _aliases(project)
    return settings.baseline is not None and settings.baseline in project.archive.baselines()


def check_baseline(project: Project) -> None:
    """Refuse a baseline that the project does not hold, where it holds others.

    Raises:
        MisuseError: nothing has the name that the session gives.
    """
    settings = project.settings
    name, alias = settings.baseline, settings.live_alias
    if name is None:
        return
    if alias is not None:
        known = _aliases(project)
        if alias not in known:
            raise MisuseError(
                f"{project.root} registers no prompt with the alias {alias!r}. {closest(alias, known)}"
            )
        return
    stored = project.archive.baselines()
    if name in stored:
        project.archive.check(name)
    elif stored:
        raise MisuseError(f"{project.root} stores no baseline {name!r}. {closest(name, stored)}")
    elif settings.require_baseline:
        raise MisuseError(
            f"{project.root} stores no baseline at all: run pytest --llmops-save-baseline={name} first."
        )


def control_arm(project: Project, prompt: Prompt, model: str | None, cases: frozenset[str]) -> Arm | None:
    """Return the arm of the alias that the session compares with; None where the prompt has no such alias.

    Args:
        project: where the prompt is registered.
        prompt: the candidate.
        model: the model that the test's marker names.
        cases: ids of the cases that the session runs.
    """
    alias = project.settings.live_alias
    if alias is None or alias not in project.registry.aliases(prompt.name):
        return None
    version = project.registry.resolve(f"{prompt.name}@{alias}")
    return Arm(prompt=version, model=project.model_of(version, model), cases=cases)


def canary_arm(project: Project, baseline: Run | None, paired: list[str]) -> Arm | None:
    """Return the arm that asks some cases of the stored baseline again; None where none can be asked.

    Args:
        project: where the baseline's prompt is registered.
        baseline: the stored run.
        paired: ids of the cases that the session runs and the baseline holds.
    """
    if project.settings.canary is None or baseline is None or not paired:
        return None
    header = baseline.header
    prompt = project.registry.find(header.prompt_name, header.prompt_digest)
    if prompt is None:
        return None
    # Drawn by the answers' own digest: every process of the session draws the same.
    requests = "".join(sorted(request for result in baseline.results for request in result.requests))
    seed = digest_text(requests)
    drawn = sorted(paired, key=lambda case_id: digest_text(f"canary {seed} {case_id}"))
    chosen = frozenset(drawn[: project.settings.canary])
    return Arm(prompt=prompt, model=header.model, cases=chosen, again=True)


def _aliases(project: Project) -> set[str]:
    registry = project.registry
    return {alias for name in registry.names() for alias in registry.aliases(name)}
