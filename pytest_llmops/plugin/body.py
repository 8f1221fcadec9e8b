"""Read the body of a test function: whether there is one, and which version of it."""

from __future__ import annotations

import pytest

from pytest_llmops.scorers.score import Metric
from pytest_llmops.store.canonical import SHORT, digest_text
from pytest_llmops.store.function import function_tree, normalised, statements_of

PASSED = "passed"
"""Name of the metric that the body itself makes."""


def body_metric(definition: pytest.Item) -> Metric | None:
    """Return the metric of the body's own pass or fail; None where the body checks nothing.

    Its version is the digest of the body's statements: comments, layout, docstring and decorators do not
    matter.
    """
    tree = function_tree(getattr(definition, "obj", None))
    if tree is None:
        # A body made without a source file has one version.
        return Metric(name=PASSED, version="unknown")
    statements = statements_of(tree)
    if not statements:
        return None
    return Metric(name=PASSED, version=digest_text(normalised(statements))[:SHORT])
