"""Ask every question with the official client and compare: what there is to do, without any tool."""

import asyncio
import json
import sys
from pathlib import Path

from openai import AsyncOpenAI


async def main(cases: list[dict[str, str]], concurrency: int) -> None:
    """Print how many answers are right."""
    slots = asyncio.Semaphore(concurrency)

    async def right(client: AsyncOpenAI, case: dict[str, str]) -> bool:
        async with slots:
            completion = await client.chat.completions.create(
                model="model", messages=[{"role": "user", "content": case["question"]}]
            )
        return completion.choices[0].message.content == case["answer"]

    async with AsyncOpenAI() as client:
        found = await asyncio.gather(*(right(client, case) for case in cases))
    print(f"{sum(found)} passed")


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])))
