"""Hold that each question is asked once: again, by workers, on another machine, offline."""

from __future__ import annotations

import shutil
from typing import Any

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"

ALL = sorted(str(n) for n in range(20))


def test_each_case_is_asked_once_and_a_second_run_asks_nothing(suite: Any) -> None:
    result = suite.run()
    assert result.ret == 0
    assert sorted(suite.calls) == ALL
    result = suite.run()
    assert result.ret == 0
    assert suite.calls == []
    result.stdout.fnmatch_lines(["*0 calls*20 answers from the cache*"])


def test_a_changed_prompt_asks_again(suite: Any) -> None:
    suite.run()
    assert len(suite.calls) == 20
    suite.prompt(say="Reply.")
    suite.run()
    assert sorted(suite.calls) == ALL


def test_repeats_are_questions_of_their_own(suite: Any) -> None:
    result = suite.run("--llmops-repeat=3")
    result.assert_outcomes(passed=60)
    assert len(suite.calls) == 60
    result = suite.run("--llmops-repeat=4")
    result.assert_outcomes(passed=80)
    assert sorted(suite.calls) == ALL


def test_a_cold_machine_replays_the_stored_baseline(suite: Any) -> None:
    assert suite.run(SAVE).ret == 0
    assert len(suite.calls) == 20
    shutil.rmtree(suite.root / ".llmops" / "local")
    result = suite.run(COMPARE)
    assert result.ret == 0
    assert suite.calls == []
    result.stdout.fnmatch_lines(["*passed*unchanged*"])


def test_refresh_asks_again_and_off_keeps_nothing(suite: Any) -> None:
    assert suite.run(SAVE).ret == 0
    assert len(suite.calls) == 20
    assert suite.run(COMPARE, "--llmops-cache=refresh").ret == 0
    assert sorted(suite.calls) == ALL
    shutil.rmtree(suite.root / ".llmops")
    assert suite.run("--llmops-cache=off").ret == 0
    assert sorted(suite.calls) == ALL
    assert not (suite.root / ".llmops").exists()


def test_offline_fails_on_a_miss_and_names_the_case(suite: Any) -> None:
    suite.run("-k", "not item-7")
    assert len(suite.calls) == 19
    result = suite.run("--llmops-cache=offline")
    assert result.ret == 1
    result.assert_outcomes(passed=19, errors=1)
    assert suite.calls == []
    result.stdout.fnmatch_lines(["*case 'item-7'*offline*"])


def test_collecting_asks_nothing_and_writes_nothing(suite: Any) -> None:
    result = suite.run("--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["test_items.py::test_items[[]item-0[]]", "*20 tests collected*"])
    assert suite.calls == []
    assert not (suite.root / ".llmops").exists()


def test_an_unusable_answer_is_asked_for_again(suite: Any) -> None:
    suite.prompt(cut=[3])
    suite.run()
    calls = suite.calls
    # It is not kept, so two workers may both meet it.
    assert len(set(calls)) == 20
    assert len(calls) - calls.count("3") == 19
    suite.run()
    assert set(suite.calls) == {"3"}


def test_calls_are_counted_where_the_file_cannot_be_used(suite: Any) -> None:
    (suite.root / ".llmops" / "local" / "cache.sqlite").mkdir(parents=True)
    result = suite.run()
    result.assert_outcomes(passed=20)
    # Workers that see no file in common may ask the same question, each for itself.
    made = len(suite.calls)
    assert made >= 20
    result.stdout.fnmatch_lines([f"*{made} calls made, 0 answers from the cache*", "*cannot be used*"])
