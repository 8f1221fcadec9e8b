"""Open the projects of a session, one for each root, with one event loop for all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import pytest

from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import Provider
from pytest_llmops.calls.prefetch import LoopThread
from pytest_llmops.calls.tally import Tally
from pytest_llmops.plugin.arms import check_baseline
from pytest_llmops.project import Project
from pytest_llmops.settings import Settings, find_root


class Projects:
    """Hold what this process has opened; nothing is opened before its first use.

    Args:
        config: the session's configuration.
        settings: the settings of the session.
        session: the session's own name, the same in all its processes.
    """

    def __init__(self, config: pytest.Config, settings: Settings, session: str) -> None:
        self._config = config
        self.settings = settings
        self.session = session
        self._by_folder: dict[Path, Project] = {}
        self._by_root: dict[Path, Project] = {}
        self._warnings: list[str] = []
        self._unseen = Tally()

    @cached_property
    def loop(self) -> LoopThread:
        """Start the event loop that carries all calls of this process."""
        return LoopThread()

    def of(self, path: Path) -> Project:
        """Return the project of a test file.

        Raises:
            MisuseError: the session names a baseline that the project does not hold.
        """
        if path.parent not in self._by_folder:
            self._by_folder[path.parent] = self.at(find_root(path, self._config.rootpath))
        return self._by_folder[path.parent]

    def at(self, root: Path) -> Project:
        """Return the project of a root.

        Raises:
            MisuseError: the session names a baseline that the project does not hold.
        """
        if root not in self._by_root:
            project = Project(
                root,
                self.settings,
                session=self.session,
                find_provider=self._find_provider,
                scratch=self._scratch if self.settings.cache == "off" else None,
                alone=self._alone,
            )
            check_baseline(project)
            self._by_root[root] = project
        return self._by_root[root]

    @property
    def slots(self) -> int:
        """Return about how many calls of this process may be under way at once."""
        return sum(client.slots for client in self._clients)

    def tally(self) -> Tally:
        """Return what all processes of the session spent so far, and let go of the ledgers."""
        tallies = []
        for project in self._by_root.values():
            tallies.append(project.spent())
            project.close()
        return sum(tallies, self._unseen)

    def unseen(self) -> Tally:
        """Return what this process spent that no other can see."""
        opened = [project for project in self._by_root.values() if "client" in project.__dict__]
        return sum((project.ledger.unseen for project in opened), Tally())

    def add(self, unseen: Tally) -> None:
        """Take over what another process of the session spent, and only it can know."""
        self._unseen += unseen

    def warn(self, warnings: Iterable[str]) -> None:
        """Take over what another process of the session has to warn of."""
        self._warnings += warnings

    def warnings(self) -> list[str]:
        """Return what went wrong with the cache files, each trouble once."""
        own = [warning for client in self._clients for warning in client.warnings]
        return list(dict.fromkeys([*own, *self._warnings]))

    def close(self) -> None:
        """Let go of connections and of the event loop."""
        opened = self._clients
        # A plan looks answers up and calls nothing: its clients hold files, and no loop runs yet.
        if opened or "loop" in self.__dict__:
            # An interrupt that comes now ends the thread all the same.
            with ExitStack() as stack:
                stack.callback(self.loop.close)
                for client in opened:
                    stack.callback(self.loop.run, client.aclose())

    def discard_scratch(self) -> None:
        """Remove the cache of a session that keeps nothing."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def _clients(self) -> list[Client]:
        return [project.client for project in self._by_root.values() if "client" in project.__dict__]

    @property
    def _alone(self) -> bool:
        worker = hasattr(self._config, "workerinput")
        return not worker and getattr(self._config.option, "dist", "no") == "no"

    @property
    def _scratch(self) -> Path:
        # Named after the session, so that its processes find the same folder.
        return Path(tempfile.gettempdir()) / f"llmops-{self.session}"

    def _find_provider(self, name: str) -> Provider | None:
        found: Provider | None = self._config.hook.pytest_llmops_provider(name=name)
        return found
