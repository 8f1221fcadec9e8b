"""Check that an answer is one JSON value that a JSON Schema allows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.json_text import read_json
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import SHORT, JsonValue, digest
from pytest_llmops.store.source import described, source_text

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

VERSION: Final = 1
"""Part of the metric version: raised when the same answer could get another score."""

_LISTED = 5
"""Violations that a reason lists."""

_SHOWN = 160
"""Characters of one violation that a reason shows."""


class SchemaScorer:
    """Check answers against one schema, compiled once."""

    def __init__(
        self,
        schema: Mapping[str, JsonValue],
        *,
        name: str = "schema",
        required: bool = False,
        source: str = "",
    ) -> None:
        """Check and compile the schema: Draft 2020-12, or the draft that its `$schema` names.

        Args:
            schema: the schema; a `$ref` to another document is never fetched.
            name: the metric's name.
            required: a miss fails its case always, baseline or not.
            source: where the schema was read, for messages.

        Raises:
            MisuseError: it is not a schema, or its draft is not known.
        """
        self._source = source or f"the metric {name!r}"
        self._validator = _compiled(schema, self._source)
        version = digest({"schema": schema, "version": VERSION})[:SHORT]
        self.metric = Metric(name=name, version=version, required=required)

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return 1 where the whole answer is one JSON value that the schema allows, else 0 with the reasons.

        Raises:
            MisuseError: a `$ref` of the schema leads nowhere, or round in a circle.
        """
        try:
            answer = read_json(response.text)
        except ValueError as error:
            return self.metric.score(False, reason=f"the answer is {error}")
        reason = self._violations(answer, case)
        return self.metric.score(not reason, reason=reason)

    def _violations(self, answer: JsonValue, case: Case) -> str:
        from referencing.exceptions import Unresolvable

        try:
            errors = self._validator.iter_errors(answer)
            listed = [f"{error.json_path}: {_said(error)}" for error in islice(errors, _LISTED)]
            more = sum(1 for _ in errors)
        except Unresolvable as error:
            raise MisuseError(
                f"The schema of {self._source} refers to what it does not hold: {_cut(str(error))}. "
                "Put that schema into $defs; other documents are never fetched."
            ) from None
        except RecursionError:
            # The answer cannot be the cause: read_json refuses deep nesting.
            raise MisuseError(
                f"The schema of {self._source} refers to itself without end (seen at case {case.id!r})."
            ) from None
        except OverflowError:
            return "the answer holds a number that is too large to check"
        return "; ".join([*listed, f"and {more} more"] if more else listed)


def read_schema(path: Path) -> dict[str, Any]:
    """Read a JSON Schema from a file.

    Raises:
        MisuseError: the file cannot be read, or does not hold one JSON object; the message names the line.
    """
    try:
        found = read_json(source_text(path))
    except ValueError as error:
        raise MisuseError(f"The schema {path} is {error}.") from None
    if not isinstance(found, dict):
        raise MisuseError(f"The schema {path} is {described(found)}; a schema here is a JSON object.")
    return found


def _compiled(schema: Mapping[str, JsonValue], source: str) -> Validator:
    from jsonschema.exceptions import best_match
    from referencing import Registry

    draft = _draft(schema, source)
    try:
        meta = draft(draft.META_SCHEMA, format_checker=draft.FORMAT_CHECKER)
        error = best_match(meta.iter_errors(schema))
    except RecursionError:
        raise MisuseError(f"The schema of {source} is nested too deeply.") from None
    if error is not None:
        raise MisuseError(f"The schema of {source} is not a schema at {error.json_path}: {_said(error)}.")
    # An empty registry: without it a $ref to a web address or a file would be fetched.
    return draft(dict(schema), registry=Registry(), format_checker=draft.FORMAT_CHECKER)


def _draft(schema: Mapping[str, JsonValue], source: str) -> type[Validator]:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    newest = str(Draft202012Validator.META_SCHEMA["$id"])
    name = schema.get("$schema", newest)
    if isinstance(name, str):
        draft = validator_for({"$schema": name}, default=Draft202012Validator)
        if draft is not Draft202012Validator or name.rstrip("#") == newest:
            return draft
    raise MisuseError(
        f"The schema of {source} names the draft {name!r}, which is not known; "
        f"the newest known is {newest!r}."
    )


def _said(error: ValidationError) -> str:
    """Return what is wrong; of alternatives why each fails, since "none fits" helps nobody."""
    if not error.context:
        return _cut(error.message)
    reasons = dict.fromkeys(child.message for child in error.context)
    return _cut(f"fits none of the alternatives: {' / '.join(reasons)}")


def _cut(message: str) -> str:
    return message if len(message) <= _SHOWN else f"{message[:_SHOWN]}..."
