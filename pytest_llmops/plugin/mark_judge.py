"""Read the marker llm_judge."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmops.plugin.arguments import bound, text
from pytest_llmops.plugin.mark_likelihood import LIKELIHOOD_ARGUMENTS, likelihood_judge, wants_likelihood
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer


def _llm_judge(
    criteria: Any = None,
    *,
    name: Any = "judge",
    scale: Any = "pass_fail",
    threshold: Any = None,
    model: Any = None,
    required: Any = False,
    likelihood: Any = False,
    labels: Any = None,
    context: Any = None,
    question: Any = None,
) -> None: ...


def judge_scorers(mark: pytest.Mark, site: Site) -> list[Scorer]:
    """Return the judges that an llm_judge marker asks for.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    from pytest_llmops.scorers.judge import RubricJudge

    arguments = bound(mark, _llm_judge)
    if wants_likelihood(arguments):
        return [likelihood_judge(mark, arguments, site)]
    for name in LIKELIHOOD_ARGUMENTS:
        del arguments[name]
    judge = arguments.pop("model") or site.judge_model
    return [RubricJudge(text(mark, "criteria", arguments.pop("criteria")), model=judge, **arguments)]
