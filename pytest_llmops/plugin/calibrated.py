"""Find what is known of the judges of a test, and refuse gated ones that nobody can trust."""

from __future__ import annotations

from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.marks import EvalSpec
from pytest_llmops.project import Project
from pytest_llmops.reports.calibration import finding_text
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.runs.gate import Gate
from pytest_llmops.runs.record import Run
from pytest_llmops.scorers.score import AnyScorer


def calibrations_of(run: Run, project: Project) -> dict[str, Calibration]:
    """Return how well the judges of a run agree with people, by their versions.

    Raises:
        DamagedError: a stored file no longer is what was written.
    """
    versions = [metric.version for metric in run.header.metrics.values() if metric.judged]
    found = {version: project.calibrations.find(version) for version in versions}
    return {version: known for version, known in found.items() if known is not None}


def check_calibrated(spec: EvalSpec, gate: Gate) -> None:
    """Refuse gated judges that were not held against labels of people, or that are near chance.

    Raises:
        MisuseError: there is one; the message names the command that calibrates it.
    """
    scorers: tuple[AnyScorer, ...] = (*spec.scorers, *spec.pair_scorers)
    for scorer in scorers:
        metric = scorer.metric
        if not metric.judged or not any(gate.covers(metric, tag) for tag in ("", *gate.tags)):
            continue
        known = spec.project.calibrations.find(metric.version)
        if known is not None and known.finding == "agrees":
            continue
        what = "is uncalibrated" if known is None else f"is {finding_text(known)}"
        command = getattr(scorer, "calibrated_by", "") or "llmops judge calibrate"
        cure = f"Hold it against answers that people have labelled: {command}"
        raise MisuseError(
            f"The judge {metric.name!r} {what}, and --llmops-require-calibration is set. {cure}"
        )
