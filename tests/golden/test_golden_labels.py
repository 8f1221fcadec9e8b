"""Hold what a file of labelled answers may hold, and what is said of one that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.golden.labels import answer_key, read_labels

ROW = {"inputs": {"text": "a"}, "output": "yes", "label": "pass"}
PAIR = {"inputs": {"text": "a"}, "output": "yes", "other": "no", "label": "other"}


def written(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("label", "value", "kind"),
    [
        ("pass", 1, "pass_fail"),
        ("fail", 0, "pass_fail"),
        (True, 1, "pass_fail"),
        (False, 0, "pass_fail"),
        (4, 4, "score"),
        (0.25, 0.25, "score"),
    ],
)
def test_a_label_is_a_verdict_or_a_mark(tmp_path: Path, label: object, value: float, kind: str) -> None:
    labels = read_labels(written(tmp_path, {**ROW, "label": label}))
    assert labels.kind == kind
    assert [row.label for row in labels] == [value]


@pytest.mark.parametrize(("label", "value"), [("output", 1), ("tie", 0), ("other", -1)])
def test_of_a_pair_one_is_better_or_neither(tmp_path: Path, label: str, value: float) -> None:
    labels = read_labels(written(tmp_path, {**PAIR, "label": label}))
    assert labels.kind == "pairwise"
    assert [(row.label, row.output, row.other) for row in labels] == [(value, "yes", "no")]


def test_a_row_is_a_golden_row_with_an_answer(tmp_path: Path) -> None:
    more = {"expected": 1, "context": "c", "messages": [{"role": "user", "content": "m"}], "tags": ["t"]}
    labels = read_labels(written(tmp_path, {**ROW, **more, "id": "one"}, "", {**ROW, "output": "no"}))
    first, second = labels
    assert first.case.id == "one"
    assert second.case.id == "line 3"
    assert (first.case.expected, first.case.context, first.case.tags) == (1, ("c",), ("t",))
    assert first.key == answer_key(first.case.digest, "yes")


def test_an_answer_is_known_again_by_its_row_and_its_text() -> None:
    case = Case(id="x", inputs={"text": "a"}, expected="b")
    key = answer_key(case.digest, "yes")
    assert key == answer_key(replace(case, id="y", tags=("t",)).digest, "yes")
    others = [
        answer_key(case.digest, "no"),
        answer_key(replace(case, expected="c").digest, "yes"),
        answer_key(case.digest, "yes", "no"),
    ]
    assert len({key, *others}) == 4


def test_the_digest_is_of_answers_and_labels_not_of_ids_or_order(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "output": "no", "label": "fail"}]
    digest = read_labels(written(tmp_path, *rows)).digest
    assert read_labels(written(tmp_path, *rows[::-1])).digest == digest
    assert read_labels(written(tmp_path, {**ROW, "id": "z"}, rows[1])).digest == digest
    assert read_labels(written(tmp_path, ROW, {**rows[1], "label": "pass"})).digest != digest


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], "line 1: this is not JSON"),
        ([7], "line 1: a row is a mapping such as"),
        ([], "holds no rows. Write one, such as"),
        ([{"output": "a", "label": "pass"}], "line 1: the row has no `inputs`"),
        ([{**ROW, "ouput": "a"}], "line 1: a labelled row has no key 'ouput'. Did you mean 'output'?"),
        (
            [{"inputs": {}, "label": "pass"}],
            'line 1: write "output": "…", the text of the answer; it is missing.',
        ),
        ([{**ROW, "output": None}], "it is null."),
        ([{**ROW, "output": "\ud800"}], "`output`: a text holds half a surrogate pair"),
        ([{**PAIR, "other": 3}], 'line 1: write "other": "…", the text of the answer; it is the number 3.'),
        ([{"inputs": {}, "output": "a"}], "or a number on the judge's scale; it is missing."),
        (
            [{**ROW, "label": "good"}],
            "pass or fail, or a number on the judge's scale; it is the text 'good'.",
        ),
        ([{**ROW, "label": "tie"}], "it is the text 'tie'."),
        ([{**PAIR, "label": "pass"}], '"output", "other" or "tie"; it is the text \'pass\'.'),
        ([{**PAIR, "label": True}], "it is true."),
        (
            [ROW, {**ROW, "output": "no", "label": 3}],
            'line 2: the label is a number, and that in line 1 "pass"',
        ),
        ([ROW, {**PAIR, "output": "no"}], "all of a file must be of one kind."),
        (
            [ROW, {**ROW, "id": "b", "label": "fail"}],
            "line 2: this is the same answer to the same row as in line 1",
        ),
        ([ROW, {**ROW, "output": "no", "label": float("nan")}], "line 2: this is not JSON"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, rows: list[object], message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        read_labels(written(tmp_path, *rows))
    assert message in str(caught.value)
    assert "labels.jsonl" in str(caught.value)


def test_another_ending_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"labels.csv holds no labels: its name must end with .jsonl"):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(MisuseError, match=r"none.jsonl cannot be read: No such file"):
        read_labels(tmp_path / "none.jsonl")
