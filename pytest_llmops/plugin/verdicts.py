"""Turn what the comparison found into failed reports that every part of pytest understands."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from pytest_llmops.plugin.gather import GatheredTest
from pytest_llmops.reports.escape import escape
from pytest_llmops.reports.page import MIN_WIDTH, wrap
from pytest_llmops.reports.sentence import metric_sentence
from pytest_llmops.runs.comparison import Comparison, MetricComparison, TestComparison
from pytest_llmops.settings import Settings
from pytest_llmops.stats.verdict import Verdict

SHOWN = 10
"""Most case ids that a failure lists."""

_UNCOVERED = (Verdict.TOO_FEW, Verdict.NOT_COMPARABLE)


UNMEASURED = "unmeasured"
"""Name of the finding that too many cases were lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Be one reason why the build is red that is not a failed item."""

    test: GatheredTest
    name: str
    """What stands in `llmops[…]`: a metric, `unmeasured` or `unsaved`."""
    headline: str
    details: tuple[str, ...] = ()
    newly_failing: tuple[str, ...] = ()
    """Node ids of the cases to run again."""

    @property
    def nodeid(self) -> str:
        """Return the name under which pytest shows the finding."""
        return f"{self.test.nodeid}::llmops[{self.name}]"


class _Text(str):
    """Be the text of a failure whose first line pytest shows in its short summary."""

    __slots__ = ("reprcrash",)
    reprcrash: SimpleNamespace


def unmeasured_finding(test: GatheredTest, settings: Settings) -> Finding | None:
    """Return a finding where too many cases were lost to faults of a provider or a judge."""
    lost = test.unmeasured
    if len(lost) <= settings.max_error_share * len(test.results):
        return None
    return Finding(
        test=test,
        name=UNMEASURED,
        headline=f"{len(lost)} of {len(test.results)} cases could not be measured, "
        f"more than {settings.max_error_share:.0%}",
        details=tuple(f"{result.case_id}: {escape(result.detail)}" for result in lost[:SHOWN]),
    )


def comparison_findings(
    test: GatheredTest, compared: TestComparison, comparison: Comparison, settings: Settings
) -> Iterator[Finding]:
    """Yield a finding for each metric of one test that makes the build red."""
    for metric in (*compared.metrics, *compared.slices):
        name, sentence = metric.label, metric_sentence(metric, comparison.baseline_name)
        strict = metric.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE) and settings.strict
        if not metric.gated:
            continue
        if metric.verdict is Verdict.REGRESSED:
            yield _regression(test, metric, sentence, comparison.baseline_name)
        elif metric.verdict in _UNCOVERED and test.excused_from(name):
            yield _uncovered(test, name, f"{metric.verdict}, so its misses count one by one")
        elif strict:
            yield Finding(test=test, name=name, headline=f"{sentence} (--llmops-strict)")


def unsaved_finding(test: GatheredTest, reason: str) -> Finding | None:
    """Return a finding where misses were left to a run that then could not be stored."""
    missed = test.excused_from()
    if not missed:
        return None
    return Finding(
        test=test,
        name="unsaved",
        headline=f"{_cases(len(missed))} missed, and the run was not saved: {reason}",
        details=_listed(missed),
        newly_failing=tuple(missed),
    )


def report_findings(config: pytest.Config, session: pytest.Session, findings: Iterable[Finding]) -> None:
    """Send each finding through pytest as a failed test."""
    for finding in findings:
        session.testscollected += 1
        for report in _reports(finding):
            config.hook.pytest_runtest_logreport(report=report)


def _regression(test: GatheredTest, metric: MetricComparison, sentence: str, baseline: str) -> Finding:
    nodeids = tuple(change.nodeid for change in metric.worse if change.nodeid)
    return Finding(
        test=test,
        name=metric.label,
        headline=sentence,
        details=(
            f"Newly worse: {_named([change.case_id for change in metric.worse])}.",
            f"Run them again: pytest --lf --llmops-baseline={shlex.quote(baseline)}",
        ),
        newly_failing=nodeids,
    )


def _uncovered(test: GatheredTest, name: str, reason: str) -> Finding:
    missed = test.excused_from(name)
    return Finding(
        test=test,
        name=name,
        headline=f"{_cases(len(missed))} missed {name}: {reason}",
        details=_listed(missed),
        newly_failing=tuple(missed),
    )


def _reports(finding: Finding) -> Sequence[pytest.TestReport]:
    path, line, _ = finding.test.location
    width = max(shutil.get_terminal_size().columns, MIN_WIDTH)
    text = _Text(
        "\n".join(
            line for part in (finding.headline, *finding.details) for line in wrap(part, width, most=None)
        )
    )
    text.reprcrash = SimpleNamespace(message=finding.headline, path=path, lineno=line)
    outcomes: Mapping[str, str] = {"setup": "passed", "call": "failed", "teardown": "passed"}
    return [
        pytest.TestReport(
            nodeid=finding.nodeid,
            location=(path, line, finding.nodeid.partition("::")[2]),
            keywords={},
            outcome=outcome,  # type: ignore[arg-type]
            longrepr=text if outcome == "failed" else None,
            when=when,  # type: ignore[arg-type]
        )
        for when, outcome in outcomes.items()
    ]


def _listed(nodeids: Sequence[str]) -> tuple[str, ...]:
    rest = len(nodeids) - SHOWN
    return (*nodeids[:SHOWN], *([f"and {rest} more"] if rest > 0 else []))


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(escape(case_id) for case_id in ids[:SHOWN])
    rest = len(ids) - SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"
