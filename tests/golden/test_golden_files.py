from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case, GoldenSet
from pytest_llmops.golden.files import read_golden

SAME_FOLDER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ROWS = [
    {"id": "b", "inputs": {"text": "zwei €"}, "expected": {"team": "x"}, "tags": ["de", "long"]},
    {"id": "a", "inputs": {"text": "one"}, "cluster": "c1", "metadata": {"by": "hand"}},
    {"id": 3, "inputs": {}, "expected": None, "tags": None, "cluster": 7, "metadata": None},
]
CASES = (
    Case(id="b", inputs={"text": "zwei €"}, expected={"team": "x"}, tags=("de", "long")),
    Case(id="a", inputs={"text": "one"}, cluster="c1", metadata={"by": "hand"}),
    Case(id="3", inputs={}, cluster="7"),
)


def read(folder: Path, data: str | bytes, name: str = "set.jsonl") -> GoldenSet:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_golden(path)


def lines(rows: list[Any]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_rows_become_cases_in_their_order(tmp_path: Path) -> None:
    golden = read(tmp_path, lines(ROWS))
    assert golden == GoldenSet(name="set.jsonl", cases=CASES, path=tmp_path / "set.jsonl")


@pytest.mark.parametrize("name", ["set.yml", "set.yaml"])
@pytest.mark.parametrize("top", [ROWS, {"cases": ROWS}], ids=["list", "cases"])
def test_yaml_gives_the_same_cases(tmp_path: Path, name: str, top: object) -> None:
    golden = read(tmp_path, yaml.safe_dump(top), name)
    assert golden == GoldenSet(name=name, cases=CASES, path=tmp_path / name)


def test_marks_line_ends_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    text = "\ufeff\n" + lines(ROWS).replace("\n", "\r\n\r\n \t\r\n").rstrip()
    assert read(tmp_path, text).cases == CASES


def test_only_a_line_feed_ends_a_row(tmp_path: Path) -> None:
    golden = read(tmp_path, '{"id": 1, "inputs": {"text": "a\u2028b\x85c\u2029"}}')
    assert golden.cases[0].inputs == {"text": "a\u2028b\x85c\u2029"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CASE = st.builds(
    Case,
    id=st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=10),
    inputs=st.dictionaries(st.text(max_size=4), JSON, max_size=3),
    expected=JSON,
    tags=st.lists(st.text(max_size=4), max_size=2).map(tuple),
    cluster=st.none() | st.text("abc", min_size=1, max_size=3),
    metadata=st.dictionaries(st.text(max_size=4), JSON, max_size=2),
)
CASE_LISTS = st.lists(CASE, min_size=1, max_size=4, unique_by=lambda case: case.id)


def row(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "inputs": case.inputs,
        "expected": case.expected,
        "tags": list(case.tags),
        "cluster": case.cluster,
        "metadata": case.metadata,
    }


@SAME_FOLDER
@given(cases=CASE_LISTS)
def test_what_is_written_is_read_back(tmp_path: Path, cases: list[Case]) -> None:
    rows = [row(case) for case in cases]
    assert read(tmp_path, lines(rows)).cases == tuple(cases)
    assert read(tmp_path, yaml.safe_dump(rows), "set.yml").cases == tuple(cases)


@SAME_FOLDER
@given(cases=CASE_LISTS, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_format_do_not_change_the_digest(
    tmp_path: Path, cases: list[Case], order: Any
) -> None:
    rows = [row(case) for case in cases]
    first = read(tmp_path, lines(rows))
    order.shuffle(rows)
    assert read(tmp_path, lines(rows)).digest == first.digest
    assert read(tmp_path, yaml.safe_dump(rows), "set.yml").digest == first.digest


def test_rows_without_id_get_one_from_their_content_and_a_note_says_so(tmp_path: Path) -> None:
    text = '{"id": "a", "inputs": {}}\n{"inputs": {"n": 1}}\n{"id": null, "inputs": {"n": 2}}\n'
    golden = read(tmp_path, text)
    assert [case.id for case in golden] == ["a", *(case.digest[:12] for case in golden.cases[1:])]
    assert len(golden.notes) == 1
    assert golden.notes[0].startswith("set.jsonl: 2 rows have no id and got one made of the content")
    again = read(tmp_path, '{"expected": null, "inputs": {"n": 1.0}, "tags": ["x"]}')
    assert again.cases[0].id == golden.cases[1].id
    assert again.notes[0].startswith("set.jsonl: 1 row has no id")


def test_ids_may_be_any_text_of_one_line(tmp_path: Path) -> None:
    ids = ["é \U0001f600 ../x", "x" * 200, "<b>", "a\u200db"]
    golden = read(tmp_path, lines([{"id": name, "inputs": {}} for name in ids]))
    assert [case.id for case in golden] == ids


# Mistakes


def refusal(folder: Path, data: str | bytes, name: str = "set.jsonl") -> str:
    with pytest.raises(MisuseError) as caught:
        read(folder, data, name)
    return str(caught.value).removeprefix(str(folder / name))


FORM = '"inputs": {"text": "…"}, a mapping of the prompt\'s variables'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": 1}', f", line 1: the row has no `inputs`; write {FORM}."),
        ('{"inputs": "x"}', f", line 1: write {FORM}; this is the text 'x'."),
        ('{"inputs": null}', f", line 1: write {FORM}; this is null."),
        ("\n[]", f", line 2: a row is a mapping with {FORM}; this is a list."),
        ('{"inputs": {}, "id": true}', ", line 1: `id` must be text or a number, not true."),
        ('{"inputs": {}, "id": ["a"]}', ", line 1: `id` must be text or a number, not a list."),
        ('{"inputs": {}, "id": ""}', ", line 1: `id` has 0 characters; 1 to 200 are allowed."),
        (
            '{"inputs": {}, "id": "%s"}' % ("x" * 201),
            ", line 1: `id` has 201 characters; 1 to 200 are allowed.",
        ),
        ('{"inputs": {}, "id": "a\\n"}', ", line 1: `id` holds the control character U+000A."),
        ('{"inputs": {}, "id": "\\u009b"}', ", line 1: `id` holds the control character U+009B."),
        ('{"inputs": {}, "id": "\\u2028"}', ", line 1: `id` holds the control character U+2028."),
        ('{"inputs": {}, "cluster": {}}', ", line 1: `cluster` must be text or a number, not a mapping."),
        (
            '{"inputs": {}, "tags": "x"}',
            ', line 1: write "tags": ["…"], a list of texts; this is the text \'x\'.',
        ),
        ('{"inputs": {}, "tags": ["x", 1]}', ", line 1: a tag must be text, not the number 1."),
        ('{"inputs": {}, "metadata": []}', ", line 1: `metadata` must be a mapping, not a list."),
        (
            '{"inputs": {}, "expect": 1}',
            ", line 1: a row has no key 'expect'. Did you mean 'expected'? "
            "What is yours alone goes under `metadata`.",
        ),
        (
            '{"inputs": {}, "expected": "\\udc00"}',
            ", line 1: `expected`: a text holds half a surrogate pair, which is no character.",
        ),
        (
            '{"inputs": {"a": %s}}' % ("[" * 100 + "]" * 100),
            ", line 1: `inputs`: nested more than 100 levels deep.",
        ),
        (
            '{"id": "a", "inputs": {}}\n\n{"id": "a", "inputs": {"x": 1}}',
            ", line 3: the id 'a' stands in line 1 already; ids must differ.",
        ),
        (
            '{"id": 1, "inputs": {}}\n{"id": "1", "inputs": {}}',
            ", line 2: the id '1' stands in line 1 already; ids must differ.",
        ),
        (
            '{"inputs": {"a": 1}}\n{"inputs": {"a": 1.0}, "tags": ["x"]}',
            ", line 2: the row has no id and equals the row in line 1: same inputs, expected and cluster. "
            "Drop one of them, or give both an id.",
        ),
        (
            b'{"inputs": {}}\n{"inputs": {"a": "\xe4"}}',
            ", line 2: byte 19 of the line (0xe4) is not UTF-8. Save the file as UTF-8.",
        ),
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert refusal(tmp_path, text) == said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name enclosed in double quotes at column 2"),
        ('{"inputs": {}} {"inputs": {}}', "Extra data at column 16"),
        ('{"inputs": {"a": NaN}}', "NaN is not JSON"),
        ('{"inputs": {"a": -Infinity}}', "-Infinity is not JSON"),
        ('{"inputs": {"a": 1e999}}', "1e999 is larger than any number that can be held"),
        ('{"inputs": {}, "inputs": {}}', "the key 'inputs' stands twice"),
        ('{"inputs": {"a": {"b": 1, "b": 2}}}', "the key 'b' stands twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_line_that_is_not_json_is_named(tmp_path: Path, text: str, reason: str) -> None:
    said = refusal(tmp_path, f'{{"inputs": {{}}}}\n{text}')
    assert said.startswith(f", line 2: this is not JSON: {reason}. Each row stands on one line, such as ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- inputs: {}\n- id: a\n  inputs: x", f", line 3: write {FORM}; this is the text 'x'."),
        ("- id: a\n- 3", f", line 1: the row has no `inputs`; write {FORM}."),
        ("cases:\n- inputs: {}\n  tag: [a]", None),
        ("- inputs: {}\n  tags:\n  - a\n  - 1", ", line 4: a tag must be text, not the number 1."),
        (
            "cases:\n- id: a\n  inputs: {}\n- inputs: {}\n  id: a",
            ", line 4: the id 'a' stands in line 2 already; ids must differ.",
        ),
        (
            "- inputs: {}\n  expected: 2026-01-01",
            ', line 2: YAML reads 2026-01-01 as another value; quote it: "2026-01-01".',
        ),
        ("- inputs: {}\n  inputs: {}", ", line 2: the key 'inputs' stands twice."),
        ("rows: []", ", line 1: 'rows' is not known here; write `cases:` and a list."),
        ("cases: {a: 1}", ", line 1: write a list of rows; this is a mapping."),
        ("{}", ", line 1: write a list of rows; this is null."),
        ("hello", ", line 1: write a list of rows; this is the text 'hello'."),
    ],
)
def test_a_wrong_row_in_yaml_is_named_with_its_line(tmp_path: Path, text: str, said: str | None) -> None:
    expected = said or (
        ", line 3: a row has no key 'tag'. Did you mean 'tags'? What is yours alone goes under `metadata`."
    )
    assert refusal(tmp_path, text, "set.yml") == expected


@pytest.mark.parametrize(
    ("name", "text"), [("set.jsonl", ""), ("set.jsonl", "\n \n"), ("set.yml", "cases: []")]
)
def test_a_set_without_rows_is_refused(tmp_path: Path, name: str, text: str) -> None:
    assert refusal(tmp_path, text, name).startswith(' holds no rows. Write one, such as {"id": ')


@pytest.mark.parametrize("name", ["set.csv", "set.json", "set"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, "", name)
    assert said == " is not a golden set: its name must end with .jsonl, .yml, .yaml."


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"none\.jsonl cannot be read: No such file or directory\."):
        read_golden(tmp_path / "none.jsonl")


@SAME_FOLDER
@given(data=st.binary(max_size=60) | st.lists(JSON, max_size=3).map(lambda rows: lines(rows).encode()))
@pytest.mark.parametrize("name", ["set.jsonl", "set.yml"])
def test_any_file_gives_a_set_or_one_message(tmp_path: Path, name: str, data: bytes) -> None:
    said = ""
    try:
        read(tmp_path, data, name)
    except MisuseError as error:
        said = str(error)
    assert said == "" or said.startswith(str(tmp_path / name))
