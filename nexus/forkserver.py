"""The process that services are forked from, so that what they share is imported once. Started by `nexus.supervisor`.

Orders come as JSON lines on stdin, news go out as JSON lines on stdout. When stdin ends, be it that the supervisor is
done or that it was killed, every service is stopped. Services in turn stop when this process is gone.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

PRELOAD = ("uvicorn", "uvicorn.lifespan.on", "uvicorn.protocols.http.auto", "shared.service", "shared.repository")
PATIENCE = 12.0
"""Seconds to end in good order, before a service is killed."""
ENDING = (signal.SIGTERM,)
GRACE = 3
"""Seconds that open HTTP requests may take when a service stops."""


def main() -> None:
    """Serve orders until there is nobody left to give them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the supervisor
    for name in PRELOAD:
        import_module(name)
    gc.collect()
    gc.freeze()  # what was imported is shared by all, and never collected
    ForkServer().run()


class ForkServer:
    """Forks services on order, and tells when they end."""

    def __init__(self) -> None:
        self._children: dict[int, str] = {}
        self._input = b""
        self._alive_read, self._alive_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._listening = True
        signal.signal(signal.SIGTERM, self._asked_to_end)

    def run(self) -> None:
        """Serve orders."""
        selector = selectors.DefaultSelector()
        selector.register(0, selectors.EVENT_READ)
        selector.register(self._wake_read, selectors.EVENT_READ)
        while self._listening:
            for key, _ in selector.select():
                if key.fd == 0:
                    self._read_orders(selector)
                else:
                    os.read(self._wake_read, 512)
                    self._reap()
        self._end()

    def _asked_to_end(self, *_: object) -> None:
        self._listening = False

    def _read_orders(self, selector: selectors.BaseSelector) -> None:
        received = os.read(0, 65536)
        *lines, self._input = (self._input + received).split(b"\n")
        for line in lines:
            self._start(json.loads(line), selector)
        self._listening = self._listening and bool(received)

    def _start(self, order: dict[str, Any], selector: selectors.BaseSelector) -> None:
        name = str(order["name"])
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # a fork must not take for ours what is meant for it
        if pid := os.fork():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            self._children[pid] = name
            _tell({"started": name, "pid": pid})
            return
        code = 1
        try:
            selector.close()
            for descriptor in (self._alive_write, self._wake_read, self._wake_write):
                os.close(descriptor)
            _begin(order, self._alive_read)
            code = _serve(order)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # noqa: BLE001  a fork has nobody above it who could see this
            import traceback

            traceback.print_exc()
        finally:
            _leave(code)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            name = self._children.pop(pid, "")
            _tell({"ended": name, "pid": pid, "status": os.waitstatus_to_exitcode(status)})

    def _end(self) -> None:
        until = time.monotonic() + PATIENCE
        self._signal(signal.SIGTERM)
        while self._children and time.monotonic() < until:
            self._reap()
            time.sleep(0.02)
        self._signal(signal.SIGKILL)
        while self._children:
            self._reap()
            time.sleep(0.01)

    def _signal(self, number: int) -> None:
        for pid in self._children:
            os.kill(pid, number)


def _tell(news: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more: stdin will end too
        os.write(1, json.dumps(news).encode() + b"\n")


def _begin(order: dict[str, Any], alive: int) -> None:
    """Turn a fork into a process of its own."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    nothing, log = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    )
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    threading.Thread(target=_end_with, args=(alive,), name="end with the supervisor", daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"nexus-{order['name']}"[:15], encoding="ascii")


def _end_with(alive: int) -> None:
    os.read(alive, 1)  # nobody writes: this returns when the fork server is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


def _serve(order: dict[str, Any]) -> int:
    import uvicorn

    from shared.settings import Settings

    module, _, attribute = str(order["factory"]).partition(":")
    app = getattr(import_module(module), attribute)(Settings.model_validate(order["settings"]))
    config = uvicorn.Config(
        app,
        host=order["host"],
        port=order["port"],
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)
    watched = server.on_tick

    async def on_tick(counter: int) -> bool:
        # FastStream says that it has started before its broker has; one that fails later must not look alive.
        return await watched(counter) or _broken(server)

    server.on_tick = on_tick  # type: ignore[method-assign]  # uvicorn has no other way to hear of it
    server.run()
    return 0 if server.started and not _broken(server) else 3


def _broken(server: Any) -> bool:
    names = ("error_occurred", "error_occured")  # corrected in uvicorn 0.35 or so
    return any(getattr(server.lifespan, name, False) for name in names)


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
