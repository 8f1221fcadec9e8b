"""Hold what is said of a baseline whose answers were known before they were stored, with real pytest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

IN_PROCESS = ("-p", "no:xdist")

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"
REFRESH = "--llmops-cache=refresh"

MARKED = "production is reused: 20 of 20 answers of test_items.py::test_items were there before this*"
REPEATED = "*the baseline is reused: 20 answers were there before it was stored, and chosen answers make a*"


def test_saving_answers_that_were_there_marks_the_baseline_and_names_the_cure(suite: Any) -> None:
    assert replace(suite, workers=IN_PROCESS).run().ret == 0
    assert len(suite.calls) == 20
    result = suite.run(SAVE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["saved as production: *", MARKED, "*lucky baseline; *--llmops-cache=refresh *"]
    )
    assert suite.calls == []
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE)
    assert result.ret == 0
    result.stdout.fnmatch_lines([REPEATED, "*lucky baseline; --llmops-cache=refresh stores fresh ones"])


def test_a_fresh_baseline_is_not_called_reused(plain_suite: Any) -> None:
    suite = plain_suite
    result = suite.run(SAVE)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*is reused*")
    suite.prompt(say="Reply.")
    suite.run(COMPARE).stdout.no_fnmatch_line("*is reused*")


def test_asking_again_clears_the_mark(plain_suite: Any) -> None:
    suite = plain_suite
    suite.run()
    suite.run(SAVE).stdout.fnmatch_lines([MARKED])
    suite.calls  # noqa: B018 - forgets them
    result = suite.run(SAVE, REFRESH)
    assert len(suite.calls) == 20
    result.stdout.fnmatch_lines(["saved as production: *"])
    result.stdout.no_fnmatch_line("*is reused*")
    suite.prompt(say="Reply.")
    suite.run(COMPARE).stdout.no_fnmatch_line("*is reused*")


def test_the_very_same_answers_leave_a_fresh_baseline_fresh_and_every_file_as_it_is(plain_suite: Any) -> None:
    suite = plain_suite
    assert suite.run(SAVE).ret == 0
    before = suite.stored()
    result = suite.run(SAVE)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*is reused*")
    assert suite.stored() == before


def test_the_very_same_answers_as_another_baseline_are_reused(plain_suite: Any) -> None:
    suite = plain_suite
    suite.run(SAVE)
    suite.run("--llmops-save-baseline=other").stdout.fnmatch_lines(["other is reused: 20 of 20 *"])
    suite.prompt(say="Reply.")
    suite.run("--llmops-baseline=other").stdout.fnmatch_lines([REPEATED])
    suite.run(COMPARE).stdout.no_fnmatch_line("*is reused*")


def test_only_the_answers_that_were_there_are_counted(plain_suite: Any) -> None:
    suite = plain_suite
    suite.run("-k", "item-1")
    assert len(suite.calls) == 11
    suite.run(SAVE).stdout.fnmatch_lines(["production is reused: 11 of 20 answers of *"])
    assert len(suite.calls) == 9


def test_a_reused_baseline_says_so_in_each_report_even_where_nothing_changed(plain_suite: Any) -> None:
    suite = plain_suite
    suite.run()
    suite.run(SAVE)
    result = suite.run(COMPARE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["llmops: 1 unchanged vs production*", REPEATED])


def test_answers_of_the_stored_baseline_are_not_fresh_either(plain_suite: Any) -> None:
    suite = plain_suite
    suite.run(SAVE)
    for path in (suite.root / ".llmops" / "local").rglob("*"):
        path.unlink()
    suite.calls  # noqa: B018
    # The cache is gone, and the stored run stands in for it.
    result = suite.run(COMPARE, "--llmops-save-baseline=next")
    assert suite.calls == []
    result.stdout.fnmatch_lines(["next is reused: 20 of 20 answers *"])


def test_workers_that_share_the_answers_of_their_session_do_not_reuse_them(make_suite: Any) -> None:
    suite = make_suite(("-n2",))
    # Every question is asked for twice, mostly by two processes.
    (suite.root / "test_others.py").write_text((suite.root / "test_items.py").read_text())
    result = suite.run(SAVE)
    assert result.ret == 0
    result.assert_outcomes(passed=40)
    assert len(suite.calls) == 20
    result.stdout.fnmatch_lines(
        [
            "saved as production: test_items.py::test_items *",
            "saved as production: test_others.py::test_items *",
        ]
    )
    result.stdout.no_fnmatch_line("*is reused*")


def test_repeats_count_each_answer(plain_suite: Any) -> None:
    suite = plain_suite
    suite.run()
    result = suite.run(SAVE, "--llmops-repeat=3")
    result.stdout.fnmatch_lines(["production is reused: 20 of 60 answers of *"])


def test_nothing_kept_is_nothing_reused(plain_suite: Any) -> None:
    suite = plain_suite
    suite.run("--llmops-cache=off")
    suite.run(SAVE, "--llmops-cache=off").stdout.no_fnmatch_line("*is reused*")
    assert len(suite.calls) == 40
