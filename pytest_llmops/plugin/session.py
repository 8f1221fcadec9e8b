"""Compare, save and report at the end of a session; active in the controller only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.arms import compares
from pytest_llmops.plugin.calibrated import calibrations_of
from pytest_llmops.plugin.gather import GatheredTest
from pytest_llmops.plugin.options import session_root
from pytest_llmops.plugin.projects import Projects
from pytest_llmops.plugin.remarks import fallen_back, left_out, no_canary, unmet
from pytest_llmops.plugin.saving import refusal, save
from pytest_llmops.plugin.summary import paper, write_section
from pytest_llmops.plugin.verdicts import (
    UNMEASURED,
    Finding,
    comparison_findings,
    report_findings,
    unmeasured_finding,
    unsaved_finding,
)
from pytest_llmops.reports.page import Line, Page, Style
from pytest_llmops.reports.terminal import comparison_lines, scores_lines
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.runs.compare import Match, Rules, compare
from pytest_llmops.runs.comparison import Comparison
from pytest_llmops.runs.drift import Drift, find_drifts
from pytest_llmops.runs.gate import Gate
from pytest_llmops.store.names import check_name

OVER_BUDGET = 6
"""Exit status of a session that its budget cut short; pytest's own go up to 5."""

_ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class Session:
    """Turn what all processes measured into the answer that the user asked for."""

    def __init__(self, config: pytest.Config, projects: Projects) -> None:
        self._config = config
        self._projects = projects
        self._settings = projects.settings
        self._tests: Sequence[GatheredTest] = ()
        self._comparison: Comparison | None = None
        self._drifts: tuple[Drift, ...] = ()
        self._findings: list[Finding] = []
        self._told: list[tuple[str, Style]] = []

    def start(self) -> None:
        """Find a wrong baseline name.

        Raises:
            pytest.UsageError: baselines are stored, and none has the name, or none can be stored under it.
        """
        try:
            if self._settings.save_baseline is not None:
                check_name(self._settings.save_baseline, "a baseline")
            self._projects.at(session_root(self._config))
        except MisuseError as error:
            raise pytest.UsageError(str(error)) from None

    def stopped_early(self, tests: Sequence[GatheredTest]) -> None:
        """Show what ran before -x, Ctrl-C or a crash; it is no run, so it is neither compared nor saved."""
        self._take(tests)
        if self._settings.baseline or self._settings.save_baseline:
            self._tell("stopped early: nothing was compared or saved", "yellow")

    def finish(self, session: pytest.Session, tests: Sequence[GatheredTest]) -> None:
        """Compare and save what the tests measured, and fail what regressed."""
        try:
            self._take(tests)
            self._compare()
            self._save()
        except MisuseError as error:
            raise pytest.UsageError(str(error)) from None
        report_findings(self._config, session, self._findings)
        if not self._tests:
            self._tell("no eval test ran: nothing was compared or saved", "yellow")

    def exit_status(self, session: pytest.Session) -> int:
        """Return the exit status: one of its own where nothing failed but that the budget was spent."""
        lost = sum(finding.name == UNMEASURED for finding in self._findings)
        if left_out(self._tests) and session.exitstatus in _ENDED and session.testsfailed == lost:
            return OVER_BUDGET
        return int(session.exitstatus)

    def mend_lastfailed(self) -> None:
        """Let --lf run the newly failing cases, not the findings, which are no items."""
        cache = getattr(self._config, "cache", None)
        if self._findings and cache is not None:
            failed = dict(cache.get("cache/lastfailed", {}))
            for finding in self._findings:
                failed.pop(finding.nodeid, None)
                failed.update(dict.fromkeys(finding.newly_failing, True))
            cache.set("cache/lastfailed", failed)

    def summarise(self, terminalreporter: Any) -> None:
        """Print the report."""
        width, secrets = paper()
        page = Page(width=width, secrets=secrets)
        write_section(terminalreporter, (*self._report(page), *self._remarks(page)))

    def discard(self) -> None:
        """Remove what a session that keeps nothing left behind."""
        if self._settings.cache == "off":
            self._projects.discard_scratch()

    def _take(self, tests: Sequence[GatheredTest]) -> None:
        self._tests = tests
        # Under xdist this process has opened none so far, and the summary adds up over all.
        for test in self._tests:
            self._projects.at(test.root)
            test.disown(self._settings.max_error_share)

    def _compare(self) -> None:
        name = self._settings.baseline
        if name is None:
            return
        matched = [(test, match) for test in self._tests if (match := self._match(test, name))]
        if not matched:
            return
        rules = Rules(
            margins=self._settings.margin,
            alpha=self._settings.alpha,
            gate=Gate(self._settings.gate),
            slices=self._settings.slice,
        )
        self._comparison = compare(name, [match for _, match in matched], rules)
        self._drifts = find_drifts([self._canary(test, match) for test, match in matched], rules)
        self._findings += [
            finding for test, _ in matched if (finding := unmeasured_finding(test, self._settings))
        ]
        for (test, _), compared in zip(matched, self._comparison.tests, strict=True):
            self._findings += comparison_findings(test, compared, self._comparison, self._settings)
        for text in unmet(self._settings, self._tests, [match.baseline for _, match in matched]):
            self._tell(text, "yellow")

    def _match(self, test: GatheredTest, name: str) -> Match | None:
        assert test.prompt is not None
        project = self._projects.at(test.root)
        if not compares(project):
            self._tell(f"no baseline is stored yet, so thresholds decide: {test.key}", "yellow")
            return None
        live = self._settings.live_alias is not None
        baseline = test.arm_run("control") if live else project.archive.baseline(name, test.key)
        if baseline is None:
            self._tell(f"new, so thresholds decide: {name} holds no run of {test.key}", "yellow")
            return None
        header = baseline.header
        prompt = test.arms["control"].prompt if live else None
        return Match(
            baseline=baseline,
            candidate=test.run,
            baseline_prompt=prompt or project.registry.find(header.prompt_name, header.prompt_digest),
            candidate_prompt=test.prompt,
            stop=test.stop(baseline),
            calibrations=calibrations_of(test.run, project),
        )

    def _canary(self, test: GatheredTest, match: Match) -> Match | None:
        """Return the canary's answers beside the stored ones."""
        if self._settings.canary is not None and (reason := no_canary(test, match)):
            self._tell(reason, "yellow")
        again = test.arm_run("canary")
        if again is None:
            return None
        # Free metrics that changed were scored again on the stored outputs, with the candidate's answers.
        rescored = {result.case_id: result.stored_scores for result in test.run.results if result.repeat == 1}
        results = tuple(
            replace(result, stored_scores=rescored.get(result.case_id, {})) for result in again.results
        )
        return replace(match, candidate=replace(again, results=results), stop=None)

    def _save(self) -> None:
        name = self._settings.save_baseline
        if name is None:
            return
        for test in self._tests:
            project = self._projects.at(test.root)
            regressed = any(finding.test is test for finding in self._findings)
            reason = refusal(test, regressed=regressed)
            if not reason:
                saved, warning = save(test, project, name)
                self._tell(saved, "green")
                if warning:
                    self._tell(warning, "yellow")
                continue
            self._tell(f"not saved as {name}: {test.key}: {reason}", "yellow")
            finding = None if compares(project) else unsaved_finding(test, reason)
            self._findings += [finding] if finding else []

    def _report(self, page: Page) -> Iterator[Line]:
        tally = self._projects.tally()
        if self._comparison is not None:
            return comparison_lines(
                self._comparison,
                tally,
                width=page.width,
                drifts=self._drifts,
                secrets=page.secrets,
                verbose=self._settings.verbose,
            )
        runs = [test.run for test in self._tests]
        if not runs:
            return iter(())
        return scores_lines(
            runs, tally, width=page.width, secrets=page.secrets, calibrations=self._calibrations()
        )

    def _calibrations(self) -> dict[str, Calibration]:
        known: dict[str, Calibration] = {}
        for test in self._tests:
            try:
                known |= calibrations_of(test.run, self._projects.at(test.root))
            except MisuseError as error:
                # The scores stand, whatever is known of the judges.
                self._tell(str(error), "yellow")
        return known

    def _remarks(self, page: Page) -> Iterator[Line]:
        over = left_out(self._tests)
        if over:
            yield from page.paragraph(over, "red")
        notes = [note for test in self._tests for note in (*test.notes, *fallen_back([test]))]
        for note in dict.fromkeys([*notes, *self._projects.warnings()]):
            yield from page.paragraph(note, "yellow")
        for text, style in self._told:
            yield from page.paragraph(text, style)

    def _tell(self, text: str, style: Style) -> None:
        self._told.append((text, style))
