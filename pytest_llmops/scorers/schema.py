"""Check that an answer is one JSON value that a JSON Schema allows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.json_schema import VERSION, JsonSchema
from pytest_llmops.scorers.json_text import read_json
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import SHORT, JsonValue, digest
from pytest_llmops.store.source import described, source_text


class SchemaScorer:
    """Check answers against one schema, compiled once."""

    def __init__(
        self,
        schema: Mapping[str, JsonValue],
        *,
        name: str = "schema",
        required: bool = False,
        fenced: bool = False,
        source: str = "",
    ) -> None:
        """Check and compile the schema: Draft 2020-12, or the draft that its `$schema` names.

        Args:
            schema: the schema; a `$ref` to another document is never fetched.
            name: the metric's name.
            required: a miss fails its case always, baseline or not.
            fenced: an answer that is exactly one fenced code block is read as its content.
            source: where the schema was read, for messages.

        Raises:
            MisuseError: it is not a schema that can be used; see `JsonSchema`.
        """
        self.schema = schema
        self._checked = JsonSchema(schema, source or f"the metric {name!r}")
        self._fenced = fenced
        version = digest({"schema": schema, "fenced": fenced, "version": VERSION})[:SHORT]
        self.metric = Metric(name=name, version=version, required=required)

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return 1 where the whole answer is one JSON value that the schema allows, else 0 with the reasons.

        Raises:
            MisuseError: the schema turns out to refer to itself without end.
        """
        reason = self.reason(response.text)
        return self.metric.score(not reason, reason=reason)

    def reason(self, text: str) -> str:
        """Return all that is wrong with an answer; "" where nothing is.

        Raises:
            MisuseError: the schema turns out to refer to itself without end.
        """
        try:
            answer = read_json(text, fenced=self._fenced)
        except ValueError as error:
            return f"the answer is {error}"
        return "; ".join(self._checked.violations(answer))


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


def schema_of_model(model: Any) -> dict[str, Any]:
    """Return the JSON Schema of a pydantic model: what it accepts, not what it writes.

    Args:
        model: a class with `model_json_schema`, as pydantic's models have it.

    Raises:
        MisuseError: the model has no JSON Schema, such as for a field that takes a function.
    """
    try:
        found: dict[str, Any] = model.model_json_schema()
    except Exception as error:  # pydantic's own, and whatever a model's own code raises
        told = str(error).partition("\n")[0]
        raise MisuseError(f"The model {model.__qualname__} has no JSON Schema: {told}") from None
    return found
