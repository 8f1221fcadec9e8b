"""Hold calls to the table of faults, call by call, against the log of the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from benchmarks.reliability.alone import OWN_PROJECT, Alone, alone, repeats
from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.laws import LAWS, Outcome, breaches
from benchmarks.reliability.mixed import Mixed, mixed
from benchmarks.reliability.replies import answer_to
from benchmarks.server import Entry
from pytest_llmops.errors import BadAnswerError, FatalCallError, TransientCallError

SEED = 3

PASSING = [kind for kind, fault in FAULTS.items() if not fault.lasts]
"""Those that last are met in whole sessions."""

RIGHT_ALL_THE_SAME = [kind for kind, fault in FAULTS.items() if fault.comes_of == "right"]

DEADLINE = 60.0
"""Seconds for one call: never reached here, however busy the machine is."""


@pytest.fixture(scope="module")
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # The commands set them for good, in a process of their own.
        patch.setenv("OPENAI_BASE_URL", "")
        patch.setenv("OPENAI_API_KEY", "")
        yield


@pytest.fixture(scope="module")
def by_itself(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Alone:
    return alone(tmp_path_factory.mktemp("alone"), kinds=PASSING, times=1, deadline=DEADLINE)


@pytest.fixture(scope="module")
def among_others(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Mixed:
    kinds = [kind for kind in PASSING if kind != OWN_PROJECT]
    return mixed(tmp_path_factory.mktemp("mixed"), calls=200, rate=0.3, seed=SEED, kinds=kinds)


@pytest.mark.parametrize("kind", PASSING)
def test_each_fault_by_itself_keeps_every_law(by_itself: Alone, kind: str) -> None:
    assert [breach.told for breach in by_itself.breaches[kind]] == []


@pytest.mark.parametrize("kind", PASSING)
def test_only_passing_faults_are_asked_again(by_itself: Alone, kind: str) -> None:
    again = FAULTS[kind].may_be_asked_again and kind != OWN_PROJECT
    assert len(by_itself.requests[kind]) == (2 if again else 1)


def test_only_right_answers_are_kept(by_itself: Alone) -> None:
    right = [
        kind
        for kind, entries in by_itself.requests.items()
        if entries[-1].fault in (None, *RIGHT_ALL_THE_SAME)
    ]
    assert by_itself.kept == len(right)
    assert [kind for kind, outcome in by_itself.outcomes.items() if outcome.cached] == right


@pytest.mark.parametrize("law", LAWS)
def test_many_faults_at_once_break_no_law(among_others: Mixed, law: str) -> None:
    assert [breach.told for breach in among_others.breaches if breach.law == law] == []


def test_as_many_answers_are_kept_as_were_right(among_others: Mixed) -> None:
    right = [outcome for outcome in among_others.outcomes if outcome.comes_of == "right"]
    assert among_others.kept == len(right)
    assert len(right) > 100


@pytest.mark.usefixtures("_environment")
def test_repeats_are_answers_of_their_own(tmp_path: Path) -> None:
    assert repeats(tmp_path, 4) == 4


TEXT = "Question?"
RIGHT = Outcome(text=TEXT, answer=answer_to(TEXT), cached=True)


def entry(number: int, fault: str | None = None, **more: float) -> Entry:
    return Entry(
        ordinal=number, path="/v1/chat/completions", text=TEXT, fault=fault, at=number, until=number, **more
    )


WRONG: Mapping[str, tuple[Outcome, list[Entry]]] = {
    "wrong result": (Outcome(text=TEXT, answer="another one", cached=True), [entry(1)]),
    "wrong class": (RIGHT, [entry(1, "cut_json")]),
    "asked again after a final reply": (RIGHT, [entry(1, "bad_key"), entry(2)]),
    "asked before the time it was told": (RIGHT, [entry(1, "wait_seconds", not_before=2.5), entry(2)]),
    "followed a redirect": (
        Outcome(text=TEXT, error=FatalCallError("no", request_id="req-2")),
        [entry(1, "redirect"), Entry(ordinal=2, path="/elsewhere", at=2, text=TEXT, status=404)],
    ),
    "request id lost": (Outcome(text=TEXT, error=FatalCallError("no")), [entry(1, "bad_key")]),
    "fault kept in the cache": (
        Outcome(text=TEXT, error=BadAnswerError("no", kind="length", request_id="req-1"), cached=True),
        [entry(1, "length")],
    ),
    "right answer not kept": (Outcome(text=TEXT, answer=answer_to(TEXT)), [entry(1)]),
    "given up early": (
        Outcome(text=TEXT, error=TransientCallError("no", request_id="req-1")),
        [entry(1, "status_500")],
    ),
    "never asked": (RIGHT, []),
}


@pytest.mark.parametrize("law", LAWS)
def test_what_breaks_a_law_is_found(law: str) -> None:
    outcome, log = WRONG[law]
    assert law in [breach.law for breach in breaches([outcome], log, deadline=20.0)]


def test_a_call_that_was_right_in_the_end_breaks_no_law() -> None:
    log = [entry(1, "wait_seconds", not_before=2.0), entry(2, "reset_before"), entry(3)]
    assert breaches([RIGHT], log, deadline=20.0) == []
