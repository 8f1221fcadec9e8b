"""Hold what the forms of llm_judge do in a suite: several criteria, files, juries, pairs, wrong arguments."""

from __future__ import annotations

import json
from typing import Any

import pytest

CONFTEST = r"""
import os
import json
import re
from pytest_llmops import ScriptedProvider


def block(text, name):
    found = re.search(rf"<{name} [0-9a-f]+>\n(.*?)\n</{name} ", text, re.DOTALL)
    return found and found[1]


def reply(request):
    text = request.messages[-1]["content"]
    form = request.parameters.get("response_format")
    with open(os.environ["CALLS"], "a") as file:
        file.write((f"{request.model}:judge" if form else "answer") + "\n")
    if form is None:
        return text.partition("Say ")[2].partition(".")[0] + " " + text.rpartition("Item ")[2]
    if "better" in json.dumps(form):
        first, second = (block(text, name) for name in ("first", "second"))
        ranks = {"fine": 2, "fair": 1}
        first, second = (ranks.get(each.split()[0], 0) for each in (first, second))
        better = "tie" if first == second else "first" if first > second else "second"
        return json.dumps({"reason": "as it reads", "better": better})
    output = block(text, "output")
    good = output.startswith("fine") or (request.model == "mild" and output.startswith("fair"))
    return json.dumps({"reason": f"it says {output}", "verdict": "pass" if good else "fail"})


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
"""

CANARIES = 6
"""Three known-wrong answers beside what a row expects, in both orders."""

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"


@pytest.fixture
def judged(suite: Any) -> Any:
    (suite.root / "conftest.py").write_text(CONFTEST)
    suite.prompt(say="Say fine.")
    return suite


@pytest.fixture
def plainly_judged(plain_suite: Any) -> Any:
    (plain_suite.root / "conftest.py").write_text(CONFTEST)
    plain_suite.prompt(say="Say fine.")
    return plain_suite


def mark(suite: Any, *arguments: str) -> None:
    lines = "\n".join(f"@pytest.mark.llm_judge({each})" for each in arguments)
    suite.body(
        f"import pytest\n\n\n@pytest.mark.llm_eval(prompt='ask', golden='items.jsonl')\n{lines}\n"
        "def test_items(llm_case): ...\n"
    )


def test_each_criterion_is_a_metric_and_a_call_of_its_own(plainly_judged: Any) -> None:
    suite = plainly_judged
    mark(suite, "{'friendly': 'It is friendly.', 'brief': 'It is brief.'}")
    assert suite.run(SAVE).ret == 0
    assert sorted(suite.calls) == ["answer"] * 20 + ["model:judge"] * 2 * (20 + 3)
    assert suite.run(COMPARE).ret == 0
    assert suite.calls == []
    # Another wording judges that criterion again, and nothing else.
    mark(suite, "{'friendly': 'It is friendly.', 'brief': 'It is very brief.'}")
    result = suite.run(COMPARE)
    assert suite.calls == ["model:judge"] * (20 + 3)
    result.stdout.fnmatch_lines(["*friendly*unchanged*", "*brief*not comparable*"])


@pytest.mark.parametrize("workers", [()])
def test_a_jury_tells_who_differs(judged: Any) -> None:
    mark(judged, "'It is fine.', model=['scripted:mild', 'scripted:strict', 'scripted:mild2'], name='fine'")
    judged.prompt(say="Say fair.")
    result = judged.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*fine: scripted:mild 1: it says fair*scripted:strict 0: it says fair*"])


