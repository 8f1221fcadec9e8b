"""The table of slices shows what was compared inside each tag, in colour only where it is gated."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from reports_hostile import dangers, hostile

from pytest_llmops.reports.terminal import comparison_lines
from pytest_llmops.runs.comparison import Comparison, Stop
from pytest_llmops.stats.verdict import Verdict


def lines_of(comparison, tally, width=80, **more):
    return list(comparison_lines(comparison, tally, width=width, **more))


def texts(lines):
    return [line.text for line in lines]


@pytest.fixture
def sliced(triage):
    """Return a comparison of one test inside two slices, one metric of one of them gated."""
    passed, step, _ = triage.metrics
    hard = replace(passed, tag="hard", cases=40, units=40, baseline=0.9, candidate=0.6, change=-0.3)
    slices = (
        replace(hard, p_family=0.0014),
        replace(step, tag="hard", gated=False, p_family=None, cases=40),
        replace(passed, tag="easy", gated=False, p_family=None, verdict=Verdict.INCONCLUSIVE, cases=80),
        replace(step, tag="easy", gated=False, p_family=None, verdict=Verdict.REGRESSED, cases=80),
    )
    test = replace(triage, slices=slices)
    return Comparison(baseline_name="production", alpha=0.05, family=3, tests=(test,))


def table(lines):
    """Return the lines of the table of slices."""
    start = texts(lines).index("inside slices") + 1
    return lines[start : next(at for at in range(start, len(lines)) if "brackets" in lines[at].text)]


def test_slices_stand_in_a_table_of_their_own(sliced, tally):
    head, rule, name, *rows = table(lines_of(sliced, tally, 80))

    # Of eight columns the least needed one has no room.
    assert head.text.split() == [
        "slice",
        "metric",
        "n",
        "candidate",
        "change",
        "90",
        "%",
        "interval",
        "verdict",
    ]
    assert set(rule.text.strip()) == {"-"}
    assert name.text == sliced.tests[0].test_key
    assert [row.text.split()[:3] for row in rows] == [
        ["hard", "passed", "40"],
        ["hard", "next_step", "40"],
        ["easy", "passed", "80"],
        ["easy", "next_step", "80"],
    ]
    assert [row.text.rsplit("  ", 1)[-1].strip() for row in rows] == [
        "regressed",
        "(no regression)",
        "(inconclusive)",
        "(regressed)",
    ]


def test_a_wide_page_has_the_test_beside_its_slices(sliced, tally):
    head, _, *rows = table(lines_of(sliced, tally, 160))

    assert head.text.split()[:3] == ["test", "slice", "metric"]
    assert "90 % interval" in head.text
    assert rows[0].text.startswith(f"{sliced.tests[0].test_key}  hard")
    assert [row.text.split()[0] for row in rows[1:]] == ["hard", "easy", "easy"]


def test_a_narrow_page_keeps_slice_metric_change_and_verdict(sliced, tally):
    head, _, _, *rows = table(lines_of(sliced, tally, 40))

    assert head.text.split() == ["slice", "metric", "change", "verdict"]
    assert rows[0].text.split() == ["hard", "passed", "-30.0", "pp", "regressed"]


def test_only_gated_slices_have_colour(sliced, tally):
    for width in (40, 80, 160):
        rows = [
            line
            for line in table(lines_of(sliced, tally, width))
            if ("hard" in line.text or "easy" in line.text)
        ]
        assert [row.style for row in rows] == ["red", "dim", "dim", "dim"]


def test_the_headline_counts_gated_slices_and_no_others(sliced, tally):
    assert texts(lines_of(sliced, tally, 160))[0].startswith(
        "llmops: 2 regressed, 1 no regression vs production"
    )


def test_the_family_is_told_with_its_slices(sliced, tally):
    told = " ".join(texts(lines_of(sliced, tally, 160)))

    assert (
        "Holm's correction covers 3 gated metrics, 1 slice among them: where nothing changed, at most 5 % of "
        "sessions turn red."
    ) in told
    alone = replace(sliced, family=1)
    assert (
        "Holm" not in "\n".join(texts(lines_of(alone, tally, 160))).split("inside slices")[1].split("\n\n")[0]
    )


def test_a_gated_slice_has_its_note_and_its_worst_cases(sliced, tally):
    test = sliced.tests[0]
    whole = tuple(replace(compared, verdict=Verdict.NO_REGRESSION) for compared in test.metrics)
    shown = texts(lines_of(replace(sliced, tests=(replace(test, metrics=whole),)), tally, 160))

    assert any(line.startswith("  passed@hard: down by 30.0 percentage points") for line in shown)
    assert any(line.startswith("  worst cases of passed@hard (worse in 13 cases)") for line in shown)
    assert not any("@easy" in line for line in shown)


def test_cases_of_a_slice_are_not_shown_again_below_those_of_the_whole(sliced, tally):
    shown = texts(lines_of(sliced, tally, 160))

    assert [line for line in shown if line.startswith("  worst cases")] == [
        "  worst cases of passed (worse in 13 cases)"
    ]


def test_without_slices_there_is_no_table(triage, tally):
    comparison = Comparison(baseline_name="production", alpha=0.05, family=2, tests=(triage,))
    shown = texts(lines_of(comparison, tally))

    assert "inside slices" not in shown
    assert not any("among them" in line for line in shown)


def test_an_early_stop_leaves_the_share_of_the_interval_open(sliced, tally):
    stop = Stop(kind="end", cases=frozenset("a"), planned=frozenset("a"), level=0.04)
    test = replace(sliced.tests[0], stop=stop)
    head, *_ = table(lines_of(replace(sliced, tests=(test,)), tally, 160))

    assert "90 %" not in head.text
    assert "interval" in head.text


@pytest.mark.parametrize("width", [1, 40, 57, 80, 160])
def test_no_line_is_too_wide(sliced, tally, width):
    for line in texts(lines_of(sliced, tally, width, verbose=True)):
        assert len(line) <= max(width, 40)
        assert line == line.rstrip()


def columns(text):
    return sum(
        2
        if unicodedata.east_asian_width(char) in "WF"
        else unicodedata.category(char) not in ("Mn", "Me", "Cf")
        for char in text
    )


@pytest.mark.parametrize("width", [40, 80, 160])
def test_hostile_tags_stay_text(sliced, tally, width):
    words = iter(hostile(400, seed=width))
    for _ in range(25):
        test = sliced.tests[0]
        slices = tuple(
            replace(
                each,
                tag=next(words) or "tag",
                metric=replace(each.metric, name=next(words)),
                worse=tuple(replace(change, case_id=next(words)) for change in each.worse[:4]),
            )
            for each in test.slices
        )
        poisoned = replace(sliced, tests=(replace(test, slices=slices),))
        for line in texts(lines_of(poisoned, tally, width)):
            assert not dangers(line), repr(line)
            assert "\n" not in line
            assert "\t" not in line
            assert columns(line) <= width


@pytest.mark.parametrize("tag", ["*bold*", "| cell |", "<b>", "[link](http://127.0.0.1)", "`code`", "a@b"])
def test_marks_of_other_languages_show_as_they_are(sliced, tally, tag):
    test = sliced.tests[0]
    slices = tuple(replace(each, tag=tag) for each in test.slices)
    shown = texts(lines_of(replace(sliced, tests=(replace(test, slices=slices),)), tally, 160))

    assert sum(tag in line for line in shown) >= 4
