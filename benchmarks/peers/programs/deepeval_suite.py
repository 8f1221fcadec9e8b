"""Run the suite with deepeval; it wants the answers, which its user gets with the official client."""

import asyncio
import json
import sys
from pathlib import Path

from deepeval import evaluate
from deepeval.evaluate import AsyncConfig, CacheConfig, DisplayConfig
from deepeval.metrics import ExactMatchMetric
from deepeval.test_case import LLMTestCase
from openai import AsyncOpenAI


async def answered(cases: list[dict[str, str]], concurrency: int) -> list[LLMTestCase]:
    """Return the cases with the model's answers."""
    slots = asyncio.Semaphore(concurrency)

    async def ask(client: AsyncOpenAI, case: dict[str, str]) -> LLMTestCase:
        async with slots:
            completion = await client.chat.completions.create(
                model="model", messages=[{"role": "user", "content": case["question"]}]
            )
        return LLMTestCase(
            name=case["id"],
            input=case["question"],
            actual_output=completion.choices[0].message.content,
            expected_output=case["answer"],
        )

    async with AsyncOpenAI() as client:
        return await asyncio.gather(*(ask(client, case) for case in cases))


concurrency = int(sys.argv[2])
result = evaluate(
    asyncio.run(answered(json.loads(Path(sys.argv[1]).read_text()), concurrency)),
    [ExactMatchMetric()],
    async_config=AsyncConfig(max_concurrent=concurrency),
    # What it writes are results of metrics, not answers; it does so by default.
    cache_config=CacheConfig(write_cache="no-cache" not in sys.argv),
    display_config=DisplayConfig(show_indicator=False, print_results=False, inspect_after_run=False),
)
print(f"{sum(bool(test.success) for test in result.test_results)} passed")
