"""Read the body of a test function: whether there is one, and which version of it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence

import pytest

from pytest_llmops.scorers.score import Metric
from pytest_llmops.store.canonical import SHORT, digest_text

PASSED = "passed"
"""Name of the metric that the body itself makes."""


def body_metric(definition: pytest.Item) -> Metric | None:
    """Return the metric of the body's own pass or fail; None where the body checks nothing.

    Its version is the digest of the body's statements: comments, layout, docstring and decorators do not
    matter.
    """
    function = getattr(definition, "obj", None)
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))  # type: ignore[arg-type]
        tree = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        # A body made without a source file has one version.
        return Metric(name=PASSED, version="unknown")
    statements = [node for node in getattr(tree, "body", []) if not _idle(node)]
    if not statements:
        return None
    return Metric(name=PASSED, version=digest_text(_normalised(statements))[:SHORT])


def _idle(node: ast.stmt) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass)


def _normalised(statements: Sequence[ast.stmt]) -> str:
    return "\n".join(ast.unparse(statement) for statement in statements)
