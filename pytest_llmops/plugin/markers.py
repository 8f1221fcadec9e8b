"""Describe the markers, for `pytest --markers`."""

from __future__ import annotations

MARKERS = {
    "llm_eval": "llm_eval(prompt, golden, *, model=, repeats=1, tags=, limit=, cluster=): "
    "run the test once for each golden case, with the model's answer in the fixture llm_case",
    "llm_schema": "llm_schema(schema, *, name='schema', required=False, fenced=False, repair=0): "
    "the answer must be JSON that fits the JSON Schema",
    "llm_metric": "llm_metric(name, *, value=, threshold=, required=False): "
    "score the answer: exact, contains, icontains, regex, json_equal, tool_calls, latency, ttft, tokens, "
    "cost, or a scorer object",
    "llm_judge": "llm_judge(criteria, *, name=, scale='pass_fail', threshold=, model=, required=False): "
    "let a model judge the answer by the criteria",
}
