"""Store complete tests as a baseline, and say why others are not stored."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pytest_llmops.plugin.gather import GatheredTest
from pytest_llmops.project import Project
from pytest_llmops.runs.archive import secret_in
from pytest_llmops.settings import known_secrets
from pytest_llmops.store.canonical import SHORT


def refusal(test: GatheredTest, *, regressed: bool) -> str:
    """Return why a test must not be stored; "" where it may be."""
    incomplete = test.incomplete()
    if incomplete:
        return incomplete
    if regressed:
        return "it regressed or could not be decided"
    if test.failed:
        return f"{test.failed} of its tests failed"
    secret = secret_in(test.run, known_secrets(os.environ))
    return f"{secret}; keep secrets out of prompts and golden rows" if secret else ""


def save(test: GatheredTest, project: Project, baseline: str) -> tuple[str, str]:
    """Store the prompt version and the run, move the baseline, and return a line that says so.

    Also returns a warning, where the answers are not of this session.

    Raises:
        MisuseError: the baseline's name is none, or a file cannot be written.
    """
    assert test.prompt is not None
    project.registry.register(test.prompt)
    # Who saw these answers before storing them may have stored them because they were lucky.
    reused = sum(result.reused for result in test.results.values())
    run = replace(test.run, header=replace(test.run.header, reused=reused))
    digest = project.archive.save(
        run,
        baseline=baseline,
        provenance=_provenance(project),
        why=f"pytest --llmops-save-baseline={baseline}",
    )
    saved = f"saved as {baseline}: {test.key} ({len(test.results)} results, run {digest[:SHORT]})"
    # The very same answers may have been stored before, when they were fresh.
    if not reused or not project.archive.load(digest).header.reused:
        return saved, ""
    return saved, (
        f"{baseline} is reused: {reused} of {len(test.results)} answers of {test.key} were there before this "
        "session, and answers that were chosen make a lucky baseline; --llmops-cache=refresh asks again"
    )


def _provenance(project: Project) -> Mapping[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(project),
    }


def _commit(project: Project) -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None
