"""Run suites against a real HTTP server: each call once, faults told apart, no stray call."""

from __future__ import annotations

from typing import Any

import pytest
from fake_endpoint import Endpoint, Seen, answer, chunk, error, stream

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"


@pytest.fixture
def served(suite: Any, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a suite of 20 items whose model is the server."""
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    endpoint.otherwise = lambda seen: answer("yes")
    path = suite.root / "prompts" / "ask.prompt.yml"
    path.write_text(path.read_text().replace("scripted:model", "openai:small"))
    return suite


def test_every_case_is_one_request_and_a_second_run_sends_none(served: Any, endpoint: Endpoint) -> None:
    result = served.run()
    assert result.ret == 0, result.stdout.str()
    assert sorted(endpoint.texts) == sorted(f"Answer. Item {n}" for n in range(20))
    result = served.run()
    assert result.ret == 0
    assert len(endpoint.seen) == 20
    result.stdout.fnmatch_lines(["*0 calls made, 20 answers from the cache*"])


def test_a_lost_429_is_not_measured_and_not_a_bad_score(served: Any, endpoint: Endpoint) -> None:
    assert served.run(SAVE).ret == 0

    def busy(seen: Seen) -> Any:
        # A wait far beyond the deadline: the call is given up at once.
        return (
            error(429, message="slow down", retry_after="300") if seen.text.endswith(" 7") else answer("yes")
        )

    endpoint.otherwise = busy
    result = served.run(COMPARE, "--llmops-cache=refresh", "-rs")
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=19, skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*not measured:*429*(request id req-1)*"])


def test_a_passing_fault_is_asked_again_and_leaves_no_trace_in_the_scores(
    served: Any, endpoint: Endpoint
) -> None:
    endpoint.script(error(503), error(500, retry_after_ms="1"))
    result = served.run()
    result.assert_outcomes(passed=20)
    assert len(endpoint.seen) == 22


def test_a_refused_key_says_so_once_a_case_and_keeps_the_key_to_itself(
    served: Any, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-1234")
    endpoint.otherwise = lambda seen: error(401, message="bad key sk-very-secret-1234")
    result = served.run()
    result.assert_outcomes(errors=20)
    assert "very-secret" not in result.stdout.str() + result.stderr.str()
    # A fault is not kept, so two workers that look ahead may both meet it; neither asks twice.
    workers = 2 if "-n2" in served.workers else 1
    assert max(endpoint.texts.count(text) for text in endpoint.texts) <= workers


def test_nothing_is_sent_when_collection_failed(served: Any, endpoint: Endpoint) -> None:
    (served.root / "test_broken.py").write_text("import no_such_module\n")
    assert served.run().ret != 0
    assert served.run("--collect-only").ret != 0
    assert endpoint.seen == []


def test_setup_plan_sends_nothing(served: Any, endpoint: Endpoint) -> None:
    served.run("--setup-plan")
    assert endpoint.seen == []


def test_a_secret_in_an_answer_is_shown_nowhere_and_never_stored(
    served: Any, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "tok-abcdef-123456")
    endpoint.otherwise = lambda seen: answer("yes" if seen.text != "Answer. Item 7" else "tok-abcdef-123456")
    result = served.run(SAVE)
    result.stdout.fnmatch_lines(
        ["*the run was not saved: the output of case 'item-7' holds the value of SOME_TOKEN*"]
    )
    assert "tok-abcdef" not in result.stdout.str()
    assert not (served.root / ".llmops" / "runs").exists()


def test_control_characters_of_an_answer_do_not_reach_the_terminal(served: Any, endpoint: Endpoint) -> None:
    endpoint.otherwise = lambda seen: answer("\x1b]52;c;aGk=\x07\x1b[2J\u202e\x9b31m ::error::boo")
    served.body(
        """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric("exact")
def test_items(llm_case):
    ...
"""
    )
    result = served.run("--color=no")
    assert result.ret == 1
    text = result.stdout.str()
    assert not [character for character in text if ord(character) < 32 and character not in "\n\t"]
    assert not set(text) & set("\x7f\x9b\u202e")
    assert not [line for line in text.splitlines() if line.startswith("::")]


TTFT = """
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric("ttft")
def test_items(llm_case):
    assert llm_case.response.timing.ttft <= llm_case.response.timing.seconds
    assert llm_case.text == llm_case.expected
"""


def test_the_first_token_is_timed_where_somebody_asks_for_it(served: Any, endpoint: Endpoint) -> None:
    served.run()
    assert all("stream" not in seen.body for seen in endpoint.seen)
    before = len(endpoint.seen)

    served.body(TTFT)
    endpoint.otherwise = lambda seen: stream(chunk("y"), chunk("es"), chunk(finish_reason="stop"), "[DONE]")
    result = served.run()
    assert result.ret == 0, result.stdout.str()
    result.stdout.re_match_lines([r".*ttft +20 of 20 +0\.\d+ ?s?.*"])
    asked = [seen.body for seen in endpoint.seen[before:]]
    assert len(asked) == 20
    assert all(body["stream"] and body["stream_options"] == {"include_usage": True} for body in asked)

    # An answer from the cache keeps the time of its call.
    assert served.run().ret == 0
    assert len(endpoint.seen) == before + 20


RERUN = """
from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


def test_a_plugin_that_runs_a_test_again_asks_again(served: Any, endpoint: Endpoint) -> None:
    (served.root / "conftest.py").write_text(RERUN)

    def first_refused(seen: Seen) -> Any:
        again = endpoint.texts.count(seen.text) > 1
        return answer("yes") if again or not seen.text.endswith(" 7") else error(404, message="no model")

    endpoint.otherwise = first_refused
    result = served.run()
    result.assert_outcomes(passed=20)
    assert len(endpoint.seen) == 21
