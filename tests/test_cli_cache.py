"""Drive `llmops cache` as a user does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.database import VERSION
from pytest_llmops.calls.exchange import Response, Usage
from pytest_llmops.cli import main

SHOWN = ".llmops/local/cache.sqlite"

SETTINGS = '[prices]\n"dear" = { input = 1.0, output = 10.0 }\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "llmops.toml").write_text(SETTINGS)
    (tmp_path / "evals").mkdir()
    monkeypatch.chdir(tmp_path / "evals")
    return tmp_path


def put(project: Path, *keys: str, model: str = "dear") -> None:
    with closing(Cache(project / SHOWN, session="s")) as cache:
        for key in keys:
            usage = Usage(input_tokens=123_456, output_tokens=1000)
            cache.put(key, Response(text="yes", model=model, usage=usage))


def damage(project: Path, key: str) -> None:
    with closing(sqlite3.connect(project / SHOWN)) as connection, connection:
        connection.execute("UPDATE answers SET checksum = x'00' WHERE key = ?", (key,))


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(("cache", *arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("command", [("stats",), ("prune", "--all"), ("verify",)])
def test_without_a_cache_there_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    line = f"No answers are kept in {SHOWN}: the first run makes the file.\n"
    assert ran(capsys, *command) == (0, line, "")
    assert not (project / ".llmops").exists()


def test_the_table_fits_80_columns_whatever_models_are_called(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(project, "a", "b")
    put(project, "c", model="smollm2-135m")
    put(project, "d", model="\x1b[31m::error::" + "very-long-name-" * 10)
    damage(project, "b")
    code, out, err = ran(capsys, "stats")
    assert (code, err) == (0, "")
    head, empty, header, rule, *rows, last = out.splitlines()
    assert head.startswith(f"{SHOWN}: 3 answers, ")
    assert head.endswith(" UTC")
    assert (empty, set(rule)) == ("", {"-"})
    assert header.split("  ")[0] == "model"
    assert max(map(len, out.splitlines())) <= 80
    assert rows[0].startswith("\\x1b[31m")
    assert [row.split()[1] for row in rows] == ["1", "1", "1", "3"]
    # 123,456 tokens at $1 and 1,000 at $10 a million; the embedded model is free; the other has no price.
    assert [row.split()[-1] for row in rows[:3]] == ["unknown", "$0.13", "$0.00"]
    assert rows[3].split()[:4] == ["all", "3", "370,368", "3,000"]
    assert rows[3].endswith("$0.13 or more")
    assert last == "1 damaged answer: `llmops cache verify` names them."


def test_prune_says_what_it_would_do_and_what_it_did(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(project, "a", "b")
    put(project, "c", model="other")
    assert ran(capsys, "prune", "--model", "dear", "--dry-run") == (0, "2 answers would be removed.\n", "")
    assert ran(capsys, "prune", "--older-than", "1h")[1].startswith("0 answers removed, ")
    assert ran(capsys, "prune", "--model", "dear")[1].startswith("2 answers removed, ")
    assert ran(capsys, "prune", "--max-size", "1GB")[1].startswith("0 answers removed, ")
    assert ran(capsys, "prune", "--max-size", "1KB")[1].startswith("1 answer removed, ")
    assert ran(capsys, "stats")[1].startswith(f"{SHOWN}: 0 answers, ")


def test_prune_beside_a_session_says_what_it_left(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(project, "a")
    with closing(Cache(project / SHOWN, session="t")) as cache:
        cache.get("a")
        assert ran(capsys, "prune", "--all") == (
            0,
            "0 answers removed, 0 B freed.\n"
            "1 answer kept: a session that uses the cache just now asked for them.\n",
            "",
        )
        with closing(sqlite3.connect(project / SHOWN)) as connection, connection:
            connection.execute("UPDATE answers SET created = 0")
        assert ran(capsys, "prune", "--all") == (
            0,
            "1 answer removed, 0 B freed.\n"
            "The file is in use, so it keeps its size; new answers fill the room.\n",
            "",
        )


def test_answers_travel_to_another_project(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(project, "a", "b", "c")
    damage(project, "c")
    code, out, err = ran(capsys, "export", "../warm.jsonl.gz")
    assert (code, out) == (0, "2 answers exported to ../warm.jsonl.gz\n")
    assert err == "llmops: 1 damaged answer left out: `llmops cache verify` names them.\n"
    other = project / "other"
    other.mkdir()
    (other / "llmops.toml").touch()
    monkeypatch.chdir(other)
    assert ran(capsys, "import", "../warm.jsonl.gz") == (0, "2 answers added, 0 already there\n", "")
    assert ran(capsys, "import", "../warm.jsonl.gz") == (0, "0 answers added, 2 already there\n", "")
    assert (other / ".llmops" / ".gitignore").exists()


def test_verify_ends_with_1_until_what_is_damaged_is_gone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(project, "a", "b")
    assert ran(capsys, "verify") == (0, f"{SHOWN}: 2 sound answers, 0 damaged\n", "")
    damage(project, "b")
    code, out, _ = ran(capsys, "verify")
    assert code == 1
    assert out.splitlines()[:2] == ["damaged: b", f"{SHOWN}: 1 sound answer, 1 damaged"]
    assert ran(capsys, "verify", "--repair")[:2] == (
        0,
        f"removed: b\n{SHOWN}: 1 sound answer, 1 damaged\n",
    )
    assert ran(capsys, "verify")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune"], "Say which answers to remove"),
        (["prune", "--all", "--model", "dear"], "Say which answers to remove"),
        (["prune", "--model", "deer"], "Did you mean 'dear'?"),
        (["export", "warm.json"], "is neither a .jsonl nor a .jsonl.gz file"),
        (["import", "none.jsonl"], "none.jsonl cannot be read: No such file"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    put(project, "a")
    code, out, err = ran(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("llmops: ")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"something else entirely", "is not a SQLite file. Delete it or move it away"),
        (None, f"is of another version of pytest-llmops (form 1, here {VERSION})"),
    ],
)
@pytest.mark.parametrize("command", ["stats", "prune --all", "verify", "export a.jsonl", "import a.jsonl"])
def test_a_file_that_is_not_ours_is_one_message(
    project: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str, command: str
) -> None:
    path = project / SHOWN
    path.parent.mkdir(parents=True)
    Path("a.jsonl").touch()
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 1")
    else:
        path.write_bytes(content)
    code, out, err = ran(capsys, *command.split())
    # An older file is left alone, and answers that come from outside go into one beside it.
    if command.startswith("import") and content is None:
        assert (code, out, err) == (0, "0 answers added, 0 already there\n", "")
        return
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--older-than", "30"], "write 12h, 30d or 8w"), (["--max-size", "big"], "write 800KB, 500MB or 2GB")],
)
def test_an_age_and_a_size_need_units(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["cache", "prune", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
