"""Post results to a board from a process of its own: path, session, first number, how many."""

from __future__ import annotations

import sys
from pathlib import Path

from runs_built import result

from pytest_llmops.runs.board import Board


def main(path: str, session: str, first: str, count: str) -> None:
    board = Board(Path(path), session=session)
    for number in range(int(first), int(first) + int(count)):
        board.post(result(number, {"passed": 1.0}), [result(number, {"passed": 0.0}, asked="control")])
    board.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
