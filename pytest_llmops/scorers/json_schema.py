"""Check JSON values against a JSON Schema that may come from anywhere: no fetching, no endless work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers import patterns
from pytest_llmops.scorers.schema_walk import SchemaWalk
from pytest_llmops.store.canonical import JsonValue

if TYPE_CHECKING:
    from jsonschema import FormatChecker
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

VERSION: Final = 2
"""Part of a metric's version: raised when the same value could be judged in another way."""

_LISTED = 20
"""Violations that are listed; the others are counted."""

_SHOWN = 160
"""Characters of one violation that are shown."""


class JsonSchema:
    """Be one schema, compiled once: Draft 2020-12, or the draft that its `$schema` names.

    Args:
        schema: the schema; a `$ref` to another document is never fetched.
        source: where it was read, for messages.

    Raises:
        MisuseError: it is not a schema, its draft is not known, a `$ref` leads nowhere or round in a circle,
            or a pattern cannot be matched in linear time.
    """

    def __init__(self, schema: Mapping[str, JsonValue], source: str) -> None:
        self._source = source
        self._validator = _compiled(schema, source)

    def violations(self, value: JsonValue) -> list[str]:
        """Return what the schema forbids in `value`, each with its JSON path, in the order of the value.

        Raises:
            MisuseError: the schema refers to itself without end, or has a bad pattern where no keyword is.
        """
        from referencing.exceptions import Unresolvable

        try:
            errors = sorted(self._validator.iter_errors(value), key=_place)
        except Unresolvable as error:
            raise MisuseError(
                f"The schema of {self._source} refers to what it does not hold: {_cut(str(error))}. "
                "Put that schema into $defs; other documents are never fetched."
            ) from None
        except RecursionError:
            # The value cannot be the cause: deep nesting is refused when it is read.
            raise MisuseError(f"The schema of {self._source} refers to itself without end.") from None
        except OverflowError:
            return ["$: holds a number that is too large to check"]
        listed = [f"{error.json_path}: {_said(error)}" for error in errors[:_LISTED]]
        return [*listed, f"and {len(errors) - _LISTED} more"] if len(errors) > _LISTED else listed


def _compiled(schema: Mapping[str, JsonValue], source: str) -> Validator:
    from referencing import Registry

    draft = _draft(schema, source)
    _check(schema, draft, source)
    # Without the name of its draft: a $ref back to the root would else go on with the draft's own patterns.
    root = {key: value for key, value in schema.items() if key != "$schema"}
    walk = SchemaWalk(root, draft, source)
    for target in walk.targets:
        _check(target, draft, source)
    walk.check_ends()
    _check_patterns(walk, root, source)
    # An empty registry: without it a $ref to a web address or a file would be fetched.
    return _linear(draft)(root, registry=Registry(), format_checker=_formats(draft))


def _check(schema: Mapping[str, JsonValue], draft: type[Validator], source: str) -> None:
    from jsonschema.exceptions import best_match

    try:
        meta = draft(draft.META_SCHEMA, format_checker=_formats(draft, linear=True))
        error = best_match(meta.iter_errors(schema))
    except RecursionError:
        raise MisuseError(f"The schema of {source} is nested too deeply.") from None
    if error is None:
        return
    said = patterns.refusal(error.instance) if error.validator_value == "regex" else _said(error)
    raise MisuseError(f"The schema of {source} is not a schema at {error.json_path}: {said}.")


