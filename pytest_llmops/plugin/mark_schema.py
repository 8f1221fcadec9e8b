"""Read the marker llm_schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_llmops.plugin.arguments import bound, text
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer


def _llm_schema(schema: Any, *, name: Any = "schema", required: Any = False) -> None: ...


def schema_scorers(mark: pytest.Mark, site: Site) -> list[Scorer]:
    """Return the scorer that an llm_schema marker asks for.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    from pytest_llmops.scorers.schema import SchemaScorer, read_schema

    arguments = bound(mark, _llm_schema)
    schema, source = arguments["schema"], "the marker llm_schema"
    if not isinstance(schema, Mapping):
        path = site.project.schema_file(text(mark, "schema", schema), site.near)
        schema, source = read_schema(path), str(path)
    return [
        SchemaScorer(
            schema,
            name=text(mark, "name", arguments["name"]),
            required=bool(arguments["required"]),
            source=source,
        )
    ]
