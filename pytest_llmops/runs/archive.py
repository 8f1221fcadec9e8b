"""Store runs and find them again; a baseline is a ref for each test, pointing at a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_llmops.calls.exchange import Timing
from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.runs.record import SCHEMA_VERSION, CaseResult, Header, Run
from pytest_llmops.scorers.score import Score
from pytest_llmops.store.canonical import canonical, digest_text, parse_json
from pytest_llmops.store.folder import read_stored
from pytest_llmops.store.objects import Objects
from pytest_llmops.store.refs import Refs, baseline_ref

FOLDER = "runs"
SUFFIX = ".jsonl"
META_SUFFIX = ".meta.jsonl"

_VARYING = ("timing", "cost", "request_id", "reused")
"""What differs between two runs with the same answers: kept in the meta file."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Keep stored runs as objects and baselines as refs."""

    objects: Objects
    refs: Refs

    def save(self, run: Run, *, baseline: str, provenance: Mapping[str, Any], why: str) -> str:
        """Store `run`, let the baseline point at it, and return its digest.

        Where the baseline points at the very same answers already, and they were no less fresh when they were
        stored, it stays as it is.

        Args:
            run: what one test measured.
            baseline: the baseline's name.
            provenance: what varies between equal runs and is worth knowing, such as date and commit.
            why: the reason of the move, free text.

        Raises:
            MisuseError: the name is none, or a file cannot be written.
        """
        ref = baseline_ref(baseline, run.header.test_key)
        current = self._readable(ref)
        if current is not None and current.header.reused <= run.header.reused:
            run = _marked(run, current.header.reused) if _same(run, current) else run
        body = _body(run)
        digest = digest_text(body)
        # The meta file comes first: whoever finds the run finds it whole.
        self.objects.put(FOLDER, digest, _meta(run, provenance), suffix=META_SUFFIX)
        self.objects.put(FOLDER, digest, body + _footer(body, run), suffix=SUFFIX)
        if self.refs.current(ref) != digest:
            self.refs.move(ref, digest, why=why)
        return digest

    def load(self, digest: str) -> Run:
        """Return the stored run.

        Raises:
            DamagedError: its file is damaged.
            MisuseError: there is none.
        """
        run = self.objects.get(FOLDER, digest, suffix=SUFFIX, read=_read)
        return _with_meta(run, self._meta_of(digest))

    def baseline(self, name: str, test_key: str) -> Run | None:
        """Return the run that a baseline holds of a test; None where it holds none.

        Raises:
            DamagedError: its file is damaged.
            MisuseError: two branches moved the baseline to different runs.
        """
        digest = self.refs.current(baseline_ref(name, test_key))
        return None if digest is None else self.load(digest)

    def baselines(self) -> list[str]:
        """Return the names of all baselines."""
        return self.refs.names("baselines")

    def check(self, name: str) -> None:
        """Read every run of a baseline.

        Raises:
            DamagedError: a file is damaged.
            MisuseError: two branches moved the baseline to different runs.
        """
        for key in self.refs.keys("baselines", name):
            self.baseline(name, key)

    def _readable(self, ref: str) -> Run | None:
        digest = self.refs.current(ref)
        try:
            return None if digest is None else self.load(digest)
        except MisuseError:
            # Who saves a new baseline mends one whose file is damaged or lost.
            return None

    def _meta_of(self, digest: str) -> list[dict[str, Any]]:
        path = self.objects.path(FOLDER, digest, suffix=META_SUFFIX)
        if not path.exists():
            return []
        try:
            lines: list[Any] = [parse_json(line) for line in _lines(read_stored(path))]
        except (DamagedError, ValueError):
            # Times and costs are worth having; a run without them is still the run.
            return []
        return [line for line in lines if isinstance(line, dict) and "case_id" in line]


def _marked(run: Run, reused: int) -> Run:
    return replace(run, header=replace(run.header, reused=reused))


def _same(run: Run, other: Run) -> bool:
    return _body(_marked(run, 0)) == _body(_marked(other, 0))


