"""Run the suite with inspect-ai, with its own cache of answers."""

import json
import sys
from pathlib import Path

from inspect_ai import Task
from inspect_ai import eval as run
from inspect_ai.dataset import Sample
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

cases, concurrency = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
task = Task(
    dataset=[Sample(id=case["id"], input=case["question"], target=case["answer"]) for case in cases],
    solver=generate(cache=True),
    scorer=exact(),
)
(log,) = run(
    task,
    model="openai/model",
    # Chat completions, as all others here use.
    model_args={"responses_api": False},
    display="none",
    max_connections=concurrency,
    max_samples=concurrency,
)
print(f"{sum(sample.scores['exact'].value == 'C' for sample in log.samples or [])} passed")
