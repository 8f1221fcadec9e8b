"""Say how well a judge agrees with people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pytest_llmops.reports.figures import counted
from pytest_llmops.reports.page import Line, Page, Style
from pytest_llmops.runs.calibration import Calibration, Finding
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.agreement import Estimate

UNCALIBRATED: Final = "uncalibrated, never held against labels of people (`llmops judge calibrate` does that)"

STYLES: Final[Mapping[Finding, Style]] = {
    "agrees": "green",
    "near chance": "red",
    "worse than chance": "red",
    "unknown": "yellow",
}

SHOWN: Final = 5
"""Most answers without a verdict that are named."""


def trust_text(metric: Metric, calibration: Calibration | None) -> str:
    """Return in a few words what a judge's metric is worth; "" where nobody judges."""
    if not metric.judged:
        return ""
    if calibration is None:
        return UNCALIBRATED
    if calibration.finding != "agrees":
        return finding_text(calibration)
    text = f"judge agrees with people {_percent(calibration.accuracy)}, kappa {_number(calibration.kappa)}"
    chosen = calibration.threshold
    if chosen is not None and metric.threshold is not None and chosen != metric.threshold:
        text += f", which is of the threshold {chosen:g} and not of {metric.threshold:g}"
    return text


def finding_text(calibration: Calibration) -> str:
    """Return the verdict on a judge in plain words."""
    lost = len(calibration.failures)
    silent = f"; no verdict on {lost:,} of {counted(calibration.answers, 'answer')}" if lost else ""
    return _FOUND[calibration.finding](calibration) + silent


def _agrees(calibration: Calibration) -> str:
    return f"agrees with people: {', '.join(_agreement(calibration))}"


def _near(calibration: Calibration) -> str:
    shown, guess = _deciding(calibration)
    return f"near chance: its {shown} includes {guess}; do not gate with it"


def _worse(calibration: Calibration) -> str:
    shown, guess = _deciding(calibration)
    return (
        f"worse than chance: its {shown} is below {guess}, so it scores higher what people find worse; "
        "do not gate with it"
    )


def _deciding(calibration: Calibration) -> tuple[str, str]:
    """Return the figure that decides, and what guessing gives."""
    name, estimate, guess = (
        ("Spearman correlation", calibration.spearman, "0")
        if calibration.by_ranks
        else ("AUC", calibration.auc, "0.5")
    )
    return f"{name} {_number(estimate)} (90 % interval {_interval(estimate)})", guess


def calibration_lines(calibration: Calibration, reasons: Mapping[str, str], page: Page) -> Iterator[Line]:
    """Give the verdict in one sentence, then the figures.

    Args:
        calibration: what is known of a judge.
        reasons: why answers got no verdict, by their ids.
        page: what is written on.
    """
    yield from page.paragraph(finding_text(calibration), STYLES[calibration.finding])
    yield Line()
    yield from _table(calibration, page)
    yield Line()
    yield page.line(
        f"judge {calibration.version}: {page.short(calibration.model)}, by {page.short(calibration.judge)}"
    )
    of = f"{calibration.judged:,} of {counted(calibration.answers, 'labelled answer')} judged"
    yield page.line(f"labels {calibration.labels_digest[:12]}: {of}")
    for name in calibration.failures[:SHOWN]:
        text = reasons.get(name) or f"no verdict on {name}"
        yield from page.paragraph(page.short(text, most=400), "yellow", indent=2)
    rest = len(calibration.failures) - SHOWN
    if rest > 0:
        yield page.line(f"  and none on {rest:,} more", "yellow")


def _agreement(calibration: Calibration) -> Iterator[str]:
    if calibration.by_ranks:
        yield f"Spearman correlation {_number(calibration.spearman)} ({_interval(calibration.spearman)})"
    if calibration.accuracy is not None:
        low, high = (f"{100 * end:.0f}" for end in calibration.accuracy[1:])
        yield f"accuracy {_percent(calibration.accuracy)} ({low} to {high})"
    if calibration.kappa is not None:
        yield f"kappa {_number(calibration.kappa)} ({_interval(calibration.kappa)})"
    if calibration.threshold is not None:
        yield (
            f"threshold {calibration.threshold:g} (chosen on {calibration.chosen_on:,}, reported on "
            f"{calibration.reported_on:,})"
        )


def _unknown(calibration: Calibration) -> str:
    if not calibration.judged:
        return "no telling: the judge gave no valid verdict on any labelled answer"
    both = "pairs of both kinds" if calibration.kind == "pairwise" else "some that pass and some that fail"
    return f"no telling: the labels of the judged answers are all alike, so AUC is unknown; label {both}"


_FOUND: Final[Mapping[Finding, Callable[[Calibration], str]]] = {
    "agrees": _agrees,
    "near chance": _near,
    "worse than chance": _worse,
    "unknown": _unknown,
}


def _table(calibration: Calibration, page: Page) -> Iterator[Line]:
    rows = [row for row in _rows(calibration) if row[1] != "-"]
    widths = [max(len(row[column]) for row in [_HEADER, *rows]) for column in range(3)]
    for row in (_HEADER, *rows):
        name, value, interval, note = row
        text = f"{name:{widths[0]}}  {value:>{widths[1]}}  {interval:>{widths[2]}}  {note}"
        yield page.line(text, "dim" if row is _HEADER else "plain")


_HEADER: Final = ("", "figure", "90 % interval", "")


def _rows(calibration: Calibration) -> Iterator[tuple[str, str, str, str]]:
    of = f"of {calibration.reported_on:,} answers"
    yield "accuracy", _percent(calibration.accuracy), _percents(calibration.accuracy), of
    yield "Cohen's kappa", _number(calibration.kappa), _interval(calibration.kappa), "0 is chance, 1 is full"
    yield "AUC", _number(calibration.auc), _interval(calibration.auc), "0.5 is chance, 1 is full"
    yield "Spearman", _number(calibration.spearman), _interval(calibration.spearman), "0 is chance, 1 is full"
    yield (
        "other when asked again",
        _percent(calibration.changed),
        _percents(calibration.changed),
        "of verdicts",
    )
    yield "move when asked again", _percent(calibration.moved), _percents(calibration.moved), "of the range"
    bias = calibration.length_bias
    yield "length and score", _number(bias), _interval(bias), _length_note(bias)
    turned = calibration.position_bias
    yield "turn with the order", _percent(turned), _percents(turned), "of pairs"


def _length_note(bias: Estimate | None) -> str:
    if bias is None or bias.low <= 0 <= bias.high:
        return "no bias seen, labels equal"
    return f"favours {'longer' if bias.low > 0 else 'shorter'} answers"


def _number(estimate: Estimate | None) -> str:
    return "-" if estimate is None else _rounded(estimate.value)


def _interval(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{_rounded(estimate.low)} to {_rounded(estimate.high)}"


def _rounded(number: float) -> str:
    text = f"{number:.2f}"
    # What rounds to nothing has no sign.
    return text.removeprefix("-") if not text.strip("-0.") else text


def _percent(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{100 * estimate.value:.0f} %"


def _percents(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f} %"
