"""Answer what a deepeval metric asks its judge, from the calls of the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_llmops.calls.exchange import Caller, Request, split_model
from pytest_llmops.store.canonical import JsonValue

PARAMETERS: Final[dict[str, JsonValue]] = {"temperature": 0}
"""How a judge is asked: as little by chance as the model allows."""


class AskingJudge:
    """Put a metric's questions to a caller; what deepeval's own model classes offer.

    Without a caller it only stands for the model, in a metric that is not measured itself.
    """

    def __init__(self, named: str, caller: Caller | None = None) -> None:
        self.name = self.model = named
        self._caller = caller
        self.fault: Exception | None = None
        """What the first failed call raised. deepeval takes a TypeError for a judge that knows no schema, and
        asks again without; an AttributeError for one that knows no log-probabilities."""

    def load_model(self, *_: Any, **__: Any) -> AskingJudge:
        """Return the judge: there is nothing to load."""
        return self

    def get_model_name(self, *_: Any, **__: Any) -> str:
        """Return `provider:model`."""
        return self.name

    def generate(self, *_: Any, **__: Any) -> str:
        """Refuse to block the event loop.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("the metric asks its judge outside of a_measure, which blocks all other cases")

    async def a_generate(self, prompt: str, schema: Any = None, **_: Any) -> Any:
        """Return the reply: read by `schema` where it fits, else as text, which deepeval reads itself.

        Args:
            prompt: what to ask.
            schema: pydantic model of the reply; None for plain text.

        Raises:
            CallError: the judge could not be asked.
        """
        if self.fault is not None:
            raise self.fault
        if self._caller is None:
            raise RuntimeError("this judge only stands for a model")
        try:
            reply = await self._caller.acall(self.request(prompt, schema))
        except Exception as error:
            self.fault = error
            raise
        try:
            return reply.text if schema is None else schema.model_validate_json(reply.text)
        except ValueError:
            return reply.text

    def request(self, prompt: str, schema: Any = None) -> Request:
        """Return the one request that a question is."""
        provider, model = split_model(self.name)
        parameters = dict(PARAMETERS)
        if schema is not None:
            form, closed = _closed(schema.model_json_schema())
            shape: dict[str, JsonValue] = {"name": schema.__name__, "strict": closed, "schema": form}
            parameters["response_format"] = {"type": "json_schema", "json_schema": shape}
        messages = ({"role": "user", "content": prompt},)
        return Request(provider=provider, model=model, messages=messages, parameters=parameters)


def _closed(schema: Any) -> tuple[Any, bool]:
    """Return the schema with all properties required and no others, and whether that holds all through.

    Endpoints hold a model to a strict schema only.
    """
    if isinstance(schema, list):
        return _joined(dict(enumerate(schema)), list)
    if not isinstance(schema, dict):
        return schema, True
    parts = {
        name: _joined(value, dict) if name in ("properties", "$defs") else _closed(value)
        for name, value in schema.items()
        if name != "default"
    }
    form = {name: value for name, (value, _) in parts.items()}
    closed = all(closed for _, closed in parts.values())
    if schema.get("type") != "object":
        return form, closed
    if "properties" not in schema:
        return form, False
    return {**form, "required": list(schema["properties"]), "additionalProperties": False}, closed


def _joined(schemas: Mapping[Any, Any], kind: type) -> tuple[Any, bool]:
    """Return several schemas, closed, in a list or a dict, and whether all are."""
    parts = {name: _closed(schema) for name, schema in schemas.items()}
    forms = {name: form for name, (form, _) in parts.items()}
    return list(forms.values()) if kind is list else forms, all(closed for _, closed in parts.values())
