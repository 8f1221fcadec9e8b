"""Name what differs between a run and its baseline."""

from __future__ import annotations

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.target import TARGET
from pytest_llmops.runs.comparison import Pairing
from pytest_llmops.runs.record import Header

_OTHERS = {"parameters": 0, "model": 0, "fallback": 0}
"""Parts of a prompt version that are causes of their own."""


def causes_of(
    before: Header, after: Header, *, old: Prompt | None, new: Prompt, pairing: Pairing
) -> tuple[str, ...]:
    """Return what differs, in the order in which people suspect it.

    Args:
        before: header of the baseline's run.
        after: header of the candidate's run.
        old: the baseline's prompt; None where the registry does not hold it.
        new: the candidate's prompt.
        pairing: which cases stand on both sides.
    """
    versions = {
        name
        for name, metric in after.metrics.items()
        if name in before.metrics and before.metrics[name].version != metric.version
    }
    parameters = old is not None and old.parameters != new.parameters
    wording = before.prompt_digest != after.prompt_digest and (
        old is None or {**old.content, **_OTHERS} != {**new.content, **_OTHERS}
    )
    if new.engine == TARGET:
        # Its parameters are its code and the version that the user gives it.
        wording = before.prompt_digest != after.prompt_digest
        parameters = False
    found = {
        "target" if new.engine == TARGET else "prompt": wording,
        "model": before.model != after.model,
        "fallback models": old is not None and old.fallback != new.fallback,
        "parameters": parameters,
        "golden rows": before.golden_digest != after.golden_digest or bool(pairing.changed),
        "judge or metric": bool(versions - {"passed"}),
        "test": "passed" in versions,
    }
    return tuple(name for name, differs in found.items() if differs)
