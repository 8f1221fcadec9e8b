"""Find the eval tests among the items of a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_llmops.plugin.arms import Arm, ArmName, canary_arm, control_arm
from pytest_llmops.plugin.items import CaseItem, slot_of
from pytest_llmops.plugin.plan import FIXTURE, CaseSlot, EvalTest
from pytest_llmops.runs.course import Course, running_order
from pytest_llmops.runs.record import Run


def plan_tests(items: Iterable[pytest.Item]) -> dict[pytest.Item, EvalTest]:
    """Return the eval test of each item that belongs to one."""
    groups = _groups(items)
    for group in groups.values():
        _locate(group)
    tests = [_test(key, group) for (_, key), group in groups.items()]
    stoppable = [_may_stop(test) for test in tests]
    # Each metric that could be called regressed has an equal part of the risk.
    gated = sum(
        len(test.gated) for test, stops in zip(tests, stoppable, strict=True) if stops or test.rescorers
    )
    planned = [
        replace(test, course=_course(test, group, gated)) if stops else test
        for test, stops, group in zip(tests, stoppable, groups.values(), strict=True)
    ]
    return {item: test for test, group in zip(planned, groups.values(), strict=True) for item in group}


def in_running_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the items with the cases of each eval test in the order of an early stop: random, but fixed.

    Every test keeps the places of its items, and the cases of a cluster and the repeats of a case stay
    together.
    """
    ordered = list(items)
    places = {item: index for index, item in enumerate(items)}
    for (_, key), group in _groups(items).items():
        slots = {item: slot for item in group if (slot := slot_of(item))}
        units = running_order(key, {slot.case.unit for slot in slots.values()})
        by_unit = sorted(group, key=lambda item: units[slots[item].case.unit])
        for place, item in zip(sorted(places[item] for item in group), by_unit, strict=True):
            ordered[place] = item
    return ordered


def _locate(items: Iterable[pytest.Item]) -> None:
    """Tell the items of one function where it stands: each by itself would look it up in the file system."""
    first, *others = items
    path, line, name = first.location
    if name == first.name and not isinstance(first, CaseItem):
        for item in others:
            item.location = (path, line, item.name)


def _groups(items: Iterable[pytest.Item]) -> Mapping[tuple[str, str], list[pytest.Item]]:
    groups: dict[tuple[str, str], list[pytest.Item]] = {}
    by_function: dict[object, list[pytest.Item]] = {}
    for item in items:
        slot = slot_of(item)
        if slot is None:
            continue
        alike = item.kin if isinstance(item, CaseItem) else None
        function = alike or (item.parent, _qualified_name(item), _others(item))
        if function not in by_function:
            place = (str(slot.spec.project.root), _key_of(item, slot) + _others(item))
            by_function[function] = groups.setdefault(place, [])
        by_function[function].append(item)
    return groups


def _key_of(item: pytest.Item, slot: CaseSlot) -> str:
    """Return the key of an item's function: it outlives a move of the checkout and a change of the cases."""
    root, path = slot.spec.project.root, item.path
    place = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{place.as_posix()}::{_qualified_name(item)}"


def _qualified_name(item: pytest.Item) -> str:
    function = getattr(item, "function", None)
    return getattr(function, "__qualname__", item.name)


def _others(item: pytest.Item) -> str:
    """Return the other parameters of a test, such as `[lang=en]`."""
    callspec: Any = getattr(item, "callspec", None)
    if len(callspec.params) == 1:
        return ""
    others = {name: value for name, value in callspec.params.items() if name != FIXTURE}
    shown = [f"{name}={_parameter(value, callspec.indices[name])}" for name, value in sorted(others.items())]
    return f"[{','.join(shown)}]" if shown else ""


def _parameter(value: object, index: int) -> str:
    if isinstance(value, str | int | float | None):
        return str(value)
    return getattr(value, "__qualname__", str(index))


def _test(key: str, items: Sequence[pytest.Item]) -> EvalTest:
    first = items[0]
    slots = [slot for item in items if (slot := slot_of(item))]
    spec = slots[0].spec
    settings = spec.project.settings
    own = first.nodeid.removesuffix(first.name) + getattr(first, "originalname", first.name) + _others(first)
    path, line, _ = first.location
    stored = settings.baseline is not None and settings.live_alias is None
    test = EvalTest(
        key=key,
        nodeid=own,
        location=(path, line, own.rpartition("::")[2]),
        spec=spec,
        baseline=spec.project.archive.baseline(settings.baseline or "", key) if stored else None,
        selected=frozenset((slot.case.id, slot.repeat) for slot in slots),
    )
    return replace(test, arms=_arms(test))


def _arms(test: EvalTest) -> dict[ArmName, Arm]:
    spec, cases = test.spec, test.selected_cases
    if spec.target is not None:
        # Code cannot be asked as it once was.
        return {}
    project, ids = spec.project, frozenset(case.id for case in cases)
    arms: dict[ArmName, Arm | None] = {
        "control": control_arm(project, spec.prompt, spec.marked_model, ids),
        "canary": canary_arm(project, test.baseline, [case.id for case in cases if test.paired_with(case)]),
    }
    return {name: arm for name, arm in arms.items() if arm is not None}


def _may_stop(test: EvalTest) -> bool:
    """Tell whether stopping a test early could save anything."""
    if not test.spec.project.settings.early_stop or not test.gated:
        return False
    spec, control = test.spec, test.arms.get("control")
    if control is not None:
        return (control.prompt.digest, control.model) != (spec.prompt.digest, spec.model)
    return not _replays(test, test.baseline)


def _replays(test: EvalTest, baseline: Run | None) -> bool:
    """Tell whether the stored run answers every request, so that no call would be made."""
    spec = test.spec
    stored = {request for result in baseline.results for request in result.requests} if baseline else set()
    if spec.project.settings.cache in ("refresh", "off"):
        return False
    return all(
        test.digest(test.request(CaseSlot(spec=spec, case=case, repeat=repeat))) in stored
        for case in test.selected_cases
        for repeat in range(1, spec.repeats + 1)
    )


def _course(test: EvalTest, items: Sequence[pytest.Item], gated: int) -> Course:
    settings = test.spec.project.settings
    units: dict[str, list[str]] = {}
    for item in items:
        slot = slot_of(item)
        if slot is not None and ("control" in test.arms or test.paired_with(slot.case)):
            units.setdefault(slot.case.unit, []).append(slot.case.id)
    return Course(
        units=tuple(tuple(dict.fromkeys(ids)) for ids in units.values()),
        repeats=test.spec.repeats,
        metrics=tuple(test.gated),
        margins=dict(settings.margin),
        alpha=settings.alpha / gated,
        strict=settings.strict,
        every_miss_counts=test.every_miss_counts,
    )
