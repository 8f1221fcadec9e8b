"""Measure what a run of many cases costs beside the same number of trivial parametrized pytest items.

Every run is a whole process: `python -m pytest -q` in a project made for it, without other plugins. Evals
ask a scripted provider. Cold runs are measured first, each on an empty cache; the last one leaves the answers
that the warm runs find. Then warm runs and trivial items take turns, forwards and backwards, and the median
counts. Seconds of the clock, of the processor in user and system mode, and the most memory that was resident.

    python -m benchmarks.scale [--cases 1000 10000] [--times 3] [--large 100000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PYTEST = ("-m", "pytest", "-q", "-p", "no:randomly", "--no-header")

WARM_RATIO = 1.3
COLD_CPU = 1.2
"""Milliseconds a case, of a case more: what a session costs in any case is not in it."""
COLD_CASES = (1_000, 5_000)
LARGE_SECONDS = 30.0
LARGE_MEGABYTES = 400.0

CONFTEST = '''
from pytest_llmops import ScriptedProvider


def reply(request):
    """Say yes to every question, and pass a yes where there is something to judge."""
    if "response_format" in request.parameters:
        passed = ">\\nyes\\n</output" in request.messages[-1]["content"]
        return '{"reason": "It answers the question.", "verdict": "%s"}' % ("pass" if passed else "fail")
    return "yes"


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
'''

EVAL = """
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
{judge}def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""

JUDGE = '@pytest.mark.llm_judge("The answer is yes or no.", model="scripted:judge")\n'

TRIVIAL = """
import pytest


@pytest.mark.parametrize("number", range({cases}))
def test_items(number):
    assert number == number
"""

PROMPT = """
model: scripted:model
messages:
  - role: system
    content: Answer with yes or no.
  - role: user
    content: "Is {{ n }} a number? {{ text }}"
"""

TEXT = "The customer writes that the parcel came late and that one corner of the box was torn open."


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Be what one process took."""

    seconds: float
    cpu: float
    megabytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Be one project on the disk with the options it is run with."""

    name: str
    folder: Path
    options: tuple[str, ...] = ()


