"""Load deepeval once and quietly: a run inside the tests unloads what it imported."""

from __future__ import annotations

import genai_prices  # noqa: F401
import jinja2  # noqa: F401
import numpy as np  # noqa: F401
import scipy.stats  # noqa: F401
import tabulate  # noqa: F401
import yaml  # noqa: F401

from pytest_llmops.scorers.deepeval import named_metric

named_metric("exact_match", {})
