from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import Request, Response, Usage
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.retry import Retry
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import (
    BadAnswerError,
    CacheMissError,
    FatalCallError,
    MisuseError,
    TransientCallError,
)
from pytest_llmops.providers.scripted import ScriptedProvider

T = TypeVar("T")


def request(text: str = "hello", **changes: Any) -> Request:
    return Request(
        **{"provider": "scripted", "model": "m", "messages": ({"role": "user", "content": text},), **changes}
    )


async def no_wait(seconds: float) -> None:
    await asyncio.sleep(0)


class Gate:
    """Be a provider whose answers wait until the test opens it."""

    def __init__(self, concurrency: int | None = None) -> None:
        self.concurrency = concurrency
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0
        self.asked: list[str] = []
        self.closed = False

    def identity(self, asked: Request) -> Mapping[str, Any]:
        return {}

    async def complete(self, asked: Request) -> Response:
        self.asked.append(str(asked.messages[-1]["content"]))
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return Response(text="through", model="m")

    async def aclose(self) -> None:
        self.closed = True


class Desk:
    """Make clients that share one file, as processes do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledgers: list[Ledger] = []

    def client(
        self, provider: Any, *, session: str = "s", fresh_only: bool = False, **options: Any
    ) -> Client:
        self.ledgers.append(Ledger(self.path, session=session))
        return Client(
            cache=Cache(self.path, session=session, fresh_only=fresh_only),
            ledger=self.ledgers[-1],
            provider_of=lambda name: provider,
            **{"sleep": no_wait, "retry": Retry(sleep=no_wait), **options},
        )

    def tally(self, session: str = "s") -> Tally:
        ledger = Ledger(self.path, session=session)
        self.ledgers.append(ledger)
        return ledger.tally()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "local" / "cache.sqlite")
    yield desk
    for ledger in desk.ledgers:
        ledger.close()


def run(client: Client, work: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            return await work()
        finally:
            await client.aclose()

    return asyncio.run(main())


def ask(client: Client, *requests: Request) -> list[str]:
    async def work() -> list[str]:
        return [(await client.acall(each)).text for each in requests]

    return run(client, work)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - any condition, seen from outside
        await asyncio.sleep(0)


def test_a_second_session_calls_nothing(desk: Desk) -> None:
    model = ScriptedProvider("one two")
    first = ask(desk.client(model), request("a"), request("b"), request("a"))
    second = ask(desk.client(model, session="t"), request("a"), request("b"), request("a"))

    assert first == second == ["one two"] * 3
    assert model.calls == 2
    spent = desk.tally()
    assert (spent.calls, spent.saved, spent.input_tokens, spent.output_tokens) == (2, 0, 2, 4)
    assert desk.tally("t") == Tally(saved=2)


def test_the_digest_holds_what_the_provider_adds(desk: Desk) -> None:
    model = ScriptedProvider("x")
    client = desk.client(model)

    assert client.digest(request()) == request().digest(model.identity(request()))
    assert client.digest(request()) != request().digest({})


def test_one_question_asked_twice_at_once_is_one_call(desk: Desk) -> None:
    gate = Gate()
    client = desk.client(gate)

    async def work() -> list[Response]:
        tasks = [asyncio.create_task(client.acall(request())) for _ in range(5)]
        await until(lambda: gate.inside == 1)
        gate.open.set()
        return await asyncio.gather(*tasks)

    assert [response.text for response in run(client, work)] == ["through"] * 5
    assert gate.asked == ["hello"]
    assert desk.tally().calls == 1


def test_repeats_are_calls_of_their_own(desk: Desk) -> None:
    model = ScriptedProvider("x")
    ask(desk.client(model), request(repeat=1), request(repeat=2), request(repeat=1))

    assert model.calls == 2


@pytest.mark.parametrize(
    "fault", [FatalCallError("No."), BadAnswerError("Cut.", kind="length"), MisuseError("No key.")]
)
def test_faults_are_raised_to_all_and_not_kept(desk: Desk, fault: Exception) -> None:
    async def fail(asked: Request) -> Exception:
        await asyncio.sleep(0)
        return fault

    model = ScriptedProvider(fail)
    client = desk.client(model)

    async def work() -> list[Any]:
        both = await asyncio.gather(client.acall(request()), client.acall(request()), return_exceptions=True)
        return [*both, *await asyncio.gather(client.acall(request()), return_exceptions=True)]

    told = run(client, work)
    assert [str(error) for error in told] == [str(fault)] * 3
    assert {type(error) for error in told} == {type(fault)}
    # Once a session; what nobody asked because of a mistake of the user can be asked when it is mended.
    assert model.calls == (2 if isinstance(fault, MisuseError) else 1)


def test_what_failed_is_asked_again_when_it_is_forgiven(desk: Desk) -> None:
    model = ScriptedProvider({"hello": FatalCallError("No.")})
    client = desk.client(model)

    async def work() -> None:
        for _ in range(2):
            with pytest.raises(FatalCallError):
                await client.acall(request())
        client.forgive()
        with pytest.raises(FatalCallError):
            await client.acall(request())

    run(client, work)
    assert model.calls == 2


def test_a_failed_call_is_not_made_again_by_another_process(desk: Desk) -> None:
    script = {"hello": BadAnswerError("Cut.", kind="length", request_id="r1", output_tokens=3)}
    one, two = ScriptedProvider(script), ScriptedProvider(script)
    with pytest.raises(BadAnswerError):
        ask(desk.client(one), request())
    with pytest.raises(BadAnswerError) as caught:
        ask(desk.client(two), request())

    assert (one.calls, two.calls) == (1, 0)
    assert (caught.value.kind, caught.value.request_id, caught.value.output_tokens) == ("length", "r1", 3)
    # The next session asks anew.
    with pytest.raises(BadAnswerError):
        ask(desk.client(two, session="t"), request())
    assert two.calls == 1


def test_failed_calls_are_counted_with_their_attempts(desk: Desk) -> None:
    script: dict[str, Any] = {
        "fatal": FatalCallError("No."),
        "bad": BadAnswerError("Cut.", kind="length"),
        "busy": TransientCallError("Busy.", retry_after=1000.0),
    }
    client = desk.client(ScriptedProvider(script))

    async def work() -> None:
        for text in script:
            with pytest.raises(type(script[text])):
                await client.acall(request(text))

    run(client, work)
    spent = desk.tally()
    # Only an answer that came and is unusable may have cost something.
    assert (spent.calls, spent.failed, spent.unpriced, spent.saved) == (3, 3, 1, 0)


def test_attempts_that_failed_before_the_answer_are_counted(desk: Desk) -> None:
    replies: list[Any] = [TransientCallError("Busy."), TransientCallError("Busy."), "at last"]
    client = desk.client(ScriptedProvider(lambda _: replies.pop(0)))

    assert ask(client, request()) == ["at last"]
    assert (desk.tally().calls, desk.tally().failed) == (3, 0)


@pytest.mark.parametrize(
    ("provider", "model", "cost", "unpriced"),
    [("openai", "gpt-5-mini", 0.25, 0), ("local", "m", 0.0, 0), ("scripted", "m", 0.0, 1)],
)
def test_the_price_is_counted(desk: Desk, provider: str, model: str, cost: float, unpriced: int) -> None:
    answer = Response(text="x", model=model, usage=Usage(input_tokens=10**6, output_tokens=0))
    ask(desk.client(ScriptedProvider(lambda _: answer)), request(provider=provider, model=model))

    spent = desk.tally()
    assert (spent.cost, spent.unpriced) == (cost, unpriced)


def test_a_stored_answer_needs_no_call(desk: Desk) -> None:
    model = ScriptedProvider("new")
    client = desk.client(model, session="t")
    stored = {client.digest(request("a")): Response(text="stored", model="m")}
    client = desk.client(model, stored=stored.get)

    assert ask(client, request("a"), request("b"), request("a")) == ["stored", "new", "stored"]
    assert model.calls == 1
    assert desk.tally().saved == 1


def test_the_cache_goes_before_stored_answers(desk: Desk) -> None:
    ask(desk.client(ScriptedProvider("cached"), session="t"), request())
    client = desk.client(ScriptedProvider("cached"), stored=lambda key: Response(text="stored", model="m"))

    assert ask(client, request()) == ["cached"]


def test_offline_answers_from_what_is_there_and_calls_nothing(desk: Desk) -> None:
    model = ScriptedProvider("x")
    ask(desk.client(model), request("a"))
    client = desk.client(model, session="t", offline=True)

    async def work() -> str:
        text = (await client.acall(request("a"))).text
        with pytest.raises(CacheMissError) as caught:
            await client.acall(request("b"))
        assert f"scripted:m to this request ({client.digest(request('b'))[:12]})" in str(caught.value)
        return text

    assert run(client, work) == "x"
    assert model.calls == 1


def test_offline_without_a_cache_makes_no_file(desk: Desk) -> None:
    client = desk.client(ScriptedProvider("x"), offline=True)

    with pytest.raises(CacheMissError):
        ask(client, request())
    assert not desk.path.parent.exists()


def test_refresh_calls_again_once_and_renews_the_cache(desk: Desk) -> None:
    count = iter(range(9))
    model = ScriptedProvider(lambda _: f"answer {next(count)}")
    ask(desk.client(model, session="r"), request())
    renewed = ask(desk.client(model, session="s", fresh_only=True), request(), request())
    later = ask(desk.client(model, session="t"), request())

    assert renewed == ["answer 1"] * 2
    assert later == ["answer 1"]
    assert desk.tally("s").saved == 0


@pytest.mark.parametrize(("own", "most"), [(None, 3), (2, 2), (9, 3)])
def test_calls_at_once_are_bounded(desk: Desk, own: int | None, most: int) -> None:
    gate = Gate(concurrency=own)
    client = desk.client(gate, concurrency=3)

    async def work() -> None:
        tasks = [asyncio.create_task(client.acall(request(str(number)))) for number in range(10)]
        await until(lambda: gate.inside == most)
        gate.open.set()
        await asyncio.gather(*tasks)

    run(client, work)
    assert gate.most == most
    assert sorted(gate.asked) == sorted(str(number) for number in range(10))


def test_two_clients_make_one_call(desk: Desk) -> None:
    gate = Gate()
    one, two = desk.client(gate), desk.client(gate)

    async def work() -> list[Response]:
        first = asyncio.create_task(one.acall(request()))
        await until(lambda: gate.inside == 1)
        second = asyncio.create_task(two.acall(request()))
        await asyncio.sleep(0.01)
        gate.open.set()
        both = await asyncio.gather(first, second)
        await two.aclose()
        return both

    assert [response.text for response in run(one, work)] == ["through"] * 2
    assert gate.asked == ["hello"]
    assert desk.tally() == Tally(calls=1, unpriced=1, seconds=desk.tally().seconds)


def test_the_other_client_asks_itself_after_a_failure(desk: Desk) -> None:
    gate, model = Gate(), ScriptedProvider(lambda _: "mine")
    one, two = desk.client(gate), desk.client(model)
    two.digest = one.digest  # type: ignore[method-assign]

    async def work() -> str:
        first = asyncio.create_task(one.acall(request()))
        await until(lambda: gate.inside == 1)
        second = asyncio.create_task(two.acall(request()))
        await asyncio.sleep(0.01)
        assert model.calls == 0
        first.cancel()
        text = (await second).text
        await two.aclose()
        return text

    assert run(one, work) == "mine"


def test_a_cancelled_call_releases_its_claim_and_is_counted(desk: Desk) -> None:
    gate = Gate()
    client = desk.client(gate)
    key = client.digest(request())

    async def work() -> None:
        task = asyncio.create_task(client.acall(request()))
        await until(lambda: gate.inside == 1)
        other = Ledger(desk.path, session="s")
        assert not other.claim(key)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert other.claim(key)
        other.close()

    run(client, work)
    spent = desk.tally()
    assert (spent.calls, spent.failed, spent.unpriced) == (1, 0, 1)


def test_a_follower_takes_over_a_cancelled_call(desk: Desk) -> None:
    gate = Gate()
    client = desk.client(gate)

    async def work() -> tuple[Any, ...]:
        tasks = [asyncio.create_task(client.acall(request())) for _ in range(3)]
        await until(lambda: gate.inside == 1)
        tasks[0].cancel()
        await until(lambda: len(gate.asked) == 2)
        tasks[2].cancel()
        gate.open.set()
        return tuple(await asyncio.gather(*tasks, return_exceptions=True))

    first, second, third = run(client, work)
    assert isinstance(first, asyncio.CancelledError)
    assert second.text == "through"
    assert isinstance(third, asyncio.CancelledError)


def test_a_follower_cancelled_with_its_leader_asks_nothing(desk: Desk) -> None:
    gate = Gate()
    client = desk.client(gate)

    async def work() -> list[Any]:
        tasks = [asyncio.create_task(client.acall(request())) for _ in range(2)]
        await until(lambda: gate.inside == 1)
        for task in tasks:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(each) for each in run(client, work)] == [asyncio.CancelledError] * 2
    assert gate.asked == ["hello"]


def test_an_answer_that_came_just_before_the_claim_is_used(desk: Desk) -> None:
    class LateLedger(Ledger):
        """Claim just after another process has put its answer and released its claim."""

        def claim_all(self, keys: Sequence[str]) -> list[bool]:
            other = Cache(desk.path, session="s")
            other.put_all([(key, Response(text="theirs", model="m")) for key in keys])
            other.close()
            return super().claim_all(keys)

    model = ScriptedProvider("mine")
    ledger = LateLedger(desk.path, session="s")
    client = Client(cache=Cache(desk.path, session="s"), ledger=ledger, provider_of=lambda name: model)

    assert ask(client, request()) == ["theirs"]
    assert model.calls == 0


def test_an_answer_is_on_disk_before_it_is_given(desk: Desk) -> None:
    client = desk.client(ScriptedProvider("x"))

    async def work() -> str:
        await client.acall(request())
        other = Cache(desk.path, session="t")
        hit = other.get(client.digest(request()))
        other.close()
        assert hit is not None
        return hit.response.text

    assert run(client, work) == "x"


def test_closing_closes_the_providers_and_leaves_no_task(desk: Desk) -> None:
    gate = Gate()
    gate.open.set()
    client = desk.client(gate)

    async def main() -> int:
        await client.acall(request())
        await client.aclose()
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert gate.closed


def test_trouble_with_the_file_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "local").write_text("in the way")
    desk = Desk(tmp_path / "local" / "cache.sqlite")
    model = ScriptedProvider("x")
    client = desk.client(model)

    assert ask(client, request(), request()) == ["x", "x"]
    assert model.calls == 1
    assert len(client.warnings) == 1


def test_a_bad_answer_of_the_embedded_model_is_free(desk: Desk) -> None:
    client = desk.client(ScriptedProvider({"hello": BadAnswerError("cut", kind="length")}))

    with pytest.raises(BadAnswerError):
        ask(client, request(provider="local"))

    assert (desk.tally().failed, desk.tally().unpriced) == (1, 0)


def test_draining_ends_what_waits_and_keeps_what_runs(desk: Desk) -> None:
    gate = Gate(concurrency=2)
    client = desk.client(gate)

    async def work() -> list[Any]:
        tasks = [asyncio.create_task(client.acall(request(str(n)))) for n in range(5)]
        await until(lambda: gate.inside == 2)
        client.drain()
        gate.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = run(client, work)
    assert [type(outcome) for outcome in outcomes] == [Response] * 2 + [asyncio.CancelledError] * 3
    assert gate.asked == ["0", "1"]
    later = Gate()
    later.open.set()
    ask(desk.client(later, session="other"), *[request(str(n)) for n in range(3)])
    assert later.asked == ["2"]


def counting() -> ScriptedProvider:
    count = iter(range(99))
    return ScriptedProvider(lambda _: f"answer {next(count)}")


def test_asking_again_calls_once_a_session_and_leaves_the_known_answer(desk: Desk) -> None:
    model = counting()
    assert ask(desk.client(model, session="one"), request()) == ["answer 0"]
    for session, today in (("two", "answer 1"), ("three", "answer 2")):
        client = desk.client(model, session=session)

        async def work(client: Client = client) -> list[str]:
            twice = await asyncio.gather(*(client.acall(request(), again=True) for _ in range(2)))
            later = await client.acall(request(), again=True)
            return [each.text for each in (*twice, later, await client.acall(request()))]

        assert run(client, work) == [today, today, today, "answer 0"]
        assert desk.tally(session).calls == 1


def test_asking_again_passes_over_what_the_baseline_holds(desk: Desk) -> None:
    stored: dict[str, Response] = {}
    client = desk.client(counting(), stored=stored.get)
    stored[client.digest(request())] = Response(text="stored", model="m")

    async def work() -> list[str]:
        return [(await client.acall(request(), again=again)).text for again in (False, True, False)]

    assert run(client, work) == ["stored", "answer 0", "stored"]


def test_another_process_of_the_session_asks_again_no_second_time(desk: Desk) -> None:
    model = counting()
    for _ in range(2):
        client = desk.client(model, session="s")

        async def work(client: Client = client) -> str:
            return (await client.acall(request(), again=True)).text

        assert run(client, work) == "answer 0"
    assert model.calls == 1


def test_asking_again_is_forbidden_offline(desk: Desk) -> None:
    provider = ScriptedProvider("known")
    assert ask(desk.client(provider, session="one"), request()) == ["known"]
    client = desk.client(provider, session="two", offline=True)

    async def work() -> None:
        await client.acall(request(), again=True)

    with pytest.raises(CacheMissError):
        run(client, work)
    assert provider.calls == 1


def test_an_answer_asked_again_saves_nothing(desk: Desk) -> None:
    ask(desk.client(ScriptedProvider("yes"), session="one"), request())
    client = desk.client(ScriptedProvider("yes"), session="two")

    async def work() -> bool:
        await client.acall(request(), again=True)
        return client.reused(client.digest(request()))

    assert run(client, work) is False
    assert desk.tally("two").saved == 0


@pytest.mark.parametrize("source", ["cache", "baseline", "provider"])
def test_an_answer_is_reused_where_it_is_from_before(desk: Desk, source: str) -> None:
    if source == "cache":
        ask(desk.client(ScriptedProvider("yes"), session="one"), request())
    kept = Response(text="stored", model="m") if source == "baseline" else None
    client = desk.client(ScriptedProvider("yes"), session="two", stored=lambda key: kept)

    async def work() -> list[bool]:
        before = client.reused(client.digest(request()))
        await client.acall(request())
        await client.acall(request())
        return [
            before,
            client.reused(client.digest(request())),
            client.reused(client.digest(request("another"))),
        ]

    assert run(client, work) == [False, source != "provider", False]


def test_an_answer_of_another_process_of_the_session_is_not_reused(desk: Desk) -> None:
    ask(desk.client(ScriptedProvider("yes"), session="s"), request())
    client = desk.client(ScriptedProvider("yes"), session="s")

    async def work() -> bool:
        await client.acall(request())
        return client.reused(client.digest(request()))

    assert run(client, work) is False


def test_what_the_cache_holds_is_known_without_a_call(desk: Desk) -> None:
    client = desk.client(ScriptedProvider("yes"), session="one")
    key = client.digest(request())
    assert client.holds(key) is False
    assert not desk.path.exists()
    ask(client, request())
    later = desk.client(ScriptedProvider("yes"), session="two")

    async def work() -> list[bool]:
        return [later.holds(key), later.holds(later.digest(request("another"))), later.reused(key)]

    assert run(later, work) == [True, False, False]
    fresh = desk.client(ScriptedProvider("yes"), session="three", fresh_only=True)
    assert fresh.holds(key) is False
    asyncio.run(fresh.aclose())
