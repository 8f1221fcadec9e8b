"""A judge is called what it is: uncalibrated, near chance, or in agreement with people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_llmops.calls.tally import Tally
from pytest_llmops.reports.calibration import calibration_lines, finding_text, trust_text
from pytest_llmops.reports.notes import note_lines
from pytest_llmops.reports.page import Page
from pytest_llmops.reports.terminal import scores_lines
from pytest_llmops.runs.calibration import Calibration, HumanChange
from pytest_llmops.runs.comparison import Comparison, MetricComparison
from pytest_llmops.runs.record import Header, Run
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.agreement import Estimate
from pytest_llmops.stats.verdict import Verdict

TONE = Metric(name="tone", version="0123456789ab", judged=True, free=False)

LIKELY = Calibration(
    version="0123456789ab",
    judge="The reply keeps a friendly tone.",
    model="openai:small",
    kind="pass_fail",
    labels_digest="d" * 64,
    judged=140,
    threshold=0.63,
    chosen_on=70,
    reported_on=70,
    accuracy=Estimate(0.914, 0.838, 0.96),
    kappa=Estimate(0.82, 0.66, 0.92),
    auc=Estimate(0.94, 0.9, 0.97),
    length_bias=Estimate(0.05, -0.09, 0.19),
    changed=Estimate(0.02, 0.004, 0.06),
    moved=Estimate(0.012, 0.008, 0.018),
)
GUESSING = replace(LIKELY, auc=Estimate(0.48, 0.38, 0.58))


def test_agreement_is_one_line():
    assert finding_text(LIKELY) == (
        "agrees with people: accuracy 91 % (84 to 96), kappa 0.82 (0.66 to 0.92), threshold 0.63 "
        "(chosen on 70, reported on 70)"
    )


def test_near_chance_says_so_and_what_not_to_do():
    assert finding_text(GUESSING) == (
        "near chance: its AUC 0.48 (90 % interval 0.38 to 0.58) includes 0.5; do not gate with it"
    )
    turned = finding_text(replace(LIKELY, auc=Estimate(0.2, 0.1, 0.3)))
    assert turned.startswith("worse than chance: its AUC 0.20 (90 % interval 0.10 to 0.30) is below 0.5")


def test_marks_are_judged_by_their_ranks():
    marks = replace(LIKELY, kind="score", spearman=Estimate(0.71, 0.58, 0.81))
    assert finding_text(marks).startswith(
        "agrees with people: Spearman correlation 0.71 (0.58 to 0.81), accuracy"
    )
    near = replace(marks, spearman=Estimate(0.1, -0.1, 0.3))
    assert "its Spearman correlation 0.10 (90 % interval -0.10 to 0.30) includes 0;" in finding_text(near)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"auc": None},
            "the labels of the judged answers are all alike, so AUC is unknown; label some that pass",
        ),
        ({"auc": None, "kind": "pairwise"}, "label pairs of both kinds"),
        ({"auc": None, "judged": 0, "failures": ("a",)}, "gave no valid verdict on any labelled answer"),
        ({"failures": ("a", "b")}, "; no verdict on 2 of 142 answers"),
    ],
)
def test_what_cannot_be_told_is_said(change, text):
    assert text in finding_text(replace(LIKELY, **change))


def test_the_report_names_what_a_judge_is_worth():
    assert trust_text(replace(TONE, judged=False), None) == ""
    assert trust_text(TONE, None).startswith("uncalibrated, never ")
    assert trust_text(TONE, GUESSING).startswith("near chance: ")
    assert trust_text(TONE, LIKELY) == "judge agrees with people 91 %, kappa 0.82"
    assert trust_text(replace(TONE, threshold=0.5), LIKELY).endswith(
        "kappa 0.82, which is of the threshold 0.63 and not of 0.5"
    )
    assert trust_text(replace(TONE, threshold=0.63), LIKELY).endswith("kappa 0.82")


@pytest.mark.parametrize("width", [40, 80])
def test_the_figures_stand_in_a_table_that_fits(width):
    known = replace(LIKELY, failures=tuple(f"row-{n}" for n in range(7)))
    reasons = {"row-0": "The judge 'judge' rambled\x1b[31m " + "on and " * 30, "row-1": "no"}
    lines = [line.text for line in calibration_lines(known, reasons, Page(width=width))]
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "\\x1b[31m" in text
    assert "no verdict on row-2" in text
    assert "and none on 2 more" in text
    if width == 80:
        assert "accuracy                  91 %     84 to 96 %  of 70 answers" in lines
        assert "AUC                       0.94   0.90 to 0.97  0.5 is chance, 1 is full" in lines
        assert "other when asked again     2 %       0 to 6 %  of verdicts" in lines
        assert "length and score          0.05  -0.09 to 0.19  no bias seen, labels equal" in lines
        assert "judge 0123456789ab: openai:small, by The reply keeps a friendly tone." in lines
        assert "labels dddddddddddd: 140 of 147 labelled answers judged" in lines
    # What was not measured has no row.
    assert "turn with the order" not in text
    assert "Spearman" not in text


def test_a_bias_is_named():
    def noted(**change):
        return "\n".join(
            line.text for line in calibration_lines(replace(LIKELY, **change), {}, Page(width=80))
        )

    assert "0.34   0.12 to 0.53  favours longer answers" in noted(length_bias=Estimate(0.34, 0.12, 0.53))
    assert "favours shorter answers" in noted(length_bias=Estimate(-0.34, -0.53, -0.12))
    assert "turn with the order       78 %     68 to 87 %  of pairs" in noted(
        position_bias=Estimate(0.78, 0.68, 0.87)
    )


COMPARED = MetricComparison(
    metric=TONE,
    verdict=Verdict.NO_REGRESSION,
    gated=True,
    cases=120,
    units=120,
    baseline=0.9,
    candidate=0.9,
    change=0.0,
    margin=0.05,
)


def noted(compared):
    comparison = Comparison(baseline_name="production", alpha=0.05, family=1, tests=())
    return " ".join(line.text.strip() for line in note_lines(compared, comparison, Page(width=600)))


def test_a_gated_judge_is_marked_whatever_the_verdict():
    assert noted(COMPARED).startswith("tone: uncalibrated, never held against labels")
    assert noted(replace(COMPARED, calibration=LIKELY)) == "tone: judge agrees with people 91 %, kappa 0.82."
    assert "near chance" in noted(replace(COMPARED, calibration=GUESSING))
    lost = replace(COMPARED, verdict=Verdict.NOT_COMPARABLE, reason="it measures differently now")
    assert noted(lost).startswith("tone: not comparable, it measures differently now; uncalibrated, never ")
    few = replace(COMPARED, verdict=Verdict.TOO_FEW, units=3)
    assert noted(few).startswith("tone: uncalibrated, never ")


def test_one_that_is_not_gated_or_no_judge_or_a_slice_is_not():
    assert noted(replace(COMPARED, gated=False)) == ""
    assert noted(replace(COMPARED, metric=replace(TONE, judged=False))) == ""
    assert noted(replace(COMPARED, tag="de")) == ""


def test_what_people_find_stands_beside_the_verdict():
    human = HumanChange(cases=24, change=-0.032, low=-0.08, high=0.016, marks=False)
    text = "with 24 cases labelled by people on both sides: -3.2 pp (90 % interval -8.0 to +1.6)"
    assert text in noted(replace(COMPARED, calibration=LIKELY, human=human))
    # On a scale of marks labels of pass and fail count as shares all the same.
    scale = replace(TONE, kind="score", range=(1.0, 5.0), threshold=3.0)
    assert text in noted(replace(COMPARED, metric=scale, calibration=LIKELY, human=human))
    marks = replace(human, change=-0.32, low=-0.8, high=0.16, marks=True)
    assert "both sides: -0.32 (90 % interval -0.80 to +0.16)" in noted(
        replace(COMPARED, metric=scale, calibration=LIKELY, human=marks)
    )


def run_of(*metrics):
    header = Header(
        test_key="t",
        prompt_name="p",
        prompt_digest="0",
        model="openai:m",
        golden_name="g",
        golden_digest="0",
        metrics={metric.name: metric for metric in metrics},
    )
    return Run(header=header, results=())


def test_scores_without_a_baseline_are_marked_too():
    def said(*metrics, **calibrations):
        known = {each.version: each for each in calibrations.values()}
        # Two tests with the same judge: it is said once.
        lines = scores_lines([run_of(*metrics)] * 2, Tally(), width=300, calibrations=known)
        return [(line.text.strip(), line.style) for line in lines if line.text.startswith("  tone: ")]

    assert said(replace(TONE, judged=False)) == []
    assert said(replace(TONE, kind="score")) == []
    assert said(TONE, found=LIKELY) == [("tone: judge agrees with people 91 %, kappa 0.82.", "plain")]
    ((text, style),) = said(TONE, found=GUESSING)
    assert "near chance" in text
    assert style == "yellow"
    ((text, style),) = said(TONE)
    assert text.startswith("tone: uncalibrated, never ")
    assert style == "yellow"
