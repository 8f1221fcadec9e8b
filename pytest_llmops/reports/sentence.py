"""Say in one sentence what was found of one metric."""

from __future__ import annotations

from pytest_llmops.reports.escape import escape
from pytest_llmops.reports.figures import change_text, counted, interval_text, p_text, value_text
from pytest_llmops.runs.comparison import MetricComparison
from pytest_llmops.stats.verdict import Verdict


def metric_sentence(compared: MetricComparison, baseline: str) -> str:
    """Return the verdict on one metric with its figures, in one line fit for a summary."""
    metric = compared.metric
    words = {Verdict.NOT_COMPARABLE: "is not comparable with", Verdict.REGRESSED: "regressed against"}
    verdict = words.get(compared.verdict, f"is {compared.verdict} against")
    start = f"{compared.label} {verdict} {baseline}"
    if compared.verdict is Verdict.NOT_COMPARABLE or compared.change is None:
        return escape(f"{start}: {compared.reason}")
    figures = [
        change_text(metric, compared.change),
        f"interval {interval_text(metric, compared.low, compared.high)}",
        *([p_text(compared.p)] if compared.p is not None else []),
        counted(compared.cases, "case"),
    ]
    values = f"{value_text(metric, compared.baseline)} -> {value_text(metric, compared.candidate)}"
    return escape(f"{start}: {values} ({', '.join(figures)})")
