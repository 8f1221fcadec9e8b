"""Measure a run whose every case is a call, beside the plain official client and beside tests without calls.

All three run one after the other in processes of their own, and are measured from outside. The server answers
each request after 200 ms, in a process of its own. Of each the fastest of several rounds counts.

- ours: pytest with an eval suite of N cases and an empty cache, `--llmops-concurrency=C`
- gather: `asyncio.gather` over N calls of the official client, C at once; also without its imports
- trivial: pytest with N parametrized tests that do nothing

    python -m benchmarks.cold_speed [--rounds 2] [--latency 0.2]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.suites import PYTEST, Ended, run, write_suite, write_trivial
from benchmarks.server import Served, serving

GATHER = """
import time
start = time.perf_counter()
import asyncio
import hashlib
import sys
import openai


def right(text):
    return "answer " + hashlib.sha256(text.encode()).hexdigest()[:12]


async def main(count, concurrency):
    slots = asyncio.Semaphore(concurrency)

    async def asked(client, text):
        async with slots:
            reply = await client.chat.completions.create(
                model="a-model", messages=[{"role": "user", "content": text}]
            )
        assert reply.choices[0].message.content == right(text)

    async with openai.AsyncOpenAI() as client:
        await asyncio.gather(*(asked(client, f"Question {n}?") for n in range(count)))


loaded = time.perf_counter()
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
print(loaded - start)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Be one size of a run."""

    cases: int
    concurrency: int

    @property
    def name(self) -> str:
        """Return the start of its line."""
        return f"N={self.cases:,} C={self.concurrency}"


SETTINGS = (
    Setting(cases=1000, concurrency=50),
    Setting(cases=1000, concurrency=200),
    Setting(cases=5000, concurrency=200),
)

MOST_OF_IDEAL = 1.15
"""Times N·L/C and the time of as many trivial tests, at C = 50."""

MOST_CPU = 1.2
"""Milliseconds a case, beyond those of the first cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Be the fastest runs at one setting."""

    ours: Ended
    gather: Ended
    trivial: Ended

    @property
    def imports(self) -> float:
        """Return the seconds that the plain client's imports took."""
        return float(self.gather.output)


def main() -> int:
    """Print the table and return 0 when every limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.2)
    options = parser.parse_args()
    found: dict[Setting, Measured] = {}
    kept = True
    print(
        "seconds         ours  gather  without imports  trivial  ideal  ours/gather  ours/ideal  "
        "processor: ours, gather, trivial"
    )
    for setting in SETTINGS:
        found[setting] = measured(setting, options.latency, options.rounds)
        kept = _print_line(setting, found[setting], options.latency) and kept
    return 0 if _print_cpu(found) and kept else 1


def measured(setting: Setting, latency: float, rounds: int) -> Measured:
    """Return the fastest of `rounds` runs of each kind, which take turns."""
    with serving(latency=latency) as server:
        ran = [(_ours(setting, server), _gather(setting, server), _trivial(setting)) for _ in range(rounds)]
    ours, gather, trivial = (min(kind, key=_seconds) for kind in zip(*ran, strict=True))
    return Measured(ours=ours, gather=gather, trivial=trivial)


def _ours(setting: Setting, server: Served) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        write_suite(Path(folder), [f"Question {n}?" for n in range(setting.cases)])
        arguments = ["-q", f"--llmops-concurrency={setting.concurrency}"]
        return _good(run(Path(folder), [*PYTEST, *arguments], server.environment))


def _gather(setting: Setting, server: Served) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(setting.cases), str(setting.concurrency)]
        return _good(run(Path(folder), [sys.executable, "-c", GATHER, *arguments], server.environment))


def _trivial(setting: Setting) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        write_trivial(Path(folder), setting.cases)
        return _good(run(Path(folder), [*PYTEST, "-q"], {}))


def _good(ended: Ended) -> Ended:
    assert ended.status == 0, ended.output[-2000:]
    return ended


def _seconds(ended: Ended) -> float:
    return ended.seconds


def _print_line(setting: Setting, found: Measured, latency: float) -> bool:
    ours, gather = found.ours.seconds, found.gather.seconds
    ideal = setting.cases * latency / setting.concurrency + found.trivial.seconds
    if setting.concurrency <= 50:
        kept, limit = ours <= MOST_OF_IDEAL * ideal, f"at most {MOST_OF_IDEAL} x ideal"
    else:
        kept, limit = ours < gather, "faster than gather"
    print(
        f"{setting.name:<14}{ours:6.2f}  {gather:6.2f}  {gather - found.imports:15.2f}  "
        f"{found.trivial.seconds:7.2f}  {ideal:5.2f}  {ours / gather:11.2f}  {ours / ideal:10.2f}  "
        f"{found.ours.cpu:6.2f} {found.gather.cpu:6.2f} {found.trivial.cpu:6.2f}  {limit}: "
        f"{'kept' if kept else 'BROKEN'} (load {os.getloadavg()[0]:.1f})",
        flush=True,
    )
    return kept


def _print_cpu(found: Mapping[Setting, Measured]) -> bool:
    few, many = SETTINGS[1], SETTINGS[2]
    cases = many.cases - few.cases
    cpu: dict[str, float] = {
        name: (getattr(found[many], name).cpu - getattr(found[few], name).cpu) / cases * 1000
        for name in ("ours", "gather", "trivial")
    }
    kept = cpu["ours"] <= MOST_CPU
    told = ", ".join(f"{name} {value:.2f} ms" for name, value in cpu.items())
    print(
        f"processor time a case, from {few.cases:,} to {many.cases:,} cases: {told}; "
        f"ours at most {MOST_CPU} ms: {'kept' if kept else 'BROKEN'}\n"
        f"memory at {many.cases:,} cases: ours {found[many].ours.megabytes:.0f} MB, "
        f"trivial {found[many].trivial.megabytes:.0f} MB"
    )
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
