"""A service that says it has started, and then finds out that it can't: as FastStream does while its broker starts."""

import asyncio
from typing import Any

from shared.settings import Settings


def create(_: Settings) -> Any:
    """Build it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await asyncio.sleep(0.1)
            raise RuntimeError("no broker today")
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"not yet"})

    return app
