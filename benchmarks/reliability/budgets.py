"""F17: spend random budgets with many processes at once, and count what was spent beside the ledger."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.reliability.calls import answers_kept
from benchmarks.reliability.spender import MODEL, PRICE, Order, Spending, asking
from benchmarks.reliability.suites import PYTEST, run, write_suite
from benchmarks.server import serving
from pytest_llmops.calls.prices import Prices
from pytest_llmops.store.folder import HOME

ROOT = Path(__file__).parent.parent.parent

OVER_BUDGET = 6
"""Exit status of a session that its budget cut short."""

SESSIONS = 6
"""Budgets of whole pytest sessions; the rest are those of plain processes with a client."""

TINY = 1e-9
"""US dollars that sums of floating-point numbers may be off by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Be what all processes together made of one budget."""

    order: Order
    """With the questions of all processes."""
    attempts: int
    cost: float
    """Of the answers, reckoned from their tokens."""
    answered: frozenset[int]
    refused: frozenset[int]
    kept: int
    """Answers in the cache."""

    def breaches(self) -> Iterator[str]:
        """Yield what went against the budget."""
        calls, cost = self.order.calls, self.order.cost
        if calls is not None and self.attempts > calls:
            yield f"{self.attempts} calls of {calls}"
        if cost is not None and self.cost > cost + TINY:
            yield f"${self.cost:.6f} of ${cost:.6f}"
        if self.answered | self.refused != frozenset(self.order.requests):
            yield "questions without an end"
        if self.answered & self.refused:
            yield "questions that one process was refused and another one asked"
        if self.kept != len(self.answered):
            yield f"{self.kept} answers kept of {len(self.answered)}"
        if self.refused and not self._used_up():
            yield f"refused with {self.attempts} calls of {calls}, ${self.cost:.6f} of {cost}"

    def _used_up(self) -> bool:
        """Tell whether the budget was spent, up to what one more call could cost."""
        calls, cost = self.order.calls, self.order.cost
        most = Prices({f"a:{MODEL}": PRICE}).most(asking(max(self.order.requests))) or 0.0
        spent_calls = calls is not None and self.attempts == calls
        return spent_calls or (cost is not None and self.cost + most > cost - TINY)


class Spenders:
    """Be processes that live through many budgets: their start takes longer than all their calls."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "benchmarks.reliability.spender"]
        self._processes = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]

    def spend(self, root: Path, order: Order) -> Spent:
        """Return what comes of an order whose questions are dealt out, some of them to two processes."""
        count = len(self._processes)
        for number, process in enumerate(self._processes):
            dealt = [n for n in order.requests if number in (n % count, n // count % (2 * count))]
            told = json.dumps(asdict(replace(order, requests=dealt, seed=order.seed * count + number)))
            assert process.stdin is not None
            process.stdin.write(told + "\n")
            process.stdin.flush()
        # Read in turn: each writes one line, when it is done.
        found = [self._told(process) for process in self._processes]
        return Spent(
            order=order,
            attempts=sum(each.attempts for each in found),
            cost=sum(
                given * PRICE.input + made * PRICE.output for each in found for given, made in each.tokens
            )
            / 1e6,
            answered=frozenset(number for each in found for number in each.answered),
            refused=frozenset(number for each in found for number in each.refused),
            kept=answers_kept(root),
        )

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.communicate()

    @staticmethod
    def _told(process: subprocess.Popen[str]) -> Spending:
        assert process.stdout is not None
        return Spending(**json.loads(process.stdout.readline()))


@contextmanager
def spenders(count: int) -> Iterator[Spenders]:
    """Start processes that end with the with block."""
    with ExitStack() as stack:
        started = Spenders(count)
        stack.callback(started.close)
        yield started


def orders(count: int, seed: int, root: Path) -> Iterator[tuple[Path, Order]]:
    """Yield random budgets of calls, of money, and of both, each with a folder of its own."""
    chance = random.Random(seed)
    for number in range(count):
        asked = chance.randint(1, 80)
        kinds = ("calls", "cost", "both")[number % 3]
        yield (
            root / f"project-{number}",
            Order(
                path=str(root / f"project-{number}" / HOME / "local" / "cache.sqlite"),
                session=f"session-{number}",
                # Some of them are enough for all.
                calls=chance.randint(1, 110) if kinds != "cost" else None,
                cost=chance.uniform(0.0, 0.0025 * asked) if kinds != "calls" else None,
                requests=list(range(asked)),
                seed=seed + number,
            ),
        )


def sessions(count: int, seed: int, *, cases: int = 40) -> Iterator[tuple[int, str]]:
    """Yield the budget of whole sessions with 8 workers, and what each did with it."""
    chance = random.Random(seed)
    for _ in range(count):
        calls = chance.randint(1, cases - 1)
        with tempfile.TemporaryDirectory() as folder, serving() as server:
            root = Path(folder)
            write_suite(root, [f"Question {n}?" for n in range(cases)])
            command = [*PYTEST, "-q", "-n8"]
            ended = run(root, [*command, f"--llmops-max-calls={calls}"], server.environment)
            requests, kept = len(server.log()), answers_kept(root)
            again = run(root, command, server.environment)
            total = len(server.log())
        told = re.search(r"(\d+) passed, (\d+) skipped", ended.output)
        counts = tuple(map(int, told.groups())) if told else None
        right = (ended.status, requests, kept, counts) == (OVER_BUDGET, calls, calls, (calls, cases - calls))
        right = right and (again.status, total) == (0, cases)
        yield (
            calls,
            ""
            if right
            else (
                f"status {ended.status}, {requests} calls of {calls}, {kept} kept, {counts} passed, skipped; "
                f"then status {again.status} and {total} calls in all"
            ),
        )


def budgets(count: int, seed: int, workers: int = 8) -> bool:
    """Print what came of random budgets, and return whether none was overspent, nor held back."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, spenders(workers) as started:
        found = [started.spend(root, order) for root, order in orders(count - SESSIONS, seed, Path(folder))]
    breaches = [f"{spent.order.session}: {told}" for spent in found for told in spent.breaches()]
    whole = [f"pytest -n8: {told}" for _, told in sessions(SESSIONS, seed) if told]
    short = sum(bool(spent.refused) for spent in found)
    print(
        f"budgets: {count} random budgets, seed {seed}, {workers} processes each: {SESSIONS} of them whole "
        f"sessions, {short} others too small for their questions; {len(breaches) + len(whole)} breaches; "
        f"{sum(spent.attempts for spent in found):,} calls, "
        f"{sum(len(spent.answered) for spent in found):,} answers kept, "
        f"{sum(len(spent.refused) for spent in found):,} questions not asked; "
        f"{time.perf_counter() - start:.0f} s: {'BROKEN' if breaches or whole else 'kept'}"
    )
    for told in (breaches + whole)[:5]:
        print(f"  {told}")
    return not breaches and not whole