def secret_in(run: Run, secrets: Mapping[str, str]) -> str | None:
    """Return where a run holds a secret value, and whose it is; None where it holds none.

    Args:
        run: what is about to be stored.
        secrets: secret values by the name under which they are known.
    """
    for result in run.results:
        for field, value in _texts(result):
            for name, secret in secrets.items():
                if secret in value:
                    return f"the {field} of case {result.case_id!r} holds the value of {name}"
    return None


def _texts(result: CaseResult) -> Iterator[tuple[str, str]]:
    yield "output", result.output or ""
    yield "detail", result.detail
    yield "inputs", str(result.inputs)
    yield "expected", str(result.expected)
    for name, score in result.scores.items():
        yield f"reason of {name}", score.reason


def _body(run: Run) -> str:
    lines: list[dict[str, Any]] = [{"kind": "header", **run.header.to_json()}]
    ordered = sorted(run.results, key=lambda result: (result.case_id, result.repeat))
    lines += [_line(run, result) for result in ordered]
    return "".join(f"{canonical(line)}\n" for line in lines)


def _line(run: Run, result: CaseResult) -> dict[str, Any]:
    values = result.to_json()
    for name in (*_VARYING, "nodeid", "stored_scores", "test_key"):
        del values[name]
    for name in ("fallback", "tool_calls", "context", "raised"):
        # Left out where there is none: runs from before it was known keep their digests.
        if not values[name]:
            del values[name]
    metrics = run.header.metrics
    values["scores"] = {name: score for name, score in values["scores"].items() if not metrics[name].volatile}
    values["kind"] = "result"
    return values


def _footer(body: str, run: Run) -> str:
    footer: dict[str, Any] = {"kind": "footer", "results": len(run.results), "sha256": digest_text(body)}
    return f"{canonical(footer)}\n"


def _meta(run: Run, provenance: Mapping[str, Any]) -> str:
    metrics = run.header.metrics
    lines: list[dict[str, Any]] = [{"kind": "meta", "schema_version": SCHEMA_VERSION, **provenance}]
    for result in sorted(run.results, key=lambda result: (result.case_id, result.repeat)):
        values = result.to_json()
        scores = {name: score for name, score in values["scores"].items() if metrics[name].volatile}
        lines.append(
            {
                "case_id": result.case_id,
                "repeat": result.repeat,
                **{name: values[name] for name in _VARYING},
                **({"scores": scores} if scores else {}),
            }
        )
    return "".join(f"{canonical(line)}\n" for line in lines)


def _read(text: str) -> tuple[Run, str]:
    lines: list[Any] = [parse_json(line) for line in _lines(text)]
    header, *rows, footer = lines
    if header.pop("kind") != "header" or footer["kind"] != "footer":
        raise DamagedError("the file is cut off")
    if header["schema_version"] > SCHEMA_VERSION:
        raise MisuseError("a newer pytest-llmops wrote this run; install that version to read it.")
    if footer["results"] != len(rows):
        raise DamagedError(f"it holds {len(rows)} results where {footer['results']} were stored")
    body = text[: text.rindex("\n", 0, len(text) - 1) + 1]
    head = Header.from_json(header)
    results = [_result(head, row) for row in rows]
    return Run(header=head, results=tuple(results)), digest_text(body)


def _lines(text: str) -> list[str]:
    # Not splitlines(): an answer may hold a line separator that JSON leaves as it is.
    return [line for line in text.split("\n") if line]


def _result(header: Header, row: dict[str, Any]) -> CaseResult:
    row.pop("kind")
    return CaseResult.from_json({"test_key": header.test_key, **row})


def _with_meta(run: Run, lines: list[dict[str, Any]]) -> Run:
    by_repeat = {(line["case_id"], line["repeat"]): line for line in lines}
    return replace(
        run,
        results=tuple(
            _timed(result, by_repeat.get((result.case_id, result.repeat), {})) for result in run.results
        ),
    )


def _timed(result: CaseResult, line: Mapping[str, Any]) -> CaseResult:
    if not line:
        return result
    scores = {name: Score.from_json(score) for name, score in line.get("scores", {}).items()}
    return replace(
        result,
        timing=Timing(**line["timing"]),
        cost=line["cost"],
        request_id=line["request_id"],
        scores={**result.scores, **scores},
    )