def _check_patterns(walk: SchemaWalk, root: Mapping[str, Any], source: str) -> None:
    """Refuse what would let the library match a pattern itself, by backtracking."""
    schemas = walk.schemas.values()
    keys = sorted({key for schema in schemas for key in schema.get("patternProperties", ())})
    used = [*keys, *(schema["pattern"] for schema in schemas if "pattern" in schema)]
    # Not each draft's own schema says that keys are patterns.
    told = next((told for pattern in used if (told := patterns.refusal(pattern))), "")
    if told:
        raise MisuseError(f"The schema of {source} cannot be used: {told}.")
    if any("unevaluatedProperties" in schema for schema in schemas):
        for key in keys:
            if not patterns.is_plain(key):
                raise MisuseError(
                    f"The schema of {source} has `unevaluatedProperties` and the patternProperties {key!r}: "
                    "beside that keyword only plain beginnings such as '^x-' are matched safely. "
                    "Use `additionalProperties`, or a simpler pattern."
                )
    if used and any("$schema" in schema for schema in schemas if schema is not root):
        raise MisuseError(
            f"The schema of {source} has patterns, and an inner schema with a `$schema` of its own: "
            "one draft must hold for the whole document, named at its top."
        )


@cache
def _linear(draft: type[Validator]) -> type[Validator]:
    """Return the validator of a draft, with patterns matched in linear time."""
    from jsonschema.validators import extend

    keywords = {"pattern": _pattern, "patternProperties": _pattern_properties}
    usual = draft.VALIDATORS["additionalProperties"]

    def additional(validator: Any, allowed: Any, value: Any, schema: Any) -> Any:
        if "patternProperties" not in schema:
            return usual(validator, allowed, value, schema)
        return _additional_properties(validator, allowed, value, schema)

    made: type[Validator] = extend(  # type: ignore[no-untyped-call]
        draft, {**keywords, "additionalProperties": additional}
    )
    return made


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
    from jsonschema.exceptions import ValidationError

    if validator.is_type(value, "string") and not patterns.found(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any,
    subschemas: Mapping[str, Any],
    value: Any,
    schema: Any,  # noqa: ARG001 - the library's form
) -> Iterator[ValidationError]:
    if validator.is_type(value, "object"):
        for pattern, subschema in subschemas.items():
            for key, item in value.items():
                if patterns.found(pattern, key):
                    yield from validator.descend(item, subschema, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if not validator.is_type(value, "object"):
        return
    known, told = schema.get("properties", {}), schema["patternProperties"]
    extras = [
        key for key in value if key not in known and not any(patterns.found(pattern, key) for pattern in told)
    ]
    if validator.is_type(allowed, "object"):
        for key in extras:
            yield from validator.descend(value[key], allowed, path=key)
    elif not allowed and extras:
        shown = [", ".join(repr(each) for each in sorted(names)) for names in (extras, told)]
        yield ValidationError(f"{shown[0]} not expected, matching none of the patterns: {shown[1]}")


@cache
def _formats(draft: type[Validator], *, linear: bool = False) -> FormatChecker:
    """Return the format checks of a draft; with `linear` a pattern must be one that RE2 knows."""
    from jsonschema import FormatChecker

    checker = FormatChecker(())
    checker.checkers.update(draft.FORMAT_CHECKER.checkers)
    if linear:
        checker.checkers["regex"] = (lambda text: not isinstance(text, str) or not patterns.refusal(text), ())
    else:
        is_regex, _ = checker.checkers["regex"]
        # It compiles the value, which has limits of its own.
        checker.checkers["regex"] = (is_regex, (re.error, OverflowError, RecursionError))
    return checker


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


def _place(error: ValidationError) -> list[tuple[bool, Any]]:
    # Where keys come from a set, errors come in another order in each process.
    return [(isinstance(step, str), step) for step in error.absolute_path]


def _said(error: ValidationError) -> str:
    """Return what is wrong; of alternatives why each fails, since "none fits" helps nobody."""
    if not error.context:
        return _cut(error.message)
    reasons = dict.fromkeys(
        child.message if not child.path else f"{child.json_path}: {child.message}" for child in error.context
    )
    return _cut(f"fits none of the alternatives: {' / '.join(reasons)}")


def _cut(message: str) -> str:
    # What is wrong stands at the end, after the value.
    return message if len(message) <= _SHOWN else f"{message[: _SHOWN // 2]}...{message[-_SHOWN // 2 :]}"
