"""Run suites with metrics of deepeval through real pytest."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_llmops.providers.weights import cache_dir

CONFTEST = """
import os
from deepeval_replies import reply
from pytest_llmops import ScriptedProvider


def counted(request):
    with open(os.environ["CALLS"], "a") as file:
        file.write("judge\\n" if "place" not in str(request.parameters) else "answer\\n")
    return reply(request)


def pytest_llmops_provider(name):
    return ScriptedProvider(counted) if name == "scripted" else None
"""

PROMPT = """
model: {model}
modelParameters:
  temperature: 0
  maxTokens: 60
messages:
  - role: user
    content: 'Answer as JSON with the key "place". {{{{ question }}}}'
responseFormat: json_schema
jsonSchema:
  type: object
  properties:
    place: {{enum: [the door, the roof]}}
  required: [place]
  additionalProperties: false
"""

BODY = '''
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="questions.jsonl")
@pytest.mark.llm_metric("deepeval:faithfulness", threshold=0)
@pytest.mark.llm_metric("deepeval:hallucination", name="facts", threshold=0)
@pytest.mark.llm_metric("deepeval:exact_match", name="same", threshold=0)
def test_questions(llm_case):
    """The metrics decide."""
'''

# Read before the tests' own home folder takes the place of the user's.
CACHE = str(cache_dir())

SAVE, COMPARE = "--llmops-save-baseline=production", "--llmops-baseline=production"


@pytest.fixture
def suite(pytester, monkeypatch):
    monkeypatch.setenv("CALLS", str(pytester.path / "calls.txt"))
    monkeypatch.setenv("COLUMNS", "100")
    # Beside the tests, where workers of xdist find it, too.
    replies = Path(__file__).with_name("deepeval_replies.py").read_text()
    (pytester.path / "deepeval_replies.py").write_text(replies)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_questions=BODY)
    write(pytester.path, "scripted:model")
    return pytester


def write(root, model):
    (root / "llmops.toml").write_text("")
    (root / "prompts").mkdir(exist_ok=True)
    (root / "golden").mkdir(exist_ok=True)
    (root / "prompts" / "ask.prompt.yml").write_text(PROMPT.format(model=model))
    rows = [
        {
            "id": f"q-{number}",
            "inputs": {"question": f"Where is key {number}?"},
            "expected": f"Key {number} hangs beside the door.",
            "context": [f"Key {number} hangs beside the door."],
        }
        for number in range(6)
    ]
    (root / "golden" / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(pytester, *arguments):
    quiet = ("-p", "no:deepeval", "-p", "no:hypothesispytest", "-p", "no:asyncio")
    return pytester.runpytest_inprocess(*quiet, *arguments)


def calls(pytester):
    path = pytester.path / "calls.txt"
    found = path.read_text().split() if path.exists() else []
    path.write_text("")
    return found


@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n2",)], ids=["plain", "n2"])
def test_a_second_run_makes_no_call_and_is_unchanged(suite, workers):
    result = run(suite, SAVE, "-p", "no:xdist")
    assert result.ret == 0, result.stdout.str()
    made = calls(suite)
    assert made.count("answer") == 6
    # Four questions of one metric and two of the other; equal ones, of equal answers, are asked once.
    assert 6 < made.count("judge") <= 6 * 6

    result = run(suite, COMPARE, *workers)
    assert result.ret == 0, result.stdout.str()
    assert calls(suite) == []
    result.stdout.fnmatch_lines(["*faithfulness*unchanged*", "*facts*unchanged*", "*same*unchanged*"])
    result.stdout.fnmatch_lines(["*0 calls made*"])


def test_the_run_names_the_library_and_the_direction_of_each_score(suite):
    assert run(suite, SAVE, "-p", "no:xdist").ret == 0
    (path,) = (path for path in suite.path.rglob("runs/*.jsonl") if ".meta." not in path.name)
    header = json.loads(path.read_text().splitlines()[0])
    found = json.dumps(header)
    library = version("deepeval")
    assert f'"deepeval": "{library}"' in found
    assert f'"version": "{library}+' in found
    assert found.count('"higher_is_better": true') == 3


def test_a_mistake_in_a_marker_is_one_message(suite):
    suite.makepyfile(test_questions=BODY.replace("deepeval:faithfulness", "deepeval:faithfullness"))
    result = run(suite, "-p", "no:xdist")
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*deepeval has no metric 'faithfullness'. Did you mean 'faithfulness'*"])
    assert "Traceback" not in result.stderr.str()


def test_an_object_is_judged_by_the_model_of_the_session(suite):
    body = BODY.replace(
        '"deepeval:faithfulness", threshold=0',
        'GEval(name="place", criteria="It names a place.", model=Own(),'
        " evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT]), threshold=0",
    ).replace(
        "import pytest\n",
        """import pytest
from deepeval.metrics import GEval
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import SingleTurnParams


class Own(DeepEvalBaseLLM):
    def load_model(self): return self
    def get_model_name(self): return "own"
    def generate(self, prompt, schema=None): raise AssertionError("asked")
    async def a_generate(self, prompt, schema=None): raise AssertionError("asked")
""",
    )
    suite.makepyfile(test_questions=body)
    result = run(suite, "-p", "no:xdist")
    assert result.ret == 0, result.stdout.str()
    assert "judge" in calls(suite)


EMBEDDED = '''
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="questions.jsonl", limit=2)
@pytest.mark.llm_metric("deepeval:g_eval", threshold=0, options={
    "evaluation_steps": ["Look whether the answer names a place."], "evaluation_params": ["actual_output"]})
@pytest.mark.llm_metric("deepeval:contextual_precision", threshold=0, options={"include_reason": False})
def test_questions(llm_case):
    """The metrics decide."""
'''


@pytest.mark.embedded
def test_two_metrics_on_the_embedded_model(suite, monkeypatch):
    monkeypatch.setenv("LLMOPS_CACHE_DIR", CACHE)
    write(suite.path, "local:smollm2-135m")
    suite.makepyfile(test_questions=EMBEDDED)
    result = run(suite, SAVE, "-p", "no:xdist")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*g_eval*", "*contextual_precision*", "*6 calls made*$0.00*"])
    result = run(suite, COMPARE, "-p", "no:xdist")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*g_eval*unchanged*", "*contextual_precision*unchanged*", "*0 calls made*"])
