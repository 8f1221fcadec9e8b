"""Keep the answers of models, so that no question is paid twice."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llmops.calls.database import Database, batches, placeholders
from pytest_llmops.calls.exchange import Response
from pytest_llmops.store.canonical import canonical, digest_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Be an answer that the cache held."""

    response: Response
    this_session: bool
    """Whether this very session asked for it: then it was paid, not saved."""


class Cache:
    """Hold answers by request digest, in a file that many processes share.

    Args:
        path: the SQLite file; made with its folder on the first `put`.
        session: the name that all processes of one test session share.
        fresh_only: see only what this session put, as `--llmops-cache=refresh` wants it.
    """

    def __init__(self, path: Path, *, session: str, fresh_only: bool = False) -> None:
        self._path = path
        self._database = Database(path)
        self.session = session
        self._fresh_only = fresh_only

    @property
    def warnings(self) -> list[str]:
        """Return what went wrong with the file, one sentence for each kind of trouble."""
        return self._database.warnings

    def get(self, key: str) -> Hit | None:
        """Return the answer to the request with the digest `key`, None where there is none."""
        return self.get_all([key])[0]

    def get_all(self, keys: Sequence[str]) -> list[Hit | None]:
        """Return the answers to the requests with the digests `keys`, in their order."""
        rows: dict[str, tuple[Any, ...]] = {}
        for some in batches(keys):
            found = self._database.rows(
                "SELECT key, response, checksum, session = ? FROM answers "  # noqa: S608 - question marks
                f"WHERE key IN ({placeholders(some)})",
                self.session,
                *some,
            )
            rows.update((row[0], row[1:]) for row in found)
        return [self._hit(key, *rows[key]) if key in rows else None for key in keys]

    def _hit(self, key: str, data: Any, proof: object, this_session: object) -> Hit | None:
        if proof != checksum(key, data):
            self._database.warn(f"{self._path} holds a damaged answer; the question is asked again.")
            return None
        if self._fresh_only and not this_session:
            return None
        return Hit(response=read_answer(data), this_session=bool(this_session))

    def put(self, key: str, response: Response, *, claimed_by: str | None = None) -> None:
        """Keep `response`; it outlives this process as soon as this returns.

        Args:
            key: what names the question.
            response: the answer.
            claimed_by: who gives up its claim on `key` with it.
        """
        self.put_all([(key, response)], claimed_by=claimed_by)

    def put_all(self, answers: Sequence[tuple[str, Response]], *, claimed_by: str | None = None) -> None:
        """Keep many answers, as `put` keeps one."""
        now = time.time()
        rows = [(*self._row(key, response), now) for key, response in answers]

        def work(connection: sqlite3.Connection) -> None:
            # Few statements with many values: after each of them the thread waits for its turn again.
            for some in batches(rows):
                values = ", ".join(["(?, ?, ?, ?, ?)"] * len(some))
                connection.execute(
                    f"INSERT OR REPLACE INTO answers VALUES {values}",  # noqa: S608 - question marks
                    [value for row in some for value in row],
                )
                keys = [row[0] for row in some]
                connection.execute(
                    f"DELETE FROM claims WHERE owner = ? AND key IN ({placeholders(keys)})",  # noqa: S608
                    (claimed_by, *keys),
                )

        self._database.transact(work)

    def _row(self, key: str, response: Response) -> tuple[str, bytes, bytes, str]:
        data = canonical(response.to_json()).encode("utf-8", "surrogatepass")
        return key, data, checksum(key, data), self.session

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def checksum(key: str, data: object) -> bytes:
    """Return what proves that `data` is what was stored under `key`."""
    # With the key inside, a sound answer in another answer's row is found out as well.
    content = data if isinstance(data, bytes) else b""
    return digest_bytes(key.encode() + b"\n" + content).encode()


def read_answer(data: bytes) -> Response:
    """Return the answer that is stored as `data`."""
    # Written by `put`, and proven by its checksum: nothing in it has to be refused.
    return Response.from_json(json.loads(data.decode("utf-8", "surrogatepass")))
