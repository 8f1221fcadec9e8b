"""Name what differs between a test's run and its baseline: settings, rows, cases that are not paired."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.target import TARGET, target_changes
from pytest_llmops.reports.figures import counted
from pytest_llmops.reports.page import Line, Page
from pytest_llmops.runs.comparison import Pairing, TestComparison
from pytest_llmops.store.canonical import SHORT, JsonValue

_REASONS: Final = 5
"""Reasons for missing cases that are told apart."""


def cause_lines(test: TestComparison, page: Page) -> Iterator[Line]:
    """Give what differs from the baseline, one line each; nothing where nothing differs."""
    for cause in test.causes:
        detail = _detail(cause, test, page)
        yield from page.paragraph(f"{page.short(cause)} changed{': ' if detail else ''}{detail}", indent=2)


def no_cause_lines(test: TestComparison, page: Page) -> Iterator[Line]:
    """Say that nothing differs that could be the cause, as far as it is known."""
    text = "no cause found: prompt, model, parameters, rows and metrics are the baseline's"
    if test.candidate_prompt.engine == TARGET:
        text = (
            "no cause found: the target's own function, its version= and artifacts=, rows and metrics are "
            "the baseline's; look at what it uses beside them: other prompts, files and functions"
        )
    yield from page.paragraph(text, indent=2)


def pairing_lines(pairing: Pairing, page: Page) -> Iterator[Line]:
    """Give the cases that stand on one side only or were edited, with the reasons."""
    groups = {"edited": pairing.changed, "new": pairing.new}
    reasons = list(dict.fromkeys(pairing.missing.values()))
    for reason in reasons[:_REASONS]:
        ids = tuple(case_id for case_id, why in pairing.missing.items() if why == reason)
        groups[f"missing ({page.short(reason)})"] = ids
    for word, ids in groups.items():
        if ids:
            text = f"left out, {word}: {counted(len(ids), 'case')}, {page.names(ids)}"
            yield from page.paragraph(text, "yellow" if word != "new" else "plain", indent=2)
    if len(reasons) > _REASONS:
        listed = set(reasons[:_REASONS])
        others = sum(reason not in listed for reason in pairing.missing.values())
        text = f"left out, missing for other reasons: {counted(others, 'case')}"
        yield from page.paragraph(text, "yellow", indent=2)


def _detail(cause: str, test: TestComparison, page: Page) -> str:
    before, after = test.baseline, test.candidate
    if cause in ("prompt", "target"):
        versions = f"{before.prompt_digest[:SHORT]} -> {after.prompt_digest[:SHORT]}"
        parts = page.names(_parts(cause, test))
        return f"{page.short(after.prompt_name)} {versions}{f', in {parts}' if parts else ''}"
    if cause == "model":
        return f"{page.short(before.model)} -> {page.short(after.model)}"
    if cause == "parameters" and test.baseline_prompt is not None:
        return _parameters(test.baseline_prompt, test.candidate_prompt, page)
    if cause == "golden rows":
        return page.short(after.golden_name)
    if cause == "judge or metric":
        known = {name: metric for name, metric in before.metrics.items() if name in after.metrics}
        return page.names([name for name in known if known[name].version != after.metrics[name].version])
    return ""


def _parts(cause: str, test: TestComparison) -> tuple[str, ...]:
    """Return what of a target differs; of a prompt nothing, for its diff is short."""
    old, new = test.baseline_prompt, test.candidate_prompt
    if cause != "target" or old is None or old.engine != TARGET:
        return ()
    return target_changes(old, new)


def _parameters(before: Prompt, after: Prompt, page: Page) -> str:
    names = sorted({*before.parameters, *after.parameters})
    pairs = [(name, _written(before.parameters, name), _written(after.parameters, name)) for name in names]
    return ", ".join(page.short(f"{name} {old} -> {new}") for name, old, new in pairs if old != new)


def _written(parameters: Mapping[str, JsonValue], name: str) -> str:
    return json.dumps(parameters[name], ensure_ascii=False) if name in parameters else "(not set)"
