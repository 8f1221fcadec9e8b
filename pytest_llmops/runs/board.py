"""Let all processes of a session see each other's results while they run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pytest_llmops.calls.database import Database
from pytest_llmops.calls.shared_book import DAY
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.store.canonical import canonical, parse_json


class Board:
    """Hold scores of this session in the file of the cache, for one reader that asks for what is new.

    Args:
        path: the SQLite file; made on the first post.
        session: the name that all processes of one test session share.
    """

    def __init__(self, path: Path, *, session: str) -> None:
        self._database = Database(path)
        self._session = session
        self._seen: dict[str, int] = {}

    def post(self, result: CaseResult, beside: Sequence[CaseResult] = ()) -> None:
        """Show a result, and the results of the same case that it is to be compared with."""
        now = time.time()
        if not self._seen:
            self._database.change("DELETE FROM results WHERE created < ?", now - DAY)
        text = canonical([_slim(each).to_json() for each in (result, *beside)])
        # Ids and reasons may hold lone surrogates, which SQLite takes in bytes only.
        note = text.encode("utf-8", "surrogatepass")
        self._database.change(
            "INSERT INTO results VALUES (?, ?, ?, ?)", self._session, result.test_key, note, now
        )

    def new(self, test_key: str) -> list[tuple[CaseResult, list[CaseResult]]]:
        """Return what was posted of a test since the last call."""
        rows = self._database.rows(
            "SELECT rowid, note FROM results WHERE session = ? AND test = ? AND rowid > ? ORDER BY rowid",
            self._session,
            test_key,
            self._seen.get(test_key, 0),
        )
        if rows:
            self._seen[test_key] = rows[-1][0]
        return [read for _, note in rows if (read := _read(note))]

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _slim(result: CaseResult) -> CaseResult:
    # Texts decide nothing here.
    return replace(result, inputs={}, expected=None, output=None, detail="")


def _read(note: bytes) -> tuple[CaseResult, list[CaseResult]] | None:
    try:
        values = parse_json(note.decode("utf-8", "surrogatepass"))
        result, *beside = map(CaseResult.from_json, cast("list[dict[str, Any]]", values))
    except (ValueError, TypeError, AttributeError):
        # Without a damaged row a test may run longer than it must, which is better than not at all.
        return None
    return result, beside
