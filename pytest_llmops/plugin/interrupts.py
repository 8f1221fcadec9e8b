"""End a session in order when it is told to stop, and say by its exit status what stopped it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import pytest

TERMINATED = 128 + signal.SIGTERM
"""Exit status after SIGTERM, as shells count."""

INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C; pytest's own would be 2."""


class Interrupts:
    """Turn SIGTERM into pytest's own early end: connections are closed, and nothing is left claimed."""

    def __init__(self) -> None:
        self._before: Any = None
        self.status: int | None = None
        """The exit status that says what stopped the session; None where nothing did."""

    def listen(self) -> None:
        """Take over SIGTERM, where nobody else has."""
        if self._before is None and _is_free():
            self._before = signal.signal(signal.SIGTERM, self._terminate)

    def note(self, error: BaseException) -> None:
        """Note what ended the tests."""
        # Stops of pytest's and xdist's own, such as those of -x, are subclasses.
        if type(error) is KeyboardInterrupt:
            self.status = INTERRUPTED

    def close(self) -> None:
        """Give SIGTERM back."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _terminate(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the handler's form
        self.status = TERMINATED
        raise pytest.exit.Exception("SIGTERM", returncode=TERMINATED)


def end_worker_in_order() -> None:
    """Let SIGTERM end a worker of xdist in order, as Ctrl-C does: it gives up what it holds."""
    if _is_free():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _is_free() -> bool:
    """Tell whether SIGTERM can be taken over, and nobody else has."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
