from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.store.canonical import digest_text
from pytest_llmops.store.objects import Objects


def read(text: str) -> tuple[str, str]:
    return text, digest_text(text)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / ".llmops")


def put(objects: Objects, text: str) -> str:
    objects.put("runs", digest_text(text), text, suffix=".jsonl")
    return digest_text(text)


def test_an_object_comes_back_as_it_was_put(objects: Objects) -> None:
    digest = put(objects, "a\nb €\n")
    assert objects.get("runs", digest, suffix=".jsonl", read=read) == "a\nb €\n"
    assert (objects.root / "runs" / f"{digest}.jsonl").read_bytes() == "a\nb €\n".encode()


def test_reading_makes_no_file(objects: Objects) -> None:
    assert objects.digests("runs", suffix=".jsonl") == []
    assert objects.folders("prompts") == []
    with pytest.raises(MisuseError):
        objects.find("runs", "abcdef", suffix=".jsonl")
    assert not objects.root.exists()


def test_the_first_write_explains_the_folder_and_ignores_what_is_local(objects: Objects) -> None:
    put(objects, "x")
    assert sorted(path.name for path in objects.root.iterdir()) == [".gitignore", "README.md", "runs"]
    assert "local/" in (objects.root / ".gitignore").read_text().splitlines()
    assert "commit this folder" in (objects.root / "README.md").read_text()


def test_a_changed_readme_stays(objects: Objects) -> None:
    put(objects, "x")
    (objects.root / "README.md").write_text("ours")
    (objects.root / ".gitignore").write_text("local/\nmore\n")
    put(objects, "y")
    assert (objects.root / "README.md").read_text() == "ours"
    assert (objects.root / ".gitignore").read_text() == "local/\nmore\n"


def test_a_deleted_readme_stays_deleted(objects: Objects) -> None:
    put(objects, "x")
    (objects.root / "README.md").unlink()
    put(objects, "y")
    assert not (objects.root / "README.md").exists()


def test_an_object_is_written_once(objects: Objects) -> None:
    objects.put("runs", "a" * 64, "first", suffix=".json")
    objects.put("runs", "a" * 64, "second", suffix=".json")
    assert (objects.root / "runs" / f"{'a' * 64}.json").read_text() == "first"


def test_line_ends_of_a_windows_checkout_do_no_damage(objects: Objects) -> None:
    digest = put(objects, "a\nb\n")
    (objects.root / "runs" / f"{digest}.jsonl").write_bytes(b"a\r\nb\r\n")
    assert objects.get("runs", digest, suffix=".jsonl", read=read) == "a\nb\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"other", "its content has the digest"), (b"", "its content"), (b"\xff", "byte 0 is not UTF-8")],
)
def test_a_damaged_object_is_named_with_the_way_out(objects: Objects, content: bytes, reason: str) -> None:
    digest = put(objects, "x")
    path = objects.root / "runs" / f"{digest}.jsonl"
    path.write_bytes(content)
    with pytest.raises(DamagedError) as caught:
        objects.get("runs", digest, suffix=".jsonl", read=read)
    assert str(caught.value).startswith(f"{path} is damaged: {reason}")
    assert f"git checkout -- {path}" in str(caught.value)


@pytest.mark.parametrize("error", [KeyError("x"), ValueError(), TypeError("x"), RecursionError("x")])
def test_what_cannot_be_read_is_damaged(objects: Objects, error: Exception) -> None:
    def fail(text: str) -> tuple[str, str]:
        raise error

    digest = put(objects, "x")
    with pytest.raises(DamagedError, match=digest):
        objects.get("runs", digest, suffix=".jsonl", read=fail)


def test_the_reader_s_own_message_gets_the_file(objects: Objects) -> None:
    def fail(text: str) -> tuple[str, str]:
        raise MisuseError("A newer version wrote this.")

    digest = put(objects, "x")
    with pytest.raises(MisuseError, match=rf"{digest}\.jsonl: A newer version wrote this\.") as caught:
        objects.get("runs", digest, suffix=".jsonl", read=fail)
    assert type(caught.value) is MisuseError


