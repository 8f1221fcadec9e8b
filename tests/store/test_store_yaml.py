from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.yaml_file import YamlFile, read_yaml

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SAME_FOLDER = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def read(folder: Path, text: str) -> YamlFile:
    path = folder / "file.yml"
    path.write_bytes(text.encode())
    return read_yaml(path)


def attempt(folder: Path, data: bytes) -> tuple[YamlFile | None, str]:
    path = folder / "file.yml"
    path.write_bytes(data)
    try:
        return read_yaml(path), ""
    except MisuseError as error:
        return None, str(error)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(MisuseError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(str(folder / "file.yml"))


@SAME_FOLDER
@given(value=JSON, flow=st.booleans())
def test_what_yaml_writes_is_read_back(tmp_path: Path, value: object, flow: bool) -> None:
    text = yaml.safe_dump({"a": value}, default_flow_style=flow)
    assert read(tmp_path, text).value == {"a": value}


@SAME_FOLDER
@given(text=st.text(alphabet=st.sampled_from("ab01 :-#&*|>'\"%@`{}[],?\n\t~.\\<")))
def test_any_text_gives_what_yaml_gives_or_one_message(tmp_path: Path, text: str) -> None:
    file, said = attempt(tmp_path, text.encode())
    assert (file is None) == said.startswith(str(tmp_path / "file.yml"))
    if file is not None:
        assert file.value == yaml.load(text + "\n", Loader=LOADER)


@SAME_FOLDER
@given(data=st.binary())
def test_any_bytes_give_a_value_or_one_message(tmp_path: Path, data: bytes) -> None:
    file, said = attempt(tmp_path, data)
    assert (file is None) == said.startswith(str(tmp_path / "file.yml"))


def test_every_part_has_a_line(tmp_path: Path) -> None:
    file = read(
        tmp_path, "# first\na:\n  - x\n  - y: |\n\n      text\n      more\n  - &n [1,\n     2]\nb: *n\n"
    )
    assert file.value == {"a": ["x", {"y": "\ntext\nmore\n"}, [1, 2]], "b": [1, 2]}
    lines = {
        place: file.line(*place)
        for place in [("a",), ("a", 0), ("a", 1), ("a", 1, "y"), ("a", 2, 1), ("b", 1)]
    }
    assert list(lines.values()) == [2, 3, 4, 4, 9, 10]
    assert file.at("a", 1) == f"{tmp_path / 'file.yml'}, line 4"
    assert file.at("a", 7, "unknown").endswith(", line 2")
    assert [file.in_text(line, "a", 1, "y").rpartition(" ")[2] for line in (1, 2, 3)] == ["5", "6", "7"]
    assert file.in_text(1, "a", 0).endswith(", line 3")


def test_a_text_below_its_key_has_its_own_line(tmp_path: Path) -> None:
    file = read(tmp_path, "a:\n  plain\n")
    assert (file.at("a")[-1], file.in_text(1, "a")[-1]) == ("1", "2")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: =", "="),
        ("a: ! 1", "1"),
        ("a: !!str 1", "1"),
        ('a: "2020-01-01"', "2020-01-01"),
        ('a: "010"', "010"),
        ("a: 0", 0),
        ("a: 0x1F", 31),
        ("a: 1.50", 1.5),
        ("a: &x {}", {}),
        ("a: v1.2:3", "v1.2:3"),
        ("a:", None),
    ],
)
def test_values_that_need_no_quotes(tmp_path: Path, text: str, value: object) -> None:
    assert read(tmp_path, text).value == {"a": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", " is empty."),
        (" \n\t\n", " is empty."),
        ("# only\n", " holds nothing but comments."),
        ("a: 1\n---\nb: 2", ", line 2: a second document begins; a file holds one."),
        ("a: 2020-01-01", ', line 1: YAML reads 2020-01-01 as another value; quote it: "2020-01-01".'),
        ("a:\n- 12:30", ', line 2: YAML reads 12:30 as another value; quote it: "12:30".'),
        ("a: 010", ', line 1: YAML reads 010 as another value; quote it: "010".'),
        ("a: .nan", ", line 1: .nan is not a number that JSON can hold; write null, or quote it."),
        ("a: -.inf", ", line 1: -.inf is not a number that JSON can hold; write null, or quote it."),
        ("a: 1\nb: 2\na: 3", ", line 3: the key 'a' stands twice."),
        ("a: {b: 1, b: 2}", ", line 1: the key 'b' stands twice."),
        ("1: x", ', line 1: a key must be text; quote it: "1".'),
        ("yes: x", ', line 1: a key must be text; quote it: "yes".'),
        ("<<: {a: 1}", ", line 1: merge keys (<<) are not read; write the keys out."),
        ("a: !!int x", ", line 1: 'x' is not of the kind int."),
        ("a: !mine x", ", line 1: the tag !mine is not read; write a plain value."),
        ("a: !!set {x}", ", line 1: the tag tag:yaml.org,2002:set is not read; write a plain value."),
        ("a: !!binary aGk=", ", line 1: the tag tag:yaml.org,2002:binary is not read; write a plain value."),
        ("a: *b", ", line 1: *b stands for nothing that is complete before it."),
        ("a: &b [*b]", ", line 1: *b stands for nothing that is complete before it."),
        ("a:\n  b\x07", ", line 2: YAML cannot hold the character U+0007."),
    ],
)
def test_what_is_refused_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text) == said


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: {{ x }}", ", line 1: a key must be text."),
        ("\na: {% if x %}", ", line 2: this is not YAML: "),
        ("a: b: c", ", line 1: this is not YAML: mapping values are not allowed"),
        ("a:\n\t- b", ", line 2: this is not YAML: "),
        (
            "a: 'x\n\n\nb",
            ", line 5: this is not YAML: while scanning a quoted scalar that begins in line 1,",
        ),
    ],
)
def test_broken_yaml_is_named_with_its_line_and_the_way_out(tmp_path: Path, text: str, start: str) -> None:
    said = refusal(tmp_path, text)
    assert said.startswith(start)
    assert said.endswith("safest in a block (`key: |`, the text indented below).")


