"""Read the fields of a prompt file, each into what a Prompt holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.prompts.prompt import compiled
from pytest_llmops.store.canonical import JsonValue
from pytest_llmops.store.source import described
from pytest_llmops.store.yaml_file import YamlFile

ROLES = ("system", "developer", "user", "assistant", "tool")
MESSAGE_KEYS = ("role", "content", "name", "tool_calls", "tool_call_id")

PARAMETERS = {
    "maxTokens": "max_tokens",
    "maxCompletionTokens": "max_completion_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "stopSequences": "stop",
    "reasoningEffort": "reasoning_effort",
    "toolChoice": "tool_choice",
    "parallelToolCalls": "parallel_tool_calls",
}
"""Names of the file format, with the names that the API knows; every other name passes as written."""

NOT_PARAMETERS = {
    "model": "model",
    "fallback": "fallback",
    "messages": "messages",
    "tools": "tools",
    "response_format": "responseFormat",
    "responseFormat": "responseFormat",
}
"""What would slip past the fields of the same meaning, with the key that it belongs under."""


def check_template(text: str, at: Callable[[int], str]) -> None:
    """Refuse a template that does not compile; `at` gives the place of a line of it, from 1.

    Raises:
        MisuseError: it names the line.
    """
    from jinja2 import TemplateSyntaxError

    try:
        compiled(text)
    except TemplateSyntaxError as error:
        raise MisuseError(
            f"{at(error.lineno)}: the template is wrong: {str(error.message).rstrip('.')}. "
            "Braces that are meant as they stand go between {% raw %} and {% endraw %}."
        ) from None
    except (RecursionError, SyntaxError, ValueError) as error:
        # Jinja compiles to Python, whose own limits on nesting and numbers then hold.
        raise MisuseError(f"{at(1)}: the template is beyond what can be compiled: {error}.") from None


def text_field(file: YamlFile, fields: Mapping[str, JsonValue], key: str) -> str | None:
    """Return the text under `key`; None where there is none."""
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _not_text(file.at(key), key, value)


def _not_text(place: str, key: str, value: JsonValue) -> MisuseError:
    advice = "; quote it" if isinstance(value, bool | int | float) else ""
    return MisuseError(f"{place}: `{key}` must be text, not {described(value)}{advice}.")


def messages(file: YamlFile, fields: Mapping[str, JsonValue]) -> tuple[Mapping[str, JsonValue], ...]:
    """Return the raw messages, whose templates compile."""
    value = fields.get("messages")
    if not isinstance(value, list) or not value:
        raise MisuseError(
            f"{file.at('messages')}: `messages` must be a list of at least one `role` with its `content`."
        )
    return tuple(_message(file, message, index) for index, message in enumerate(value))


def _message(file: YamlFile, message: JsonValue, index: int) -> Mapping[str, JsonValue]:
    place = ("messages", index)
    if not isinstance(message, Mapping):
        raise MisuseError(
            f"{file.at(*place)}: a message has a `role` and a `content`; this is {described(message)}."
        )
    for key in message:
        if key not in MESSAGE_KEYS:
            raise MisuseError(
                f"{file.at(*place, key)}: a message has no key {key[:80]!r}. {closest(key, MESSAGE_KEYS)}"
            )
    role = message.get("role")
    if role not in ROLES:
        hint = closest(role if isinstance(role, str) else "", ROLES)
        raise MisuseError(f"{file.at(*place, 'role')}: {described(role)} is no role. {hint}")
    _content(file, message, index)
    return message


def _content(file: YamlFile, message: Mapping[str, JsonValue], index: int) -> None:
    content = message.get("content")
    place = ("messages", index, "content")
    if isinstance(content, str):
        check_template(content, lambda line: file.in_text(line, *place))
    elif content is not None or not message.get("tool_calls"):
        raise _not_text(file.at(*place), "content", content)


def parameters(file: YamlFile, fields: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return the model's parameters under the names that the API knows."""
    value = fields.get("modelParameters")
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MisuseError(
            f"{file.at('modelParameters')}: `modelParameters` must be a mapping such as `temperature: 0`, "
            f"not {described(value)}."
        )
    result: dict[str, JsonValue] = {}
    for key, item in value.items():
        if key in NOT_PARAMETERS:
            raise MisuseError(
                f"{file.at('modelParameters', key)}: {key!r} is no parameter; "
                f"write `{NOT_PARAMETERS[key]}:` at the top level."
            )
        name = PARAMETERS.get(key, key)
        if name in result:
            raise MisuseError(f"{file.at('modelParameters', key)}: {name!r} stands twice, in two spellings.")
        result[name] = item
    return result


def fallback(file: YamlFile, fields: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the models to ask in turn where the prompt's own cannot be had."""
    value = fields.get("fallback")
    if value is None:
        return ()
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(model, str) and model.strip() for model in named):
        raise MisuseError(
            f"{file.at('fallback')}: `fallback` must be a model such as `openai:gpt-5-mini`, or a list of "
            f"them, not {described(value)}."
        )
    if not fields.get("model"):
        raise MisuseError(f"{file.at('fallback')}: `fallback` stands in for `model`, which is not given.")
    return tuple(str(model) for model in named)


def tools(file: YamlFile, fields: Mapping[str, JsonValue]) -> tuple[Mapping[str, JsonValue], ...]:
    """Return the tool definitions, as the API takes them."""
    value = fields.get("tools")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise MisuseError(f"{file.at('tools')}: `tools` must be a list of mappings, not {described(value)}.")
    for index, tool in enumerate(value):
        if not isinstance(tool, Mapping):
            raise MisuseError(
                f"{file.at('tools', index)}: a tool is a mapping with `type: function` and `function`, "
                f"not {described(tool)}."
            )
    return tuple(value)
