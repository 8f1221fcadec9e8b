"""Run the suite with pydantic-evals; it leaves the call to its user, who takes the official client."""

import asyncio
import json
import sys
from pathlib import Path

from openai import AsyncOpenAI
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import EqualsExpected


async def main(cases: list[dict[str, str]], concurrency: int) -> None:
    """Print how many answers are right."""

    async def ask(question: str) -> str | None:
        completion = await client.chat.completions.create(
            model="model", messages=[{"role": "user", "content": question}]
        )
        return completion.choices[0].message.content

    dataset = Dataset(
        name="suite",
        cases=[
            Case(name=case["id"], inputs=case["question"], expected_output=case["answer"]) for case in cases
        ],
        evaluators=[EqualsExpected()],
    )
    async with AsyncOpenAI() as client:
        report = await dataset.evaluate(ask, max_concurrency=concurrency, progress=False)
    print(f"{sum(case.assertions['EqualsExpected'].value for case in report.cases)} passed")


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])))
