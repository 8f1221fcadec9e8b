"""Reply to any judge's prompt with JSON of the schema asked for: by chance, but always the same."""

from __future__ import annotations

import json
import zlib

from pytest_llmops import Case, Response

CASE = Case(
    id="case-1",
    inputs={"question": "Where is the key?"},
    expected="It hangs beside the door.",
    messages=(
        {"role": "system", "content": "You are a caretaker."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Good morning."},
    ),
    context=("The key hangs beside the door.", "The door is green."),
)

ANSWER = Response(text="Beside the green door.", model="m")


class Choices:
    """Choose by the text of the prompt."""

    def __init__(self, prompt, schema):
        self._state = zlib.crc32(prompt.encode())
        self._schema = schema

    def below(self, most):
        self._state = (1_103_515_245 * self._state + 12_345) % 2**31
        return (self._state >> 16) % most

    def of(self, schema):
        if "$ref" in schema:
            return self.of(self._schema["$defs"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self.of(schema["anyOf"][0])
        if "enum" in schema:
            return schema["enum"][self.below(len(schema["enum"]))]
        kind = schema.get("type")
        if kind == "object":
            return {name: self.of(each) for name, each in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.of(schema["items"]) for _ in range(2)]
        if kind == "string":
            return f"text {self.below(100)}"
        return bool(self.below(2)) if kind == "boolean" else 1 + self.below(10)


def json_for(prompt, schema):
    return json.dumps(Choices(prompt, schema).of(schema))


def reply(request):
    shape = request.parameters.get("response_format")
    prompt = request.messages[-1]["content"]
    return json_for(prompt, shape["json_schema"]["schema"]) if shape else "some text"
