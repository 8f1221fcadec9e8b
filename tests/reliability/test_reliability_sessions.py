"""Run whole sessions against servers that fail, hang or admit too little."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.reliability.alone import OWN_PROJECT
from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.hang import hang
from benchmarks.reliability.storm import storm
from benchmarks.reliability.suites import PYTEST, left_behind, run, write_suite
from benchmarks.server import serving

DEADLINE = 1.5

WORDS = {"missed": "FAILED", "unmeasured": "ERROR"}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streams"])
def test_a_server_that_hangs_is_left_and_nothing_stays_behind(tmp_path: Path, streams: bool) -> None:
    kinds = [kind for kind, fault in FAULTS.items() if fault.lasts and streams == (fault.fits == "streams")]

    found = hang(tmp_path, kinds, deadline=DEADLINE, streams=streams)

    assert found.ended.status == 1, found.ended.output
    assert re.search(rf"\b{len(kinds)} errors?\b", found.ended.output)
    assert found.told >= len(kinds)
    assert found.left == {}


def test_what_stays_behind_is_found(tmp_path: Path) -> None:
    write_suite(tmp_path, [])
    (tmp_path / "test_answers.py").write_text(
        "import socket, subprocess, sys, threading\n"
        "kept = socket.socket()\n"
        "def test_leaves_things():\n"
        "    threading.Thread(target=threading.Event().wait, name='left', daemon=True).start()\n"
        "    subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
    )
    run(tmp_path, [*PYTEST, "-q"], {})

    left = left_behind(tmp_path)
    assert left["threads"] == ["left"]
    assert len(left["sockets"]) == 1
    assert len(left["children"]) == 1


def test_the_report_counts_each_fault_as_the_table_says(tmp_path: Path) -> None:
    kinds = [kind for kind, fault in FAULTS.items() if fault.fits != "streams" and not fault.lasts]
    kinds.remove(OWN_PROJECT)
    # Once: what may pass has passed the second time.
    write_suite(tmp_path, [f"Question? fault={kind}*1" for kind in kinds])
    with serving() as server:
        ended = run(tmp_path, [*PYTEST, "-q", "-rA"], server.environment)

    told = re.findall(r"^(PASSED|FAILED|ERROR) \S+case-(\d+)\]", ended.output, re.MULTILINE)
    assert {kinds[int(number)]: word for word, number in told} == {
        kind: "PASSED" if FAULTS[kind].may_be_asked_again else WORDS[FAULTS[kind].counted] for kind in kinds
    }


@pytest.mark.parametrize("tells_wait", [True, False])
def test_a_storm_ends_with_every_answer_and_each_asked_for_once(tmp_path: Path, tells_wait: bool) -> None:
    found = storm(tmp_path, cases=40, workers=2, admits=20.0, tells_wait=tells_wait, latency=0.02)

    assert found.ended.status == 0, found.ended.output
    assert "40 passed" in found.ended.output
    assert found.answered == 40
