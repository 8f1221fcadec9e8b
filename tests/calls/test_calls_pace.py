"""The pace is tried on simulated providers, in simulated time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.pace import CROWDED, PAUSE, RECENT, Pace

REFUSED_AFTER = 0.005
"""Seconds after which a provider says that it has no room."""


KINDS = ["started", "answered", "turned_away"]


class Window:
    """Let in so many calls in each whole second."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.second = -1
        self.count = 0

    def __call__(self, now: float, running: int) -> bool:
        if int(now) != self.second:
            self.second, self.count = int(now), 0
        self.count += 1
        return self.count <= self.calls


class Bucket:
    """Let in so many calls a second, and at once as many as a full bucket holds."""

    def __init__(self, rate: float, size: float) -> None:
        self.rate, self.size = rate, size
        self.level, self.last = size, 0.0

    def __call__(self, now: float, running: int) -> bool:
        self.level = min(self.size, self.level + (now - self.last) * self.rate)
        self.last = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


@dataclass
class Outcome:
    seconds: float
    requests: int
    most_at_once: int
    pace: Pace


def simulate(
    count: int,
    admits: Callable[[float, int], bool],
    *,
    latency: float,
    slots: float = 32,
    most: float = 32,
    asked: float | None = None,
) -> Outcome:
    """Ask `count` questions until all are answered; who is refused waits as a retry does."""
    chance = random.Random(7)
    pace, now, requests, peak = Pace(slots=slots, most=most), 0.0, 0, 0
    # When each question may be asked, how often it was refused, and its number.
    waiting = [(0.0, 0, number) for number in range(count)]
    running: list[tuple[float, int, bool, float, int]] = []
    while waiting or running:
        wait = pace.wait(now, len(running))
        if waiting and waiting[0][0] <= now and wait == 0:
            _, refusals, number = heapq.heappop(waiting)
            let_in = admits(now, len(running) + 1)
            pace, requests = pace.started(now), requests + 1
            ends = now + (latency * chance.uniform(0.8, 1.2) if let_in else REFUSED_AFTER)
            heapq.heappush(running, (ends, number, let_in, now, refusals))
            peak = max(peak, len(running))
            continue
        moments = [running[0][0]] if running else []
        if waiting and wait is not None:
            moments.append(max(waiting[0][0], now + wait))
        now = max(now, min(moments)) + 1e-9
        while running and running[0][0] <= now:
            _, number, let_in, began, refusals = heapq.heappop(running)
            if let_in:
                pace = pace.answered(now, now - began)
                continue
            pace = pace.turned_away(now, began, asked)
            own = min(8.0, 0.5 * 2.0**refusals) * chance.uniform(0.5, 1.0)
            heapq.heappush(waiting, (now + max(own, asked or 0.0), refusals + 1, number))
    return Outcome(now, requests, peak, pace)


@pytest.mark.parametrize("asked", [None, 1.0])
@pytest.mark.parametrize("latency", [0.05, 0.2])
@pytest.mark.parametrize(
    "admits", [lambda: Window(20), lambda: Bucket(20, 20), lambda: Bucket(20, 5)], ids=["window", "20", "5"]
)
def test_a_rate_limit_is_found_and_held(
    admits: Callable[[], Callable[[float, int], bool]], latency: float, asked: float | None
) -> None:
    found = simulate(500, admits(), latency=latency, asked=asked)

    # 20 a second are let in: 25 s at best.
    assert found.seconds <= 1.25 * 25
    assert found.requests <= 1.3 * 500


def test_lone_refusals_slow_nothing_down() -> None:
    chance = random.Random(1)
    found = simulate(2000, lambda now, running: chance.random() > 0.06, latency=0.2, asked=1.0)

    assert found.pace.rate == 0
    assert found.pace.slots == 32


def test_slots_grow_by_one_for_each_round_of_answers() -> None:
    found = simulate(32 * 8 + 64, lambda now, running: True, latency=1.0, slots=32, most=64)

    assert 38 <= found.pace.slots <= 42
    assert found.most_at_once <= found.pace.slots


def test_no_more_are_under_way_than_the_most() -> None:
    found = simulate(5000, lambda now, running: True, latency=1.0, slots=30, most=40)

    assert found.most_at_once == 40
    assert found.pace.slots == 40


def test_nothing_grows_while_answers_get_slower() -> None:
    pace = Pace(slots=4, most=100)
    for _ in range(100):
        pace = pace.answered(0.0, 1.0)
    grown = pace.slots
    for number in range(200):
        pace = pace.answered(float(number), 10.0)

    assert pace.latency > 9
    assert pace.slots < grown + 2


def test_an_overrun_provider_is_left_alone_for_as_long_as_it_asks() -> None:
    pace = Pace(slots=32, most=32)
    for _ in range(32):
        pace = pace.started(10.0)
    refusals = 0
    while not pace.rate:
        pace = pace.turned_away(10.1, 10.0, 7.0)
        refusals += 1

    assert refusals / RECENT >= CROWDED
    assert pace.slots == 16
    assert pace.wait(10.1, 0) == pytest.approx(7.0)
    # The rest of the same burst says nothing new.
    again = pace.turned_away(10.2, 10.0, 7.0)
    assert replace(again, refused=0.0, refused_at=0.0) == replace(pace, refused=0.0, refused_at=0.0)


def test_a_wait_that_nobody_named_is_short() -> None:
    pace = Pace(slots=2, most=2, refused=1.0).turned_away(5.0, 4.0, None)

    assert pace.wait(5.0, 0) == PAUSE


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 100), st.floats(0, 60))),
    st.floats(1, 300),
)
def test_there_is_always_a_slot_and_never_more_than_the_most(
    events: list[tuple[str, float, float]], most: float
) -> None:
    pace, now = Pace(slots=1, most=most), 1.0
    for kind, passed, value in events:
        now += passed
        if kind == "started":
            pace = pace.started(now)
        elif kind == "answered":
            pace = pace.answered(now, value)
        else:
            pace = pace.turned_away(now, now - value, value)
        assert 1 <= pace.slots <= most
        assert pace.rate >= 0
        assert 0 <= pace.refused <= 1
        assert pace.wait(now, 0) is not None


def test_a_rate_that_was_learnt_too_high_comes_down() -> None:
    pace = Pace(slots=32, most=64, rate=28.0, cut_at=1.0)
    for second in range(1, 11):
        for call in range(28):
            now = second + call / 28
            # A quarter is turned away: too small a share for a cut.
            pace = pace.started(now)
            pace = pace.turned_away(now, now, None) if call % 4 == 3 else pace.answered(now, 0.1)
    assert pace.slots >= 32
    assert 1 <= pace.rate < 20


def test_a_lone_refusal_leaves_the_rate_as_it_is() -> None:
    pace = Pace(slots=32, most=64, rate=20.0, cut_at=1.0).started(2.0)
    assert pace.turned_away(2.0, 2.0, None).rate == 20.0
