"""The report of a session says what the issue asks, fits its page and shows model text as text."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from reports_hostile import dangers, hostile

from pytest_llmops.calls.tally import Tally
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.reports.terminal import comparison_lines
from pytest_llmops.runs.comparison import CaseChange, Comparison, Pairing
from pytest_llmops.stats.verdict import Verdict

HERE = Path(__file__).parent


def shown(comparison, tally, width=80, secrets=()):
    return [line.text for line in comparison_lines(comparison, tally, width=width, secrets=secrets)]


def width_of(text):
    """Measure as a terminal does: wide letters take two columns, combining marks none."""
    marks = ("Mn", "Me", "Cf")
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else unicodedata.category(char) not in marks
        for char in text
    )


@pytest.mark.parametrize("width", [80, 160])
def test_the_full_report(comparison, tally, width):
    """Compare with the kept report; REWRITE_REPORTS=1 in the environment writes it anew."""
    path = HERE / f"report_{width}.txt"
    text = "\n".join(shown(comparison, tally, width)) + "\n"
    if os.environ.get("REWRITE_REPORTS"):
        path.write_text(text, encoding="utf-8")

    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1, 40, 57, 79, 80, 100, 160, 220])
def test_no_line_is_too_wide(comparison, tally, width):
    lines = shown(comparison, tally, width)

    assert max(map(len, lines)) <= max(width, 40)
    assert not any(line != line.rstrip() for line in lines)


def test_the_first_line_can_be_quoted(comparison, tally):
    quiet = replace(comparison, tests=tuple(replace(test, unmeasured=0) for test in comparison.tests))

    assert shown(quiet, Tally(saved=214), 160)[0] == (
        "llmops: 1 regressed, 1 no regression, 1 inconclusive, 1 not comparable, 1 unchanged vs production "
        "(214 cases, 0 calls, $0.00)"
    )


def test_a_narrow_headline_breaks_before_its_facts(comparison, tally):
    first = replace(comparison, tests=comparison.tests[:1])

    assert shown(first, tally)[0] == "llmops: 1 regressed, 1 no regression vs production"
    assert shown(first, tally)[1] == "(120 cases, 1 not measured, 26 calls, $0.03)"


def test_a_table_keeps_all_columns_at_80(comparison, tally):
    header = next(line for line in shown(comparison, tally) if "verdict" in line)

    assert header.split() == [
        "metric",
        "n",
        "baseline",
        "candidate",
        "change",
        "90",
        "%",
        "interval",
        "verdict",
    ]


def test_the_test_is_a_column_where_it_fits(comparison, tally):
    wide, narrow = (shown(comparison, tally, width) for width in (160, 80))

    assert any(line.startswith("test ") for line in wide)
    assert not any(line.startswith("test ") for line in narrow)


def test_the_interval_follows_alpha(comparison, tally):
    assert any("98 % interval" in line for line in shown(replace(comparison, alpha=0.01), tally))


def test_rows_have_the_colour_of_their_verdict(comparison, tally):
    lines = list(comparison_lines(comparison, tally, width=160))
    style_of = {
        name: next(line.style for line in lines if f" {name} " in line.text)
        for name in ("passed", "next_step", "exact", "tone", "latency")
    }

    assert style_of == {
        "passed": "red",
        "next_step": "green",
        "exact": "yellow",
        "tone": "yellow",
        "latency": "dim",
    }
    assert lines[0].style == "red"


def test_only_regressions_show_prompt_and_cases(comparison, tally):
    metrics = tuple(
        replace(compared, verdict=Verdict.WITHIN_MARGIN) for compared in comparison.tests[0].metrics
    )
    calm = replace(comparison, tests=(replace(comparison.tests[0], metrics=metrics),))

    assert any("worst cases" in line for line in shown(comparison, tally))
    assert any("| -" in line for line in shown(comparison, tally))
    assert not any("worst cases" in line or "| -" in line for line in shown(calm, tally))


def test_a_test_that_needs_no_word_has_no_section(summary, tally):
    calm = replace(summary, causes=(), metrics=(summary.metrics[1],))
    comparison = Comparison(baseline_name="production", alpha=0.05, family=1, tests=(calm,))

    assert sum(summary.test_key in line for line in shown(comparison, tally)) == 1


def test_a_regression_without_a_cause_says_so(triage, tally):
    comparison = Comparison(
        baseline_name="production", alpha=0.05, family=1, tests=(replace(triage, causes=()),)
    )

    assert any("no cause found" in line for line in shown(comparison, tally))


def test_a_lost_prompt_is_named(triage, tally):
    lost = replace(triage, baseline_prompt=None)
    comparison = Comparison(baseline_name="production", alpha=0.05, family=1, tests=(lost,))
    text = " ".join(shown(comparison, tally, 160))

    assert f"does not hold the baseline's prompt {triage.baseline.prompt_digest[:12]}" in text


def test_outputs_are_shown_where_they_differ(triage, tally):
    start = "The customer writes about a parcel. " * 30
    change = replace(
        triage.metrics[0].worse[0],
        baseline_output=f"{start}So: shipping.",
        candidate_output=f"{start}So: billing.",
    )
    test = replace(triage, metrics=(replace(triage.metrics[0], worse=(change,)),))
    comparison = Comparison(baseline_name="production", alpha=0.05, family=1, tests=(test,))
    text = "\n".join(shown(comparison, tally))

    assert "So: shipping." in text
    assert "So: billing." in text


def test_many_reasons_for_missing_cases_are_summed_up(triage, tally):
    missing = {f"case-{index}": f"error {index}" for index in range(30)}
    test = replace(triage, pairing=Pairing(missing=missing))
    comparison = Comparison(baseline_name="production", alpha=0.05, family=1, tests=(test,))
    lines = [line for line in shown(comparison, tally) if "left out" in line]

    assert len(lines) == 6
    assert lines[-1] == "  left out, missing for other reasons: 25 cases"


def poisoned(comparison, texts):
    """Put hostile texts into every place that others write."""
    test, word = comparison.tests[0], iter(texts)
    old, new = (
        Prompt(
            name=next(word),
            messages=({"role": next(word), "content": next(word)}, {"role": "user", "content": next(word)}),
            parameters={next(word): next(word)},
            tools=({"name": next(word)},),
        )
        for _ in range(2)
    )
    change = CaseChange(
        case_id=next(word),
        inputs={next(word): next(word), next(word): [next(word)]},
        expected={next(word): next(word)},
        baseline_score=0.5,
        candidate_score=0.0,
        baseline_output=next(word),
        candidate_output=next(word),
        reason=next(word),
    )
    alone = replace(change, inputs={"a": next(word)}, expected=next(word))
    metrics = tuple(
        replace(
            compared,
            metric=replace(compared.metric, name=next(word)),
            reason=next(word),
            worse=(change, alone, change, alone),
        )
        for compared in (*test.metrics, *comparison.tests[1].metrics)
    )
    headers = (replace(test.baseline, model=next(word)), replace(test.candidate, model=next(word)))
    headers = tuple(replace(header, prompt_name=next(word), golden_name=next(word)) for header in headers)
    bad = replace(
        test,
        test_key=next(word),
        baseline=headers[0],
        candidate=headers[1],
        baseline_prompt=old,
        candidate_prompt=new,
        causes=(*test.causes, "model", next(word)),
        pairing=Pairing(changed=(next(word),), new=(next(word),), missing={next(word): next(word)}),
        metrics=metrics,
    )
    return replace(comparison, baseline_name=next(word), tests=(bad, *comparison.tests[1:]))


@pytest.mark.parametrize("width", [40, 80, 160])
def test_hostile_texts_stay_text_wherever_they_stand(comparison, tally, width):
    texts = list(hostile(1_200, seed=width))
    places = 60
    assert len(texts) // places == 20

    for start in range(0, len(texts), places):
        lines = shown(poisoned(comparison, texts[start : start + places]), tally, width)
        for line in lines:
            assert not dangers(line), repr(line)
            assert "\n" not in line
            assert "\t" not in line
            assert width_of(line) <= width


def test_secrets_show_nowhere_not_even_in_part(comparison, tally):
    secret = "sk-" + "Zq7" * 14
    text = f"{'x' * 57}{secret}\n{secret}"
    lines = shown(poisoned(comparison, [text] * 60), tally, 80, [secret])

    assert not any("Zq7" in line for line in lines)
    assert any("***" in line for line in lines)


def test_a_bomb_of_a_text_is_cut(comparison, tally):
    lines = shown(poisoned(comparison, ["word " * 20_000] * 60), tally)

    assert len(lines) < 700