def main() -> int:
    """Print the tables and return 0 when every limit is kept."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="llmops-scale-") as folder:
        root = Path(folder)
        kept = [_cold(root / "cold", options.times)]
        kept += [_warm(root / str(cases), cases, options.times) for cases in options.cases]
        if options.large:
            kept.append(_large(root / "large", options.large, options.times))
    return 0 if all(kept) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument(
        "--large", type=int, default=100_000, help="cases of the large golden set; 0 for none"
    )
    return parser.parse_args()


def _cold(root: Path, times: int) -> bool:
    """Measure what one case more costs the processor where the provider must be asked."""
    _heading(
        f"cold, {COLD_CASES[0]:,} and {COLD_CASES[1]:,} cases", "ms of the processor a case more", "limit"
    )
    kept = True
    for judged in (False, True):
        cpu = []
        for cases in COLD_CASES:
            folders = [root / f"{cases}-{judged}-{time}" for time in range(times)]
            cpu.append(median(run(_eval(folder, cases, judged=judged)).cpu for folder in folders))
        each = (cpu[1] - cpu[0]) / (COLD_CASES[1] - COLD_CASES[0]) * 1e3
        limit = None if judged else COLD_CPU
        kept = _line("with a judge" if judged else "without a judge", f"{each:.3f}", each, limit) and kept
    return kept


def _warm(root: Path, cases: int, times: int) -> bool:
    """Measure runs that find all their answers."""
    suites = [
        _trivial(root / "trivial", cases),
        _eval(root / "plain", cases, judged=False),
        _eval(root / "judged", cases, judged=True),
    ]
    for suite in suites[1:]:
        run(suite)
    trivial, *warm = _in_turns(suites, times)
    _heading(f"{cases:,} cases, answers cached", "seconds  processor   MB  ratio", "limit")
    _line("trivial items", _figures(trivial, trivial))
    kept = True
    for suite, taken in zip(suites[1:], warm, strict=True):
        ratio = taken.seconds / trivial.seconds
        kept = _line(suite.name, _figures(taken, trivial), ratio, WARM_RATIO) and kept
    return kept


def _large(root: Path, cases: int, times: int) -> bool:
    """Measure one large golden set: its answers cached, and compared with a stored baseline."""
    plain = _eval(root / "plain", cases, judged=False)
    run(Suite(name="", folder=plain.folder, options=("--llmops-save-baseline=stored",)))
    suites = [
        _trivial(root / "trivial", cases),
        plain,
        Suite(name="compared", folder=plain.folder, options=("--llmops-baseline=stored",)),
        Suite(name="collected only", folder=plain.folder, options=("--collect-only", "-qq")),
    ]
    trivial, *warm = _in_turns(suites, times)
    _heading(f"{cases:,} cases, answers cached", "seconds  processor   MB  ratio", "limit")
    _line("trivial items", _figures(trivial, trivial))
    kept = True
    for suite, taken in zip(suites[1:], warm, strict=True):
        figures = _figures(taken, trivial)
        kept = _line(f"{suite.name}, s", figures, taken.seconds, LARGE_SECONDS) and kept
        kept = _line(f"{suite.name}, MB", figures, taken.megabytes, LARGE_MEGABYTES) and kept
    return kept


def _trivial(folder: Path, cases: int) -> Suite:
    _write(folder / "test_items.py", TRIVIAL.format(cases=cases))
    _write(folder / "llmops.toml", "")
    return Suite(name="trivial items", folder=folder)


def _eval(folder: Path, cases: int, *, judged: bool) -> Suite:
    rows = (
        {"id": f"item-{number:06}", "inputs": {"n": number, "text": TEXT}, "expected": "yes"}
        for number in range(cases)
    )
    _write(folder / "golden" / "items.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    _write(folder / "prompts" / "ask.prompt.yml", PROMPT)
    _write(folder / "conftest.py", CONFTEST)
    _write(folder / "test_items.py", EVAL.format(judge=JUDGE if judged else ""))
    _write(folder / "llmops.toml", "")
    return Suite(name="with a judge" if judged else "without a judge", folder=folder)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _in_turns(suites: Sequence[Suite], times: int) -> list[Taken]:
    """Return the medians; who runs first differs, for the machine may grow slower or faster."""
    taken: dict[str, list[Taken]] = {suite.name: [] for suite in suites}
    for turn in range(times):
        for suite in suites[:: -1 if turn % 2 else 1]:
            taken[suite.name].append(run(suite))
    return [
        Taken(
            seconds=median(each.seconds for each in taken[suite.name]),
            cpu=median(each.cpu for each in taken[suite.name]),
            megabytes=median(each.megabytes for each in taken[suite.name]),
        )
        for suite in suites
    ]


def run(suite: Suite) -> Taken:
    """Run a suite in a process of its own and return what that took.

    Raises:
        RuntimeError: the run was not green.
    """
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    # An installed package has its bytecode, whatever this machine allows.
    environment["PYTHONDONTWRITEBYTECODE"] = ""
    command = [sys.executable, *PYTEST, "-p", "pytest_llmops.plugin", *suite.options]
    output = suite.folder / "output.txt"
    with output.open("wb") as file:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=suite.folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        # Waited for already: else Popen would miss its child.
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{suite.folder} ended with {child.returncode}:\n{output.read_text()[-2_000:]}")
    # Kilobytes, but on macOS bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Taken(seconds=seconds, cpu=usage.ru_utime + usage.ru_stime, megabytes=usage.ru_maxrss / unit)


def _heading(name: str, *columns: str) -> None:
    print(f"\n{name:32}  {'  '.join(columns)}", flush=True)


def _figures(taken: Taken, trivial: Taken) -> str:
    ratio = taken.seconds / trivial.seconds
    return f"{taken.seconds:7.2f}  {taken.cpu:9.2f}  {taken.megabytes:3.0f}  {ratio:5.2f}"


def _line(name: str, figures: str, value: float = 0.0, limit: float | None = None) -> bool:
    kept = limit is None or value <= limit
    verdict = "" if limit is None else f"  {limit:5g}  {'kept' if kept else 'broken'}"
    print(f"{name:32}  {figures}{verdict}", flush=True)
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