def test_code_in_tags_does_not_run(tmp_path: Path) -> None:
    for tag in ("!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!!python/name:os.mkdir"):
        assert "is not read" in refusal(tmp_path, f"a: {tag} [{tmp_path / 'made'}]")
    assert not (tmp_path / "made").exists()


def test_a_hundred_levels_are_the_limit(tmp_path: Path) -> None:
    deep = read(tmp_path, "[" * 100 + "]" * 100).value
    for _ in range(99):
        (deep,) = deep  # type: ignore[misc]
    assert deep == []
    assert refusal(tmp_path, "[" * 101 + "]" * 101) == ", line 1: nested more than 100 levels deep."
    assert refusal(tmp_path, "[" * 200_000).endswith("nested more than 100 levels deep.")
    assert refusal(tmp_path, "{a: " * 200_000).endswith("nested more than 100 levels deep.")


def test_aliases_that_explode_are_refused(tmp_path: Path) -> None:
    laughs = "a0: &a0 [lol, lol]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)
    )
    assert "the file holds too much, over 20,000,000 characters with aliases" in refusal(tmp_path, laughs)
    text = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 300)}]"
    assert refusal(tmp_path, text).startswith(", line 2: the file holds too much")


def test_an_honest_alias_is_written_out(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &x {b: [1]}\nc: [*x, *x]").value == {"a": {"b": [1]}, "c": [{"b": [1]}] * 2}


def test_the_slow_parser_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x [1, 'two', {three: 3.0}]\nb: |\n  text\nc: *x\n"
    fast = read(tmp_path, text)
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert read(tmp_path, text) == fast
    assert refusal(tmp_path, "a: [\n").startswith(", line 2: this is not YAML: ")
