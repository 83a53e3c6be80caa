"""Streams of events never end by themselves, and uvicorn waits for open requests: they must hear of its end first."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def announced(stopping: asyncio.Event) -> Iterator[None]:
    """Set `stopping` when the process is asked to end, before whoever else waits for that signal hears of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        stopping.set()
        return
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    ours = {number: _first(loop, stopping, handler) for number, handler in earlier.items() if callable(handler)}
    for number, handler in ours.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        stopping.set()
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, earlier[number])


def _first(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event, handler: Callable[..., Any]) -> Any:
    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        handler(number, frame)

    return handle