def test_a_folder_in_place_of_an_object_is_damage(objects: Objects) -> None:
    (objects.root / "runs" / f"{'a' * 64}.jsonl").mkdir(parents=True)
    with pytest.raises(DamagedError, match=r"aaaa\.jsonl is damaged"):
        objects.get("runs", "a" * 64, suffix=".jsonl", read=read)


def test_short_digests_find_the_one_object(objects: Objects) -> None:
    objects.put("runs", "abcdef0" + "0" * 57, "1", suffix=".jsonl")
    objects.put("runs", "abcdef1" + "0" * 57, "2", suffix=".jsonl")
    objects.put("runs", "abcdef1" + "0" * 57, "3", suffix=".meta.jsonl")
    assert objects.find("runs", "abcdef1", suffix=".jsonl") == "abcdef1" + "0" * 57
    assert objects.find("runs", "abcdef0" + "0" * 57, suffix=".jsonl") == "abcdef0" + "0" * 57
    with pytest.raises(MisuseError, match=r"2 objects in .* 'abcdef': abcdef0.*, abcdef1.*more digits"):
        objects.find("runs", "abcdef", suffix=".jsonl")
    with pytest.raises(MisuseError, match=r"begins with 'abcdef2'. Stored: abcdef000000, abcdef100000\."):
        objects.find("runs", "abcdef2", suffix=".jsonl")


@pytest.mark.parametrize("prefix", ["", "abcde", "ABCDEF", "abcdeg", "*", "abcdef*", "../../abc", "a" * 65])
def test_what_is_no_short_digest_is_refused(objects: Objects, prefix: str) -> None:
    put(objects, "x")
    with pytest.raises(MisuseError, match="is not a digest: write at least 6 of its hex digits"):
        objects.find("runs", prefix, suffix=".jsonl")


def test_long_lists_of_candidates_are_cut(objects: Objects) -> None:
    for number in range(13):
        objects.put("runs", f"{number:06x}" + "f" * 58, "x", suffix=".jsonl")
    with pytest.raises(MisuseError, match=r"Stored: 000000ffffff, .*, 000009ffffff and 3 more\."):
        objects.find("runs", "eeeeee", suffix=".jsonl")


def test_an_unknown_object_is_told_from_a_damaged_one(objects: Objects) -> None:
    with pytest.raises(MisuseError, match=r"does not exist\. Nothing is stored there\.") as caught:
        objects.get("runs", "a" * 64, suffix=".jsonl", read=read)
    assert type(caught.value) is MisuseError


@pytest.mark.parametrize("digest", ["", "abcdef", "A" * 64, "../" + "a" * 61])
def test_objects_have_whole_digests(objects: Objects, digest: str) -> None:
    with pytest.raises(MisuseError, match="is not a digest of 64 hex digits"):
        objects.put("runs", digest, "x", suffix=".jsonl")
    assert not objects.root.exists()


@pytest.mark.parametrize("folder", ["..", "../other", "runs/../../x", "/etc"])
def test_nothing_outside_the_folder_is_written(objects: Objects, folder: str) -> None:
    with pytest.raises(MisuseError, match="leads out of"):
        objects.put(folder, "a" * 64, "x", suffix=".jsonl")
    assert not objects.root.exists()


def test_no_link_leads_out_of_the_folder(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    secret = tmp_path / "outside" / f"{digest_text('x')}.jsonl"
    secret.write_text("x")
    put(objects, "y")
    (objects.root / "prompts").symlink_to(tmp_path / "outside")
    (objects.root / "runs" / secret.name).symlink_to(secret)
    for folder in ("prompts", "runs"):
        with pytest.raises(MisuseError, match="leads out of"):
            objects.get(folder, digest_text("x"), suffix=".jsonl", read=read)
    with pytest.raises(MisuseError, match="leads out of"):
        objects.put("prompts", "a" * 64, "x", suffix=".jsonl")


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / ".llmops").symlink_to(tmp_path / "disk")
    objects = Objects(tmp_path / ".llmops")
    assert objects.get("runs", put(objects, "x"), suffix=".jsonl", read=read) == "x"
