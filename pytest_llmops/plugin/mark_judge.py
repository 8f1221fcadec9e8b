"""Read the marker llm_judge."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmops.plugin.arguments import bound, text
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer


def _llm_judge(
    criteria: Any,
    *,
    name: Any = "judge",
    scale: Any = "pass_fail",
    threshold: Any = None,
    model: Any = None,
    required: Any = False,
) -> None: ...


def judge_scorers(mark: pytest.Mark, site: Site) -> list[Scorer]:
    """Return the judges that an llm_judge marker asks for.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    from pytest_llmops.scorers.judge import RubricJudge

    arguments = bound(mark, _llm_judge)
    judge = arguments.pop("model") or site.judge_model
    return [RubricJudge(text(mark, "criteria", arguments.pop("criteria")), model=judge, **arguments)]
