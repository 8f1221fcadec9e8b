"""Drive `llmops judge` as a user does, against a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import Endpoint, Seen, answer, error

from pytest_llmops.cli import main

CRITERIA = "The reply is polite."
CALIBRATE = ("calibrate", f"--criteria={CRITERIA}", "--model=openai:small", "--labels=labels.jsonl")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> Path:
    (tmp_path / "llmops.toml").touch()
    monkeypatch.chdir(tmp_path)
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    rows = [
        {"inputs": {"n": n}, "output": "Please" if n % 2 else "What", "label": "pass" if n % 2 else "fail"}
        for n in range(40)
    ]
    write(tmp_path / "labels.jsonl", rows)
    endpoint.otherwise = verdict(lambda output: output == "Please")
    return tmp_path


def write(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def output_of(seen: Seen) -> str:
    found = re.search(r"<output [0-9a-f]+>\n(.*?)\n</output", seen.text, re.DOTALL)
    assert found
    return found[1]


def verdict(passes: Callable[[str], bool]) -> Callable[[Seen], Any]:
    def reply(seen: Seen) -> Any:
        said = "pass" if passes(output_of(seen)) else "fail"
        return answer(json.dumps({"reason": "as it reads", "verdict": said}))

    return reply


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(("judge", *arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def stored(project: Path) -> list[Path]:
    return sorted((project / ".llmops/calibrations").glob("*"))


def test_a_judge_that_agrees_ends_with_0_and_is_stored(
    project: Path, capsys: pytest.CaptureFixture[str], endpoint: Endpoint
) -> None:
    code, out, err = ran(capsys, *CALIBRATE)
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first == "agrees with people: accuracy 100 % (93 to 100), kappa 1.00 (0.86 to 1.00)"
    assert max(map(len, lines)) <= 80
    (path,) = stored(project)
    assert lines[-1] == f"stored: .llmops/calibrations/{path.name}"
    # Asked twice, so that the second answers tell how steady they are.
    assert len(endpoint.seen) == 80
    before = path.read_bytes()
    again, out, _ = ran(capsys, *CALIBRATE)
    assert again == 0
    assert "0 calls made, 80 answers from the cache" in out
    assert (len(endpoint.seen), path.read_bytes()) == (80, before)


def test_a_judge_near_chance_ends_with_1_and_is_stored_all_the_same(
    project: Path, capsys: pytest.CaptureFixture[str], endpoint: Endpoint
) -> None:
    endpoint.otherwise = verdict(lambda output: True)
    code, out, _ = ran(capsys, *CALIBRATE)
    assert code == 1
    assert out.startswith("near chance: its AUC 0.50 (90 % interval 0.00 to 1.00) includes 0.5; do not")
    assert len(stored(project)) == 1


def test_answers_without_a_verdict_are_named(
    project: Path, capsys: pytest.CaptureFixture[str], endpoint: Endpoint
) -> None:
    endpoint.script(answer("I would say pass."))
    code, out, _ = ran(capsys, *CALIBRATE)
    assert code == 0
    assert "no verdict on 1 of 40 answers" in out.replace("\n  ", " ")
    assert "I would say pass." in out


def test_a_server_that_refuses_is_a_mistake_and_stores_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], endpoint: Endpoint
) -> None:
    endpoint.otherwise = lambda seen: error(401, message="no such key")
    code, out, err = ran(capsys, *CALIBRATE)
    assert (code, out) == (2, "")
    assert err.startswith("llmops: 40 of 40 labelled answers could not be judged, so nothing is stored.")
    assert "no such key" in err
    assert stored(project) == []


def test_a_judge_of_its_own_prompt_and_marks(
    project: Path, capsys: pytest.CaptureFixture[str], endpoint: Endpoint
) -> None:
    (project / "judges").mkdir()
    (project / "judges" / "tone.prompt.yml").write_text(
        "model: openai:other\nmessages:\n  - role: user\n    content: 'Mark it. {{ data }}'\n"
    )
    marks = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "great"}
    rows = [{"inputs": {"n": n}, "output": marks[n % 5 + 1], "label": n % 5 + 1} for n in range(40)]
    write(project / "labels.jsonl", rows)
    words = {text: mark for mark, text in marks.items()}

    def mark(seen: Seen) -> Any:
        return answer(json.dumps({"reason": "so", "score": max(1, words[output_of(seen)] - 1)}))

    endpoint.otherwise = mark
    code, out, _ = ran(capsys, "calibrate", "judges/tone.prompt.yml", "--scale=1-5", "--labels=labels.jsonl")
    assert code == 0
    assert out.startswith("agrees with people: Spearman correlation 0.97 (")
    assert "threshold 2 (chosen on 20, reported on 20)" in out.replace("\n  ", " ")
    assert {seen.body["model"] for seen in endpoint.seen} == {"other"}


def test_a_judge_of_pairs(project: Path, capsys: pytest.CaptureFixture[str], endpoint: Endpoint) -> None:
    rows = [
        {"inputs": {"n": n}, "output": "Please", "other": "What", "label": "output"}
        if n % 2
        else {"inputs": {"n": n}, "output": "What", "other": "Please", "label": "other"}
        for n in range(30)
    ]
    write(project / "labels.jsonl", rows)
    # The first one always: so the verdict turns with the order.
    endpoint.otherwise = lambda seen: answer(json.dumps({"reason": "so", "better": "first"}))
    code, out, _ = ran(capsys, *CALIBRATE, "--pairwise")
    assert code == 1
    assert "near chance" in out
    assert re.search(r"turn with the order +100 % +90 to 100 %  of pairs", out)


def test_list_and_show_say_what_is_known(
    project: Path, capsys: pytest.CaptureFixture[str], endpoint: Endpoint
) -> None:
    assert ran(capsys, "list") == (0, "No judge is calibrated: `llmops judge calibrate` does it.\n", "")
    assert not (project / ".llmops").exists()
    _, told, _ = ran(capsys, *CALIBRATE)
    version = stored(project)[0].stem
    assert ran(capsys, "list")[1] == f"{version}  agrees, 40 labels: openai:small, {CRITERIA}\n"
    code, out, _ = ran(capsys, "show", version[:6])
    assert code == 0
    assert told.startswith(out)
    code, out, err = ran(capsys, "show", "zzz")
    assert (code, out) == (2, "")
    assert err.startswith("llmops: No calibrated judge begins with 'zzz'.")
    other = CALIBRATE[0], "--criteria=x", *CALIBRATE[2:]
    endpoint.otherwise = verdict(lambda output: output == "What")
    assert ran(capsys, *other)[0] == 1
    assert len(ran(capsys, "list")[1].splitlines()) == 2
    assert ran(capsys, "show", "")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--labels=labels.jsonl", "--model=m"],
            "Say which judge: the FILE of its prompt, its --criteria, or --likelihood",
        ),
        (["--labels=labels.jsonl", "--criteria=x"], "Nobody is named who judges: add --model=PROVIDER:MODEL"),
        (["--labels=none.jsonl", "--criteria=x", "--model=m"], "none.jsonl cannot be read: No such file"),
        (["--labels=labels.csv", "--criteria=x", "--model=m"], "its name must end with .jsonl"),
        (["nobody", "--labels=labels.jsonl"], "No judge 'nobody' beside"),
        (
            ["--labels=labels.jsonl", "--criteria=x", "--model=m", "--scale=1-"],
            "There is no judge's scale '1-'",
        ),
        (["--labels=labels.jsonl", "--criteria=x", "--model=x:m"], "Unknown provider 'x'"),
        (
            ["--labels=labels.jsonl", "--criteria=x", "--model=m", "--pairwise"],
            "rows with `output` and `other`",
        ),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = ran(capsys, "calibrate", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("llmops: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert stored(project) == []
