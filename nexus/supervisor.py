"""Services as processes of their own: started together, watched, started again when one dies, stopped together."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from nexus.ports import PortInUse, free_port, port_is_free
from shared.settings import Settings

PAUSES = (0.0, 0.2, 1.0, 5.0, 15.0)
"""Seconds before a service that died is started again."""
REST = 0.5
"""Seconds before a fork server that died is started again, so that one which cannot live costs little."""
CALM = 20.0
"""Seconds alive after which earlier deaths are forgotten."""
PATIENCE = 30.0
"""Seconds that a service has to become ready."""
HOPELESS = 3
"""Deaths before it was ever ready, after which a service is given up."""
LARGEST_LOG = 10 * 1024**2


class ServiceFailed(RuntimeError):
    """A service does not start; the text has the end of its log."""


@dataclass
class Process:
    """One service, whichever process it is just now."""

    name: str
    factory: str
    host: str
    port: int
    log: Path
    pid: int = 0
    """0: not running."""
    deaths: int = 0
    restarts: int = 0
    began: float = 0.0
    wanted: bool = True
    ready: bool = False
    proven: bool = False
    """It was ready before, so it can be again."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Not set: it was ordered, and nobody knows yet which process it is."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class Supervisor:
    """Runs services as children of a fork server, which dies with this process and takes them along."""

    def __init__(self, settings: Settings, logs: Path, lock: int | None = None) -> None:
        """`lock`: a descriptor that the services keep open as long as one of them lives."""
        self._settings, self._logs, self._lock = settings, logs, lock
        self._server: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.processes: dict[str, Process] = {}
        self.closing = False

    async def prepare(self) -> None:
        """Begin to import what all services need; they may be started at once."""
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = _fresh(self._logs / "forkserver.log")
        with log.open("ab") as errors:
            self._server = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "nexus.forkserver",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                pass_fds=() if self._lock is None else (self._lock,),
                env=_environment(),
            )
        self._listener = asyncio.create_task(self._listen(), name="news of services")

    async def start(self, factories: Mapping[str, str]) -> None:
        """Start these services (name to factory) together, and wait until each one is ready."""
        for name, factory in factories.items():
            port = self._port(name)
            self.processes[name] = Process(name, factory, self._settings.host, port, _fresh(self._logs / f"{name}.log"))
            self._order(self.processes[name])
        await self.ready()

    def apply(self, settings: Settings) -> None:
        """Use these settings for every service that is started from now on."""
        self._settings = settings

    async def ready(self, names: Iterable[str] = ()) -> None:
        """Wait until these services, or all, say that they are ready."""
        await together(self._until_ready(self.processes[name]) for name in list(names) or list(self.processes))

    async def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Let a service die as in a crash; it comes back by itself. Return the process that was killed."""
        process = self.processes[name]
        await process.started.wait()  # one that was ordered a moment ago has no number yet
        if pid := process.pid:
            process.ended.clear()
            with contextlib.suppress(ProcessLookupError):  # it died just now, and the news is on its way
                os.kill(pid, number)
            await process.ended.wait()
        return pid

    async def restart(self, name: str) -> None:
        """Stop a service in good order, and wait until it is ready again."""
        self.processes[name].deaths = -1
        await self.kill(name, signal.SIGTERM)
        await self.ready([name])

    async def stop(self, name: str) -> None:
        """Stop a service, and leave it so."""
        self.processes[name].wanted = False
        await self.kill(name, signal.SIGTERM)

    async def resume(self, name: str) -> None:
        """Start a service that was stopped, and wait until it is ready."""
        process = self.processes[name]
        process.wanted = True
        if not process.pid:
            self._order(process)
        await self.ready([name])

    async def close(self) -> None:
        """Stop all services, and the process that they are forked from."""
        self.closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server and self._server.stdin:
            self._server.stdin.close()
            await self._server.wait()
        if self._listener:
            await asyncio.gather(self._listener, return_exceptions=True)

    def _port(self, name: str) -> int:
        wanted = getattr(self._settings.ports, name, 0)
        if wanted and not port_is_free(wanted, self._settings.host):
            variable = f"NEXUS_PORTS__{name.upper()}"
            raise PortInUse(f"port {wanted} on {self._settings.host} is in use; choose another with {variable}")
        return wanted or free_port(self._settings.host)

    def _order(self, process: Process) -> None:
        assert self._server
        assert self._server.stdin
        process.started.clear()
        process.began, process.ready = time.monotonic(), False
        order = {
            "name": process.name,
            "factory": process.factory,
            "host": process.host,
            "port": process.port,
            "log": str(process.log),
            "settings": plain(self._settings),
        }
        self._server.stdin.write(json.dumps(order).encode() + b"\n")

    async def _listen(self) -> None:
        async for news in self._news():
            process = self.processes[news.get("started") or news["ended"]]
            if "started" in news:
                process.pid = news["pid"]
                process.started.set()
                continue
            self._gone(process)
            if process.wanted and not self.closing:
                self._later(self._again(process, news["status"]))
        if not self.closing:
            self._later(self._anew())

    @staticmethod
    def _gone(process: Process) -> None:
        process.pid, process.ready = 0, False
        process.started.set()
        process.ended.set()

    async def _anew(self) -> None:
        """The fork server itself has died, and the services with it: start all of them again."""
        for process in self.processes.values():
            self._gone(process)
        await asyncio.sleep(REST)
        if self.closing:
            return
        await self.prepare()
        for process in self.processes.values():
            if process.wanted:
                self._order(process)

    async def _news(self) -> AsyncIterator[dict[str, Any]]:
        assert self._server
        assert self._server.stdout
        async for line in self._server.stdout:
            yield json.loads(line)

    async def _again(self, process: Process, status: int) -> None:
        calm = time.monotonic() - process.began > CALM
        process.deaths = 1 if calm else process.deaths + 1
        process.restarts += 1
        pause = PAUSES[min(max(process.deaths - 1, 0), len(PAUSES) - 1)]
        with process.log.open("a", encoding="utf-8") as log:
            log.write(f"--- ended with status {status}; starting again in {pause:g} s\n")
        await asyncio.sleep(pause)
        if process.wanted and not self.closing:
            self._order(process)

    def _later(self, step: Any) -> None:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_ready(self, process: Process) -> None:
        until = time.monotonic() + PATIENCE
        reason = "it does not answer"
        while time.monotonic() < until:
            if process.pid:
                status, reason = await ask(process.host, process.port, "/readyz")
                if status == 200:
                    process.ready = process.proven = True
                    return
            hopeless = process.deaths >= HOPELESS and not process.proven
            if hopeless or (self._server and self._server.returncode is not None):
                break
            await asyncio.sleep(0.02)
        raise ServiceFailed(f"{process.name} does not become ready: {reason}\n{_end_of(process.log)}")


async def together(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Take steps at the same time; raise what the first one to fail raised, once the others have been given up."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def ask(host: str, port: int, path: str) -> tuple[int, str]:
    """Return status and body of a plain HTTP answer; 0 and the reason if there is none."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return 0, str(error) or "no answer in time"
    try:
        return int(head.split(b" ", 2)[1]), body.decode(errors="replace")
    except (IndexError, ValueError):
        return 0, "the answer is not HTTP"


def plain(model: Settings) -> dict[str, Any]:
    """Return settings as JSON values, with the secrets that the services need."""
    values = model.model_dump(mode="json")
    for name in type(model).model_fields:
        secret = getattr(model, name)
        if isinstance(secret, SecretStr):
            values[name] = secret.get_secret_value()
    return values


def _environment() -> dict[str, str]:
    """What was set for this process counts already, and must not be read a second time with another meaning."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}


def _fresh(log: Path) -> Path:
    with contextlib.suppress(OSError):
        if log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".old.log"))
    return log


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    except OSError:
        return ""
    return "\n".join([f"the end of {log}:", *(f"  {line}" for line in lines)])
