from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.source import check_value, described, source_lines, source_text


@pytest.mark.parametrize("data", [b"a\nb\n", b"a\r\nb", b"\xef\xbb\xbfa\nb", b"a\r\nb\r\n"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert source_text(tmp_path / "file") == "a\nb\n"


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("a\u2028b\x0cc\x85d\re\n\nf".encode())
    assert list(source_lines(tmp_path / "file")) == ["a\u2028b\x0cc\x85d\re", "", "f"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a\nb \xff\n", "line 2: byte 3 of the line (0xff) is not UTF-8. Save the file as UTF-8."),
        (b"\xef\xbb\xbfa\x80", "line 1: byte 2 of the line (0x80) is not UTF-8. Save the file as UTF-8."),
        ("a".encode("utf-16"), "line 1: byte 1 of the line (0xff) is not UTF-8. Save the file as UTF-8."),
        (b"\xed\xa0\x80", "line 1: byte 1 of the line (0xed) is not UTF-8. Save the file as UTF-8."),
    ],
)
def test_bad_utf8_is_named_with_line_and_byte(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(MisuseError) as caught:
        source_text(tmp_path / "file")
    assert str(caught.value) == f"{tmp_path / 'file'}, {said}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"none cannot be read: No such file or directory\."):
        source_text(tmp_path / "none")
    with pytest.raises(MisuseError, match=r"cannot be read: Is a directory\."):
        source_text(tmp_path)


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_values_that_can_be_carried_pass() -> None:
    check_value({"a": [1, 2.5, None, True, "\U0001f600"], "b": nested(99)})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1e999], "inf is not a number that JSON can hold"),
        ({"a": "x\ud800"}, "half a surrogate pair"),
        ({"\udfff": 1}, "half a surrogate pair"),
        (nested(101), "nested more than 100 levels deep"),
    ],
)
def test_values_that_cannot_be_carried_are_refused(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_value(value)  # type: ignore[arg-type]


def test_values_are_described_briefly() -> None:
    values = [None, True, False, 1.5, "x" * 99, {}, []]
    assert [described(value) for value in values] == [
        "null",
        "true",
        "false",
        "the number 1.5",
        f"the text '{'x' * 40}'",
        "a mapping",
        "a list",
    ]
