"""Hold that a suite says what its judges are worth, and refuses them where that is asked for."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import Endpoint, Seen, answer

from pytest_llmops.cli import main
from pytest_llmops.golden.files import read_golden

BODY = '''
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_judge("The reply is 'polite'.", name="tone", model="openai:judge", canaries=["no"])
def test_items(llm_case):
    """The judge decides."""
'''

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"
REQUIRE = "--llmops-require-calibration"

ITEMS = 20


def reply(seen: Seen) -> Any:
    if seen.body["model"] != "judge":
        item = int(seen.text.rpartition("Item ")[2])
        return answer("rude" if seen.text.startswith("Rude") and item < 2 else f"polite {item}")
    output = re.search(r"<output [0-9a-f]+>\n(.*?)\n</output", seen.text, re.DOTALL)
    assert output
    said = "pass" if output[1].startswith("polite") else "fail"
    return answer(json.dumps({"reason": "so", "verdict": said}))


@pytest.fixture
def judged(plain_suite: Any, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a suite of 20 items with a judge, both served over HTTP."""
    return prepared(plain_suite, endpoint, monkeypatch)


def prepared(suite: Any, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    endpoint.otherwise = reply
    suite.body(BODY)
    asking(suite, "Answer.")
    return suite


def asking(suite: Any, say: str) -> None:
    suite.prompt(say=say)
    path = suite.root / "prompts" / "ask.prompt.yml"
    path.write_text(path.read_text().replace("scripted:model", "openai:small"))


def labelled(suite: Any, passes: Any, outputs: tuple[str, ...] = ("polite", "rude")) -> str:
    """Write labels for an answer of each kind to each item."""
    rows = [
        {
            "inputs": dict(case.inputs),
            "expected": case.expected,
            "output": f"polite {case.inputs['n']}" if output == "polite" else output,
            "label": passes(output, case.inputs["n"]),
        }
        for case in read_golden(suite.root / "golden" / "items.jsonl")
        for output in outputs
    ]
    path: Path = suite.root / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def command_of(result: pytest.RunResult) -> list[str]:
    """Return the command that a message names, up to its end."""
    found = re.search(r"llmops (judge calibrate .*)", result.stderr.str() + result.stdout.str())
    assert found
    return shlex.split(found[1])


def calibrated(result: pytest.RunResult, labels: str) -> int:
    return main([word.replace("LABELS.jsonl", labels) for word in command_of(result)])


def test_a_gated_judge_is_marked_until_it_is_calibrated(judged: Any) -> None:
    result = judged.run()
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["  tone: uncalibrated, never held against labels of people*"])
    assert judged.run(SAVE).ret == 0
    judged.run(COMPARE).stdout.fnmatch_lines(["  tone: uncalibrated, never *"])
    refused = judged.run(COMPARE, REQUIRE)
    labels = labelled(judged, lambda output, n: output == "polite")
    assert calibrated(refused, labels) == 0
    for arguments in ((), (COMPARE,), (COMPARE, REQUIRE), (REQUIRE,)):
        result = judged.run(*arguments)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["  tone: judge agrees with people 100 %, kappa 1.00."])
        result.stdout.no_fnmatch_line("*uncalibrated*")


