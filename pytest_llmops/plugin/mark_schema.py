"""Read the marker llm_schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.arguments import bound, text
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer


def _llm_schema(
    schema: Any, *, name: Any = "schema", required: Any = False, fenced: Any = False, repair: Any = 0
) -> None: ...


def schema_scorers(mark: pytest.Mark, site: Site) -> list[Scorer]:
    """Return the scorers that an llm_schema marker asks for: with `repair` a second one, of repaired answers.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    from pytest_llmops.scorers.repair import RepairScorer
    from pytest_llmops.scorers.schema import SchemaScorer

    arguments = bound(mark, _llm_schema)
    fenced, required, repair = arguments["fenced"], bool(arguments["required"]), arguments["repair"]
    if not isinstance(fenced, bool):
        raise MisuseError(f"{mark.name}(fenced={fenced!r}): give True or False.")
    schema, source = _schema(mark, arguments["schema"], site)
    repairs = isinstance(repair, bool) or repair != 0
    first = SchemaScorer(
        schema,
        name=text(mark, "name", arguments["name"]),
        # With repairs it is the repaired answer that must be valid.
        required=required and not repairs,
        fenced=fenced,
        source=source,
    )
    if not repairs:
        return [first]
    # A target may leave its models to its prompts.
    model = site.model or site.judge_model
    return [first, RepairScorer(first, model=model, repair=repair, required=required)]


def _schema(mark: pytest.Mark, schema: Any, site: Site) -> tuple[Mapping[str, Any], str]:
    """Return the schema, and where it stands."""
    from pytest_llmops.scorers.schema import read_schema, schema_of_model

    if isinstance(schema, Mapping):
        return schema, f"the marker {mark.name}"
    if hasattr(schema, "model_json_schema"):
        if not isinstance(schema, type):
            raise MisuseError(f"{mark.name}({schema!r}): give the model's class, not one of its objects.")
        return schema_of_model(schema), f"the model {schema.__qualname__}"
    path = site.project.schema_file(text(mark, "schema", schema), site.near)
    return read_schema(path), str(path)
