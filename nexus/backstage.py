"""An event loop of our own behind a program's scenes: what runs there goes on whatever the program's own loop does."""

import asyncio
import atexit
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds that closing may take when the program ends."""


class Backstage:
    """A thread with an event loop. It ends with `close`, at the latest with the program."""

    def __init__(self, name: str = "nexus") -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing: Callable[[], Awaitable[None]] | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, closing: Callable[[], Awaitable[None]]) -> None:
        """Begin; `closing` is awaited in there at the end."""
        ready = threading.Event()
        self._closing = closing
        self._thread = threading.Thread(target=self._live, args=(ready,), name=self._name, daemon=True)
        self._thread.start()
        ready.wait()
        at_exit(self.end)

    async def do(self, step: Coroutine[Any, Any, T]) -> T:
        """Take a step in there, and wait for it here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(step, self._known()))

    def wait(self, step: Coroutine[Any, Any, T], seconds: float = PATIENCE) -> T:
        """Take a step in there; block until it is done."""
        return asyncio.run_coroutine_threadsafe(step, self._known()).result(seconds)

    async def close(self) -> None:
        """Close what runs there, and end the thread."""
        thread = self._thread
        if thread and thread.is_alive():
            await self.do(self._close())
            self._stop()
            await asyncio.to_thread(thread.join)

    def end(self) -> None:
        """Do the same where nothing can be awaited any more: when the program ends."""
        thread = self._thread
        if thread and thread.is_alive():
            with suppress(Exception):  # the program is over: nobody is left to hear of it
                self.wait(self._close())
            self._stop()
            thread.join(PATIENCE)

    async def _close(self) -> None:
        closing, self._closing = self._closing, None
        if closing:
            await closing()

    def _stop(self) -> None:
        loop = self._known()
        loop.call_soon_threadsafe(loop.stop)

    def _known(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("it has not been started")
        return self._loop

    def _live(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(ready.set)
            self._loop.run_forever()


def at_exit(step: Callable[[], None]) -> None:
    """Call `step` when the program ends, while threads still work."""
    # What is registered with atexit comes too late: by then no thread pool takes work any more.
    register = getattr(threading, "_register_atexit", atexit.register)
    register(step)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