def test_requiring_a_calibration_stops_before_the_first_call(
    suite: Any, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = prepared(suite, endpoint, monkeypatch)
    result = suite.run(REQUIRE)
    assert result.ret != 0
    assert endpoint.seen == []
    words = command_of(result)
    assert words == [
        "judge",
        "calibrate",
        "--labels=LABELS.jsonl",
        "--criteria=The reply is 'polite'.",
        "--model=openai:judge",
    ]
    text = result.stdout.str() + result.stderr.str()
    assert "The judge 'tone' is uncalibrated, and --llmops-require-calibration is set." in text


def test_a_judge_near_chance_is_refused_too_and_marked(judged: Any, endpoint: Endpoint) -> None:
    refused = judged.run(REQUIRE)
    labels = labelled(judged, lambda output, n: n % 2 == 0)
    assert calibrated(refused, labels) == 1
    asked = len(endpoint.seen)
    result = judged.run(REQUIRE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len(endpoint.seen) == asked
    assert "The judge 'tone' is near chance: its AUC 0.50" in result.stderr.str()
    judged.run().stdout.fnmatch_lines(["  tone: near chance: its AUC 0.50 (90 % interval * includes 0.5;*"])


def test_a_judge_that_is_not_gated_needs_no_calibration(judged: Any) -> None:
    judged.body(BODY.replace('"""The judge decides."""', "assert llm_case.text"))
    assert judged.run(REQUIRE, "--llmops-gate=passed").ret == 0
    (judged.root / "llmops.toml").write_text("require_calibration = true\n")
    assert judged.run("--llmops-gate=passed").ret == 0
    assert judged.run().ret == pytest.ExitCode.USAGE_ERROR


def test_another_rubric_needs_labels_of_its_own(judged: Any) -> None:
    labels = labelled(judged, lambda output, n: output == "polite")
    assert calibrated(judged.run(REQUIRE), labels) == 0
    judged.body(BODY.replace("name=", "threshold=None, name="))
    assert judged.run(REQUIRE).ret == 0
    judged.body(BODY.replace("polite", "very polite"))
    assert judged.run(REQUIRE).ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    "arguments",
    [
        "scale='1-5', threshold=3",
        "scale=(1, 5), threshold=3",
        "scale=(0.0, 10.0), threshold=5",
        "repeats=3, vote='mean'",
        "logprobs=True",
        "logprobs=False",
    ],
)
def test_the_command_describes_the_very_judge_of_the_marker(judged: Any, arguments: str) -> None:
    judged.body(BODY.replace("name=", f"{arguments}, name="))
    words = command_of(judged.run(REQUIRE))
    labels = labelled(judged, lambda output, n: output == "polite")
    # Whatever the server says of it, the version is that of the marker.
    main([word.replace("LABELS.jsonl", labels) for word in words])
    assert "uncalibrated" not in judged.run(REQUIRE).stderr.str()


@pytest.mark.parametrize(
    "arguments",
    ["'This is', labels=('polite', 'rude')", "likelihood=True", "likelihood=True, context='c', question='n'"],
)
def test_the_command_describes_likelihood_judges_too(judged: Any, endpoint: Endpoint, arguments: str) -> None:
    endpoint.otherwise = lambda seen: answer("a")
    # The question is the number, and none of them is no question.
    judged.golden(range(1, 21))
    judged.body(
        re.sub(r"llm_judge\(.*\)", f"llm_judge({arguments}, model='openai:judge', threshold=0.5)", BODY)
    )
    words = command_of(judged.run(REQUIRE))
    labels = labelled(judged, lambda output, n: output == "polite")
    rows = [json.loads(line) for line in Path(labels).read_text().splitlines()]
    for row in rows:
        row["context"] = "It is so."
    Path(labels).write_text("".join(json.dumps(row) + "\n" for row in rows))
    # The server tells no log-probabilities, so there is no verdict: of the very judge of the marker.
    assert main([word.replace("LABELS.jsonl", labels) for word in words]) == 1
    assert "no valid verdict on any labelled answer" in judged.run(REQUIRE).stderr.str()


def test_labels_of_both_sides_say_what_people_find(judged: Any) -> None:
    assert judged.run(SAVE).ret == 0
    labels = labelled(judged, lambda output, n: output == "polite")
    assert calibrated(judged.run(REQUIRE), labels) == 0
    asking(judged, "Rude.")
    result = judged.run(COMPARE)
    text = re.sub(r"\n +", " ", result.stdout.str())
    assert "with 20 cases labelled by people on both sides: -10.0 pp (90 % interval " in text


def test_a_damaged_calibration_is_one_message(judged: Any) -> None:
    labels = labelled(judged, lambda output, n: output == "polite")
    assert calibrated(judged.run(REQUIRE), labels) == 0
    (path,) = (judged.root / ".llmops" / "calibrations").iterdir()
    path.write_text(path.read_text().replace('"judged":40', '"judged":41'))
    result = judged.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*is damaged: its content has the digest*"])
    assert judged.run(REQUIRE).ret == pytest.ExitCode.USAGE_ERROR
