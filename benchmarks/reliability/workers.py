"""F5: run one suite with and without workers of xdist, and compare the calls and the stored bytes."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.calls import answers_kept
from benchmarks.reliability.suites import EVAL, PYTEST, Ended, run, write_suite, write_trivial
from benchmarks.server import Served, serving
from pytest_llmops.store.folder import HOME

WORKERS = (None, 0, 2, 4, 8)
"""Values of `-n`; None for a session without the option."""

FAILING = 20
"""One of so many cases fails."""

FAULTS = ("bad_key", "length", "status_500*1")
"""What comes over failing cases in turn: a fatal error, a bad answer, and a fault that passes."""

BODY = 0.05
"""Seconds that a test takes beside its call, where times are compared."""

SLOWER = 1.2
"""Times as long as without workers, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Be one session from a cold start."""

    ended: Ended
    requests: int
    asked: Counter[str]
    """Requests by question."""
    kept: int
    """Answers in the cache."""
    stored: dict[str, bytes]
    """The files of the baseline; the moves and what varies between equal runs apart."""


def session(
    root: Path, server: Served, workers: int | None, *, cases: int, fails: bool = False, body: float = 0.0
) -> Session:
    """Return what comes of a session that starts without a cache, and saves a baseline.

    Args:
        root: the folder for the suite.
        server: who answers; its address is part of what is stored.
        workers: the value of `-n`; None for a session without the option.
        cases: of the suite.
        fails: whether some of the calls meet faults.
        body: seconds that the test takes beside the call.
    """
    write_suite(root, [f"Question {n}?{_fault(n) if fails else ''}" for n in range(cases)])
    if body:
        (root / "test_answers.py").write_text(
            EVAL.replace("assert", f"__import__('time').sleep({body})\n    assert")
        )
    seen = len(server.log())
    ended = run(root, [*_pytest(workers), "--llmops-save-baseline=production"], server.environment)
    log = server.log()[seen:]
    return Session(
        ended=ended,
        requests=len(log),
        asked=Counter(entry.text for entry in log),
        kept=answers_kept(root),
        stored=_stored(root / HOME),
    )


def workers(cases: int = 300, latency: float = 0.2) -> bool:
    """Print calls, answers kept and times with each number of workers, and return whether all agree."""
    with serving(latency=latency) as server:
        good = [_same_answers(server, cases, body) for body in (0.0, BODY)]
    return _same_calls(cases) and all(good)


def _same_answers(server: Served, cases: int, body: float) -> bool:
    found: dict[int | None, Session] = {}
    good = True
    for count in WORKERS:
        with tempfile.TemporaryDirectory() as folder:
            found[count] = session(Path(folder) / "suite", server, count, cases=cases, body=body)
            floor = _trivial(Path(folder) / "trivial", count, cases)
        each = found[count]
        same = each.stored == found[None].stored and bool(each.stored)
        times = each.ended.seconds / found[0].ended.seconds if 0 in found else 1.0
        # The start of many processes is pytest's own; it pays where tests do something.
        right = (each.ended.status, each.requests, each.kept, same) == (0, cases, cases, True)
        right = right and not (body and times > SLOWER)
        good = good and right
        print(
            f"workers: {_named(count)}, {body:g} s in each body: status {each.ended.status}, {each.requests} "
            f"requests, {each.kept} of {cases} cached, baseline bytes {'equal' if same else 'DIFFER'}; "
            f"{each.ended.seconds:.1f} s = {times:.2f} x -n 0, as many tests that do nothing take "
            f"{floor:.1f} s; load {os.getloadavg()[0]:.1f}: {'kept' if right else 'BROKEN'}",
            flush=True,
        )
    return good


def _same_calls(cases: int) -> bool:
    first, good = None, True
    for count in (0, 2, 8):
        # Each with a server of its own, which counts how often it was asked.
        with tempfile.TemporaryDirectory() as folder, serving() as server:
            found = session(Path(folder), server, count, cases=cases, fails=True)
        first = first or found.asked
        right = found.asked == first and max(found.asked.values()) == 2
        good = good and right
        print(
            f"workers: {_named(count)}, {cases // FAILING} cases fail: status {found.ended.status}, "
            f"{found.requests} requests, {found.kept} cached: {'kept' if right else 'BROKEN'}",
            flush=True,
        )
    return good


def _named(count: int | None) -> str:
    return "plain" if count is None else f"-n {count}"


def _pytest(count: int | None) -> list[str]:
    return [*PYTEST, "-q", *([] if count is None else [f"-n{count}"])]


def _trivial(root: Path, count: int | None, cases: int) -> float:
    write_trivial(root, cases)
    return run(root, _pytest(count), {}).seconds


def _fault(number: int) -> str:
    return "" if number % FAILING else f" fault={FAULTS[number // FAILING % len(FAULTS)]}"


def _stored(home: Path) -> dict[str, bytes]:
    files = {path.relative_to(home): path for path in sorted(home.rglob("*")) if path.is_file()}
    return {
        str(name): path.read_bytes()
        for name, path in files.items()
        if name.parts[0] not in ("local", "refs") and not name.name.endswith(".meta.jsonl")
    }