@pytest.mark.parametrize("workers", [("-n2",)])
def test_a_judge_from_a_file_has_its_name_and_its_model(judged: Any) -> None:
    (judged.root / "judges").mkdir()
    (judged.root / "judges" / "tone.prompt.yml").write_text(
        "model: scripted:mild\nmessages:\n  - role: user\n    content: 'Is this fine? {{ output }}'\n"
    )
    mark(judged, "judge='judges/tone.prompt.yml'", "judge='tone', name='again', model='scripted:strict'")
    judged.prompt(say="Say fair.")
    result = judged.run()
    assert result.ret == 1
    assert "tone:" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*again: it says fair*", "*tone*100.0 %*"])


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_better_answer_is_a_gain_and_a_worse_one_a_regression(judged: Any) -> None:
    mark(judged, "'It is right.', pairwise=True, name='preference'")
    judged.prompt(say="Say fair.")
    assert judged.run(SAVE).ret == 0
    assert set(judged.calls) == {"answer"}
    result = judged.run(COMPARE)
    assert result.ret == 0
    assert judged.calls == []
    result.stdout.fnmatch_lines(["*preference*0.00*0.00*unchanged*"])
    judged.prompt(say="Say fine.")
    result = judged.run(COMPARE)
    assert result.ret == 0, result.stdout.str()
    assert judged.calls.count("model:judge") == 40 + CANARIES
    result.stdout.fnmatch_lines(["*preference*0.00*1.00*improved*"])
    judged.prompt(say="Say foul.")
    result = judged.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(xfailed=20, failed=1)
    result.stdout.fnmatch_lines(
        ["*llmops[[]preference[]]*", "*preference: worse in 20 answers;*", "*worse: as it reads*"]
    )
    # A second run asks nobody.
    assert judged.calls.count("model:judge") == 40
    assert judged.run(COMPARE).ret == 1
    assert judged.calls == []


def test_a_pair_in_one_session(plainly_judged: Any) -> None:
    suite = plainly_judged
    mark(suite, "'It is right.', pairwise=True, name='preference'")
    suite.prompt(say="Say fair.")
    assert suite.run(SAVE).ret == 0
    digest = next((suite.root / ".llmops" / "prompts" / "ask").iterdir()).name[:12]
    from pytest_llmops.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(suite.root)
        assert main(["prompts", "alias", "ask", "production", digest]) == 0
    suite.prompt(say="Say foul.")
    result = suite.run("--llmops-baseline=alias:production")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*preference*0.00*-1.00*regressed*"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "without criteria compares likelihoods"),
        ("{}", "takes its names from the mapping"),
        ("{'a': 'b'}, name='c'", "takes its names from the mapping"),
        ("judge='tune'", "No judge 'tune' beside"),
        ("'x', repeats=0", "repeats=0"),
        ("'x', model=['scripted:a', 'scripted:a']", "names a juror twice"),
        ("'x', model=[]", "give a list of texts"),
        ("'x', pairwise=True, scale='1-5'", "takes no scale"),
        ("'x', pairwise=True, threshold=1", "takes no threshold"),
        ("'x', canaries='no'", "canaries='no'"),
        ("'x', vote='all'", "Known: majority, mean"),
        ("'x', treshold=1", "Did you mean 'threshold'"),
    ],
)
def test_a_wrong_argument_is_one_message_before_the_first_call(
    plainly_judged: Any, arguments: str, message: str
) -> None:
    mark(plainly_judged, arguments)
    result = plainly_judged.run()
    assert result.ret == 4
    assert message in " ".join(result.stderr.str().split())
    assert plainly_judged.calls == []


def test_the_model_is_asked_with_the_conversation_and_the_passages(plainly_judged: Any) -> None:
    suite = plainly_judged
    rows = [
        {
            "id": "a",
            "inputs": {"n": 1},
            "messages": [{"role": "user", "content": "Say fine. Item 7"}],
            "context": ["At nine."],
        }
    ]
    (suite.root / "golden" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite.prompt(say="{{ context }}")
    suite.body(
        "import pytest\n\n\n@pytest.mark.llm_eval(prompt='ask', golden='items.jsonl')\n"
        "def test_items(llm_case):\n"
        "    first, last = llm_case.request.messages\n"
        "    assert first == {'role': 'user', 'content': 'Say fine. Item 7'}\n"
        "    assert last['content'] == 'At nine. Item 1'\n"
        "    assert llm_case.context == ('At nine.',)\n"
        "    assert llm_case.messages[0]['role'] == 'user'\n"
    )
    result = suite.run()
    assert result.ret == 0, result.stdout.str()
