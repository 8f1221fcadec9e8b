"""Run one small eval suite in several tools, side by side, and print a table.

Each tool is installed in a folder of its own below build/peers. The suite: so many questions, one answer of a
model each, an exact match. What is measured are whole processes against a server with set latency; each
round is one run in an empty home folder, and one more of tools that keep answers. Telemetry is off.

    python -m benchmarks.peers [--cases 1000] [--concurrency 50] [--latency 0.2] [--rounds 3] [--only NAME]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.peers.tools import TOOLS, Case, Tool
from benchmarks.reliability.replies import answer_to
from benchmarks.server import Served, serving

SLOW = 60.0
"""Seconds of a first run after which a tool is not run again."""

LIMIT = 600.0
"""Seconds after which a run is given up."""

WARM_UP = 10
"""Cases of a run that is not measured: it reads the tool's files from the disk."""

HEADER = (
    "tool",
    "what ran",
    "runs",
    "right",
    "cold, s",
    "x plain",
    "CPU, s",
    "MB",
    "again, s",
    "CPU, s",
    "calls again",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Be what one process took."""

    seconds: float
    cpu: float
    """Seconds of the processor, the process's own children with it."""
    megabytes: float
    """The most memory that was resident in one process."""
    passed: int
    calls: int
    tail: str
    """The end of what it printed."""


@dataclass(slots=True, kw_only=True)
class Row:
    """Be what was measured of one tool."""

    tool: Tool
    version: str
    cold: list[Measure]
    again: list[Measure]
    failed: int = 0
    """Runs that ended otherwise than with all cases passed: they are in no figure."""
    trouble: str = ""
    """Why there are no figures."""


def main() -> None:
    """Install, measure in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[tool.name for tool in TOOLS], metavar="NAME")
    options = parser.parse_args()
    rows = [_installed(tool) for tool in TOOLS if not options.only or tool.name in options.only]
    load = os.getloadavg()[0]
    for row in rows:
        _measure(row, WARM_UP, options.concurrency, options.latency)
        row.cold, row.again, row.failed = [], [], 0
    for _ in range(options.rounds):
        for row in rows:
            if not row.cold or row.cold[0].seconds < SLOW:
                _measure(row, options.cases, options.concurrency, options.latency)
    ideal = options.cases * options.latency / options.concurrency
    print(
        f"{options.cases:,} cases, {options.concurrency} calls at once, latency {1000 * options.latency:.0f} "
        f"ms (no less than {ideal:.1f} s); {os.cpu_count()} cores, load {load:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after; Python {platform.python_version()}, Node {_node()}\n"
    )
    print(*_table(rows, options.cases), sep="\n")


def _installed(tool: Tool) -> Row:
    print(f"installing {tool.name} ...", flush=True)
    try:
        tool.install()
        return Row(tool=tool, version=tool.version(), cold=[], again=[])
    except (subprocess.CalledProcessError, OSError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        return Row(tool=tool, version="", cold=[], again=[], trouble=f"could not be installed: {told[-1]}")


def _measure(row: Row, number: int, concurrency: int, latency: float) -> None:
    if row.trouble:
        return
    questions = [f"Question {ordinal}: what is right?" for ordinal in range(number)]
    cases = [
        Case(id=f"case-{ordinal:05}", question=question, answer=answer_to(question))
        for ordinal, question in enumerate(questions)
    ]
    with tempfile.TemporaryDirectory() as name, serving(latency=latency) as server:
        row.tool.prepare(Path(name), cases)
        for measures in (row.cold, row.again)[: 1 + row.tool.caches]:
            found = _run(row.tool, Path(name), server, concurrency)
            print(f"{row.tool.name}: {number} cases, {found.seconds:.2f} s, {found.calls} calls", flush=True)
            if found.passed == number:
                measures.append(found)
            else:
                row.failed += 1
                print(f"{found.passed} of {number} cases passed; it ended with:\n{found.tail}")


def _run(tool: Tool, folder: Path, server: Served, concurrency: int) -> Measure:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **server.environment, **tool.quiet}
    before = len(server.log())
    with (folder / "output.txt").open("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            tool.command(concurrency), cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        alarm = threading.Timer(LIMIT, process.kill)
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    return Measure(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        megabytes=usage.ru_maxrss / 1024,
        passed=_passed(printed) if process.returncode == 0 else 0,
        calls=len(server.log()) - before,
        tail=printed[-2000:],
    )


def _passed(printed: str) -> int:
    numbers = re.findall(r"([\d,]+) passed", printed)
    return int(numbers[-1].replace(",", "")) if numbers else 0


def _table(rows: Sequence[Row], number: int) -> Iterator[str]:
    plain = next((row for row in rows if row.tool is TOOLS[0] and row.cold), None)
    yield f"| {' | '.join(HEADER)} |"
    yield f"|{'---|' * 2}{'--:|' * (len(HEADER) - 2)}"
    for row in rows:
        cells = _cells(row, number, plain)
        yield f"| {' | '.join([row.tool.name, row.version, *cells])} |"


def _cells(row: Row, number: int, plain: Row | None) -> list[str]:
    if not row.cold:
        return [row.trouble or "no run passed all cases", *[""] * (len(HEADER) - 3)]
    cold = _middle(row.cold)
    ratio = f"{cold.seconds / _middle(plain.cold).seconds:.2f}" if plain else ""
    cells = [
        f"{len(row.cold)}{f', {row.failed} failed' if row.failed else ''}",
        f"{number:,}",
        f"{cold.seconds:.2f}",
        ratio,
        f"{cold.cpu:.2f}",
        f"{cold.megabytes:.0f}",
    ]
    if not row.again:
        return [*cells, "keeps no answers", "", ""]
    again = _middle(row.again)
    return [*cells, f"{again.seconds:.2f}", f"{again.cpu:.2f}", f"{again.calls:,}"]


def _middle(measures: Sequence[Measure]) -> Measure:
    """Return the median of each figure by itself."""
    return Measure(
        seconds=median(each.seconds for each in measures),
        cpu=median(each.cpu for each in measures),
        megabytes=median(each.megabytes for each in measures),
        passed=min(each.passed for each in measures),
        calls=max(each.calls for each in measures),
        tail="",
    )


def _node() -> str:
    try:
        return subprocess.run(
            ["node", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not found"


if __name__ == "__main__":
    main()
