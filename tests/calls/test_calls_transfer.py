"""Carry answers from one cache to another, through files that may be damaged."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.exchange import Response, Timing, Usage
from pytest_llmops.calls.transfer import Exported, Imported, export_answers, import_answers
from pytest_llmops.errors import MisuseError

ANSWER = Response(
    text="Hi \ud800 \u2028\nthere",
    model="m",
    finish_reason="stop",
    tool_calls=({"id": "c1", "function": {"name": "f", "arguments": "{}"}},),
    usage=Usage(input_tokens=3, output_tokens=None),
    timing=Timing(seconds=1.5, ttft=1.0),
    request_id="req-1",
)

IMPORTER = """
import sys
from pathlib import Path
from pytest_llmops.calls.transfer import import_answers
done = import_answers(Path(sys.argv[1]), Path(sys.argv[2]))
print(done.new, done.known)
"""


def put(path: Path, **answers: Response) -> Path:
    with closing(Cache(path, session="one")) as cache:
        for key, response in answers.items():
            cache.put(key, response)
    return path


def kept(path: Path) -> dict[str, Response]:
    with closing(sqlite3.connect(path)) as connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM answers")]
    with closing(Cache(path, session="other")) as cache:
        hits = {key: cache.get(key) for key in keys}
    assert not any(hit.this_session for hit in hits.values() if hit)
    return {key: hit.response for key, hit in hits.items() if hit}


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.jsonl.gz"])
def test_answers_arrive_as_they_left(tmp_path: Path, name: str) -> None:
    here = put(tmp_path / "here" / "cache.sqlite", b=ANSWER, a=Response(text="", model="n"))
    there = tmp_path / "there" / "cache.sqlite"

    assert export_answers(here, tmp_path / name) == Exported(answers=2, damaged=0)
    assert import_answers(there, tmp_path / name) == Imported(new=2, known=0)
    assert kept(there) == kept(here) == {"a": Response(text="", model="n"), "b": ANSWER}
    # What was asked elsewhere was not asked by any session here, and keeps its date.
    assert import_answers(there, tmp_path / name) == Imported(new=0, known=2)
    again = tmp_path / f"again-{name}"
    export_answers(there, again)
    assert again.read_bytes() == (tmp_path / name).read_bytes()
    assert not list(tmp_path.glob(".*"))
    # gzip writes the time of day into these bytes, where it is let.
    assert not name.endswith(".gz") or again.read_bytes()[4:8] == bytes(4)


def test_each_line_is_one_answer_by_key(tmp_path: Path) -> None:
    here = put(tmp_path / "cache.sqlite", **dict.fromkeys("cab", ANSWER))
    export_answers(here, tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_bytes().decode("utf-8", "surrogatepass").split("\n")
    assert lines.pop() == ""
    rows = [json.loads(line) for line in lines]
    assert [row["key"] for row in rows] == ["a", "b", "c"]
    assert all(set(row) == {"key", "response", "checksum", "created"} for row in rows)
    assert rows[0]["response"]["text"] == ANSWER.text


@given(
    st.lists(
        st.builds(Response, text=st.text(st.characters(categories=None)), model=st.text()),
        min_size=1,
        max_size=5,
    )
)
def test_any_answer_survives(tmp_path_factory: pytest.TempPathFactory, answers: list[Response]) -> None:
    folder = tmp_path_factory.mktemp("any")
    here = put(folder / "here.sqlite", **{str(number): answer for number, answer in enumerate(answers)})
    export_answers(here, folder / "a.jsonl")
    import_answers(folder / "there.sqlite", folder / "a.jsonl")
    assert kept(folder / "there.sqlite") == {str(number): answer for number, answer in enumerate(answers)}


def test_damaged_answers_are_left_out(tmp_path: Path) -> None:
    here = put(tmp_path / "cache.sqlite", a=ANSWER, b=ANSWER)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("UPDATE answers SET response = substr(response, 2) WHERE key = 'a'")
    assert export_answers(here, tmp_path / "a.jsonl") == Exported(answers=1, damaged=1)
    assert import_answers(tmp_path / "there.sqlite", tmp_path / "a.jsonl") == Imported(new=1, known=0)


def test_a_sound_answer_stays_and_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    here = put(tmp_path / "here.sqlite", a=ANSWER, b=ANSWER)
    there = put(tmp_path / "there.sqlite", a=Response(text="own", model="m"), b=ANSWER)
    with closing(sqlite3.connect(there)) as connection, connection:
        connection.execute("UPDATE answers SET checksum = x'00' WHERE key = 'b'")
    export_answers(here, tmp_path / "a.jsonl")
    assert import_answers(there, tmp_path / "a.jsonl") == Imported(new=1, known=1)
    assert kept(there) == {"a": Response(text="own", model="m"), "b": ANSWER}


def lost_key(line: bytes) -> bytes:
    return line.replace(b'"key"', b'"kee"')


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda line: line.replace(b"there", b"theirs"), "its checksum does not fit"),
        (lambda line: line[:40], ""),
        (lambda line: b"[]", "it must hold checksum, created, key, response"),
        (lambda line: b"\xff\xfe", ""),
        (lambda line: line.replace(b'"finish_reason"', b'"finish"'), "its checksum does not fit"),
        (lambda line: line.replace(b'"key":"b"', b'"key":7'), ""),
        (lambda line: line.replace(b'"created":', b'"created":"x",'), ""),
        (lost_key, "it must hold checksum, created, key, response"),
    ],
    ids=["text", "cut", "list", "bytes", "field", "key", "twice", "name"],
)
def test_a_damaged_line_is_named_and_nothing_is_added(
    tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    here = put(tmp_path / "here.sqlite", a=ANSWER, b=ANSWER, c=ANSWER)
    source = tmp_path / "a.jsonl"
    export_answers(here, source)
    first, second, third, end = source.read_bytes().split(b"\n")
    assert damage(second) != second
    source.write_bytes(b"\n".join([first, damage(second), third, end]))
    with pytest.raises(MisuseError) as caught:
        import_answers(tmp_path / "there.sqlite", source)
    message = str(caught.value)
    assert message.startswith(f"{source}, line 2 is not an answer as `llmops cache export` writes it")
    assert reason in message
    assert message.endswith("Nothing was imported.")
    assert not (tmp_path / "there.sqlite").exists()


def test_a_file_that_cannot_be_read_is_one_clear_message(tmp_path: Path) -> None:
    whole = gzip.compress(b"x" * 1000)
    for name, content in {"cut.gz": whole[:-12], "wrong.gz": whole[:12] + b"0000" + whole[16:]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MisuseError, match=rf"{name} cannot be read: .* Nothing was imported\."):
            import_answers(tmp_path / "there.sqlite", tmp_path / name)
    with pytest.raises(MisuseError, match=r"none.jsonl cannot be read: No such file or directory"):
        import_answers(tmp_path / "there.sqlite", tmp_path / "none.jsonl")


def test_a_target_of_another_kind_is_refused(tmp_path: Path) -> None:
    here = put(tmp_path / "cache.sqlite", a=ANSWER)
    with pytest.raises(MisuseError, match=r"neither a \.jsonl nor a \.jsonl\.gz file"):
        export_answers(here, here)
    assert kept(here) == {"a": ANSWER}


def test_a_cache_that_cannot_be_made_is_one_clear_message(tmp_path: Path) -> None:
    here = put(tmp_path / "cache.sqlite", a=ANSWER)
    export_answers(here, tmp_path / "a.jsonl")
    with pytest.raises(MisuseError, match=r"cannot be made\. Mend the permissions"):
        import_answers(tmp_path / "a.jsonl" / "cache.sqlite", tmp_path / "a.jsonl")


def test_processes_that_import_at_once_add_each_answer_once(tmp_path: Path) -> None:
    here = put(tmp_path / "here.sqlite", **{f"k{number}": ANSWER for number in range(300)})
    source, there = tmp_path / "a.jsonl.gz", tmp_path / "there" / "cache.sqlite"
    export_answers(here, source)
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", IMPORTER, str(there), str(source)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    told = sorted(child.communicate()[0].split() for child in children)
    assert told == [["0", "300"], ["0", "300"], ["300", "0"]]
    assert len(kept(there)) == 300
