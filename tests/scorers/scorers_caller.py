"""Answer a scorer's requests by script."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_llmops.calls.exchange import Response


@dataclass
class Caller:
    """Answer each request with what `reply` makes of it, and keep the requests."""

    reply: object = None
    requests: list = field(default_factory=list)

    async def acall(self, request):
        self.requests.append(request)
        made = self.reply(request) if callable(self.reply) else self.reply
        if isinstance(made, Exception):
            raise made
        return Response(text=made, model="judge")
