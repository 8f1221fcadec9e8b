"""Read `responseFormat` and `jsonSchema` of a prompt file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from json import JSONDecodeError

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.store.canonical import JsonValue, parse_json
from pytest_llmops.store.source import check_value, described
from pytest_llmops.store.yaml_file import YamlFile

KINDS = ("text", "json_object", "json_schema")
WRAPPER_KEYS = frozenset({"name", "description", "strict", "schema"})


def response_format(
    file: YamlFile, fields: Mapping[str, JsonValue], name: str
) -> Mapping[str, JsonValue] | None:
    """Return the response format as the API takes it; None for plain text, which is its default.

    Args:
        file: the prompt file.
        fields: its top level.
        name: the prompt's, for a schema that has none of its own.

    Raises:
        MisuseError: one of the two fields is wrong, or they do not fit.
    """
    kind = fields.get("responseFormat")
    if kind is not None and kind not in KINDS:
        hint = closest(kind if isinstance(kind, str) else "", KINDS)
        raise MisuseError(f"{file.at('responseFormat')}: {described(kind)} is no response format. {hint}")
    schema = fields.get("jsonSchema")
    if kind == "json_schema":
        if schema is None:
            raise MisuseError(f"{file.at('responseFormat')}: json_schema needs a `jsonSchema:` in the file.")
        return {"type": "json_schema", "json_schema": _wrapped(_schema(file, schema), name)}
    if schema is not None:
        raise MisuseError(f"{file.at('jsonSchema')}: `jsonSchema` needs `responseFormat: json_schema`.")
    return {"type": "json_object"} if kind == "json_object" else None


def _schema(file: YamlFile, schema: JsonValue) -> Mapping[str, JsonValue]:
    value = _parsed(file, schema) if isinstance(schema, str) else schema
    if isinstance(value, Mapping):
        return value
    raise MisuseError(
        f"{file.at('jsonSchema')}: `jsonSchema` must be a mapping or its JSON text, not {described(value)}."
    )


def _parsed(file: YamlFile, text: str) -> JsonValue:
    try:
        value = parse_json(text)
        check_value(value)
    except JSONDecodeError as error:
        place = file.in_text(error.lineno, "jsonSchema")
        raise MisuseError(f"{place}: `jsonSchema` is not JSON: {error.msg}, column {error.colno}.") from None
    except ValueError as error:
        raise MisuseError(f"{file.at('jsonSchema')}: `jsonSchema` is not JSON: {error}.") from None
    return value


def _wrapped(schema: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    if isinstance(schema.get("schema"), Mapping) and schema.keys() <= WRAPPER_KEYS:
        return {"name": _api_name(name), **schema}
    return {"name": _api_name(name), "schema": schema}


def _api_name(name: str) -> str:
    # The API takes no other characters.
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]
