"""Say which of the session's settings met nothing that they could act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_llmops.errors import closest
from pytest_llmops.plugin.gather import GatheredTest
from pytest_llmops.prompts.target import TARGET
from pytest_llmops.runs.compare import Match
from pytest_llmops.runs.gate import SLICE, Gate
from pytest_llmops.runs.record import Run
from pytest_llmops.settings import Settings
from pytest_llmops.store.canonical import SHORT


def unmet(settings: Settings, tests: Sequence[GatheredTest], baselines: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each metric and tag that the settings name and nothing has.

    It is no mistake: a session of a few tests shares its settings with all others.
    """
    runs = [test.run for test in tests]
    metrics = {name for run in runs for name in run.header.metrics}
    # An early stop leaves cases out, so the stored ones are looked at too.
    tags = {tag for run in (*runs, *baselines) for result in run.results for tag in result.tags}
    for name in dict.fromkeys(name.partition(SLICE)[0] for name in settings.gate):
        if name not in metrics:
            yield f"--llmops-gate: no test of this session measures {name!r}. {closest(name, metrics)}"
    for tag in dict.fromkeys((*settings.slice, *Gate(settings.gate).tags)):
        if tag not in tags:
            yield f"no case has the tag {tag!r}, so nothing is compared inside it. {closest(tag, tags)}"


def fallen_back(tests: Sequence[GatheredTest]) -> Iterator[str]:
    """Yield a sentence for each test of which a fallback model gave answers."""
    for test in tests:
        models = Counter(result.fallback for result in test.run.results if result.fallback)
        for model, answers in sorted(models.items()):
            yield (
                f"{model} stood in for {test.run.header.model}: {answers} of {len(test.results)} answers of "
                f"{test.key} are not of the model that was asked"
            )


def left_out(tests: Sequence[GatheredTest]) -> str:
    """Return what the budget left out of the session; "" where it left out nothing."""
    results = [result for test in tests for result in test.results.values()]
    missing = [result for result in results if result.status == "not_run"]
    if not missing:
        return ""
    return f"over budget: {len(missing)} of {len(results)} cases were not run; {missing[0].detail}"


def no_canary(test: GatheredTest, match: Match) -> str:
    """Return why the stored baseline's own prompt was not asked again; "" where it was."""
    if "canary" in test.arms:
        return ""
    header = match.baseline.header
    if match.candidate_prompt.engine == TARGET:
        why = "a target is code, which cannot be asked as it once was"
    elif match.baseline_prompt is None:
        version = f"{header.prompt_name}:{header.prompt_digest[:SHORT]}"
        why = f"the registry does not hold {version}, the prompt of its stored baseline"
    else:
        why = "none of the baseline's cases ran"
    return f"no canary of {test.key}: {why}"
