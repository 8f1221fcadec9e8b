"""Keep the answers of models, so that no question is paid twice."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_llmops.calls.database import Database
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
        rows = self._database.rows(
            "SELECT response, checksum, session = ? FROM answers WHERE key = ?", self.session, key
        )
        if not rows:
            return None
        data, proof, this_session = rows[0]
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
        data = canonical(response.to_json()).encode("utf-8", "surrogatepass")
        values = (key, data, checksum(key, data), self.session, time.time())

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", values)
            connection.execute("DELETE FROM claims WHERE key = ? AND owner = ?", (key, claimed_by))

        self._database.transact(work)

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
