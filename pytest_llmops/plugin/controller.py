"""Listen in the controller, and wake the comparison when there is something to compare."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmops.plugin import stash

if TYPE_CHECKING:
    from pytest_llmops.plugin.gather import GatheredTest, Gathering
    from pytest_llmops.plugin.note import Note
    from pytest_llmops.plugin.session import Session


class Controller:
    """Add up the notes of the recorders until the tests have run: with none of them, nothing is imported."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._gathering: Gathering | None = None
        self._session: Session | None = None

    def pytest_sessionstart(self) -> None:
        """Find a wrong baseline name before the first test runs."""
        settings = self._config.stash[stash.settings_key]
        if settings.baseline is not None or settings.save_baseline is not None:
            self._opened().start()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist which session it belongs to."""
        node.workerinput["llmops_session"] = stash.session_name(self._config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of xdist has to warn of, and what it spent where the others cannot see."""
        output = getattr(node, "workeroutput", {})
        if output.get("llmops_warnings"):
            from pytest_llmops.calls.tally import Tally

            stash.projects(self._config).warn(output["llmops_warnings"])
            stash.projects(self._config).add(Tally(**output["llmops_unseen"]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a recorder noted off a report, before anybody keeps it or writes it down."""
        note = vars(report).pop("llmops", None)
        if note is not None:
            self._take(note, failed=report.outcome == "failed")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Compare, save and fail what regressed when the tests have run."""
        try:
            result = yield
        except BaseException:
            if self._asked():
                self._opened().stopped_early(self._tests())
            raise
        if self._asked() and not session.config.option.collectonly:
            self._opened().finish(session, self._tests())
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Let --lf run the newly failing cases, not the findings, and say by the status what ended it."""
        if self._session is not None:
            session.exitstatus = self._session.exit_status(session)
        yield
        if self._session is not None:
            self._session.mend_lastfailed()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the report."""
        if self._session is not None:
            self._session.summarise(terminalreporter)

    def pytest_unconfigure(self) -> None:
        """Remove what a session that keeps nothing left behind."""
        if self._session is not None:
            self._session.discard()

    def _asked(self) -> bool:
        settings = self._config.stash[stash.settings_key]
        return bool(self._gathering or settings.baseline or settings.save_baseline)

    def _take(self, note: Note | str, *, failed: bool) -> None:
        from pytest_llmops.plugin.gather import Gathering
        from pytest_llmops.plugin.note import Note

        if self._gathering is None:
            stash.live(self._config)
            self._gathering = Gathering()
        self._gathering.take(Note.from_text(note) if isinstance(note, str) else note, failed=failed)

    def _tests(self) -> list[GatheredTest]:
        return self._gathering.tests if self._gathering else []

    def _opened(self) -> Session:
        if self._session is None:
            from pytest_llmops.plugin.session import Session

            self._session = Session(self._config, stash.projects(self._config))
        return self._session
