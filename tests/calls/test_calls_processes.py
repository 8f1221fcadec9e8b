from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from fake_endpoint import HANG, Endpoint, echo

from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.tally import Tally

ASKER = """
import asyncio, sys
from pathlib import Path
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import Request
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.providers.openai import OpenAIProvider

path, session, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def request(number):
    message = {"role": "user", "content": f"question {number}"}
    return Request(provider="openai", model="m", messages=(message,))

async def main():
    client = Client(
        cache=Cache(path, session=session),
        ledger=Ledger(path, session=session),
        provider_of=lambda name: OpenAIProvider(),
    )
    answers = await asyncio.gather(*(client.acall(request(number)) for number in range(count)))
    await client.aclose()
    assert client.warnings == []
    print([answer.text for answer in answers])

asyncio.run(main())
"""

EXPECTED = str([f"question {number}" for number in range(50)])


def asker(path: Path, endpoint: Endpoint, *, session: str = "s", count: int = 50) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", ASKER, str(path), session, str(count)],
        env={**os.environ, **endpoint.environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def told(child: subprocess.Popen[str]) -> str:
    output, _ = child.communicate()
    assert child.returncode == 0
    return output.strip()


def tally(path: Path, session: str) -> Tally:
    ledger = Ledger(path, session=session)
    try:
        return ledger.tally()
    finally:
        ledger.close()


def test_processes_that_ask_the_same_make_each_call_once(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "local" / "cache.sqlite"
    children = [asker(path, endpoint) for _ in range(3)]

    assert [told(child) for child in children] == [EXPECTED] * 3
    assert sorted(endpoint.texts) == sorted(f"question {number}" for number in range(50))
    spent = tally(path, "s")
    assert (spent.calls, spent.failed, spent.saved) == (50, 0, 0)
    assert (spent.input_tokens, spent.output_tokens) == (350, 150)

    # A later session finds them all, and two processes of it save each call once.
    later = [asker(path, endpoint, session="t") for _ in range(2)]
    assert [told(child) for child in later] == [EXPECTED] * 2
    assert len(endpoint.seen) == 50
    assert tally(path, "t") == Tally(saved=50)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a dead process is known by its silence only")
def test_a_killed_process_loses_no_answer_and_leaves_no_claim(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "local" / "cache.sqlite"
    endpoint.script(*[echo] * 20)
    endpoint.otherwise = HANG
    first = asker(path, endpoint)
    # 32 at once: when all 50 have come, 20 are answered and 30 claims are held.
    endpoint.wait_for(50)
    first.kill()
    first.communicate()
    kept = stored_texts(path)
    assert len(kept) == 20

    endpoint.otherwise = echo
    assert told(asker(path, endpoint)) == EXPECTED
    assert len(endpoint.seen) == 50 + 30
    assert [endpoint.texts.count(text) for text in kept] == [1] * 20


def stored_texts(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT response FROM answers").fetchall()
    connection.close()
    return {json.loads(data)["text"] for (data,) in rows}
