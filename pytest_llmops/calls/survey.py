"""Say what the file of answers holds, and whether it is sound."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_llmops.calls.answers_file import opened, size_of, sound_answer
from pytest_llmops.calls.exchange import Usage
from pytest_llmops.calls.owner import EXPIRY
from pytest_llmops.calls.prices import Prices

COUNT_CLAIMS = "SELECT count(*) FROM claims JOIN owners USING (owner) WHERE cast(beat AS REAL) > ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShare:
    """Be what one model's answers take."""

    model: str
    answers: int
    size: int
    """Bytes of the answers themselves."""
    usages: Mapping[Usage, int]
    """How many answers took how many tokens."""

    @property
    def tokens(self) -> tuple[int, int]:
        """Return the known tokens, in and out."""
        used = self.usages.items()
        return (
            sum((usage.input_tokens or 0) * number for usage, number in used),
            sum((usage.output_tokens or 0) * number for usage, number in used),
        )

    def cost_again(self, prices: Prices, provider: str) -> tuple[float, int]:
        """Return what the answers would cost today in US dollars, and how many have no known price."""
        priced = [(prices.cost(provider, self.model, usage), number) for usage, number in self.usages.items()]
        dollars = sum(price * number for price, number in priced if price is not None)
        return dollars, sum(number for price, number in priced if price is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Be what the file holds."""

    size: int
    """Bytes of the whole file."""
    models: Sequence[ModelShare]
    span: tuple[float, float] | None
    """When the oldest and the newest answer came, in seconds since 1970; None without answers."""
    damaged: int
    claims: int
    """Calls that are under way."""

    @property
    def answers(self) -> int:
        """Return the number of sound answers."""
        return sum(share.answers for share in self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """Be how sound the file is."""

    sound: int
    damaged: Sequence[str]
    """Keys of answers that are not what was stored."""
    faults: Sequence[str]
    """What SQLite itself finds wrong."""


def survey(file: Path) -> Survey:
    """Return what `file` holds.

    Raises:
        MisuseError: it cannot be read.
    """
    usages: dict[str, Counter[Usage]] = {}
    sizes: Counter[str] = Counter()
    moments: list[float] = []
    damaged = 0
    with opened(file) as connection:
        for key, data, proof, created in connection.execute(
            "SELECT key, response, checksum, cast(created AS REAL) FROM answers"
        ):
            response = sound_answer(key, data, proof)
            if response is None:
                damaged += 1
                continue
            usages.setdefault(response.model, Counter())[response.usage] += 1
            sizes[response.model] += len(data)
            moments.append(created)
        claims = connection.execute(COUNT_CLAIMS, (time.time() - EXPIRY,)).fetchone()[0]
    return Survey(
        size=size_of(file),
        models=[
            ModelShare(model=model, answers=used.total(), size=sizes[model], usages=used)
            for model, used in sorted(usages.items())
        ],
        span=(min(moments), max(moments)) if moments else None,
        damaged=damaged,
        claims=claims,
    )


def verify(file: Path, *, repair: bool = False) -> Checkup:
    """Check each answer and the file as a whole.

    Args:
        file: the file of answers.
        repair: remove the damaged answers.

    Raises:
        MisuseError: the file cannot be read, or not be repaired.
    """
    with opened(file) as connection:
        if repair:
            connection.execute("BEGIN IMMEDIATE")
        with connection:
            faults = _faults(connection)
            rows = _rows(connection, faults)
            damaged = {row: key for row, key, sound in rows if not sound}
            if repair:
                connection.executemany("DELETE FROM answers WHERE rowid = ?", [(row,) for row in damaged])
    return Checkup(sound=len(rows) - len(damaged), damaged=list(damaged.values()), faults=faults)


def _faults(connection: sqlite3.Connection) -> list[str]:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    return [] if found == ["ok"] else found


def _rows(connection: sqlite3.Connection, faults: list[str]) -> list[tuple[int, str, bool]]:
    """Return row, key and soundness of the answers that can be read; add what cannot be to `faults`."""
    rows = []
    try:
        for row, key, *rest in connection.execute("SELECT rowid, key, response, checksum FROM answers"):
            rows.append((row, key, sound_answer(key, *rest) is not None))
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        faults.append(str(error))
    return rows
