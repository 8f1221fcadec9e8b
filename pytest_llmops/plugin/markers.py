"""Describe the markers, for `pytest --markers`."""

from __future__ import annotations

MARKERS = {
    "llm_eval": "llm_eval(prompt or target=, golden, *, model=, repeats=1, tags=, limit=, cluster=, "
    "version=, artifacts=, concurrent=False): run the test once for each golden case, with the model's "
    "answer, or the target's, in the fixture llm_case",
    "llm_schema": "llm_schema(schema, *, name='schema', required=False, fenced=False, repair=0): "
    "the answer must be JSON that fits the JSON Schema",
    "llm_metric": "llm_metric(metric, *, name=, value=, threshold=, required=False, tolerance=, ignore=): "
    "score the answer: exact, contains, contains_all, contains_any, icontains, icontains_all, icontains_any, "
    "starts_with, regex, json_equal, number, word_count, refusal, levenshtein, rouge_1, rouge_2, rouge_l, "
    "bleu, chrf, similarity, tool_calls, latency, ttft, tokens, cost, deepeval:<metric>, a scorer of your "
    "own by name, or a scorer object",
    "llm_judge": "llm_judge(criteria or judge=, *, name=, scale='pass_fail', threshold=, model=, repeats=1, "
    "vote=, logprobs=, pairwise=False, canaries=, likelihood=False, labels=, required=False): "
    "let models judge the answer by the criteria",
}
