"""An embedded nats-server: JetStream on disk, on loopback, with credentials of its own; it never outlives its owner."""

# Errors, all of them RuntimeErrors:
#   BinaryMissing · ServerTooOld            no server to start
#   FolderForbidden · FolderInUse           no place to keep its data
#   PortInUse · ServerDied                  it did not come up

import asyncio
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nats.aio.client import Client
from nats.errors import Error as NatsError

from nexus.connection import shown
from nexus.nats_binary import BinaryMissing, checked_binary, find_binary
from nexus.ports import LOOPBACK, PortInUse, free_port, port_is_free
from nexus.server_folder import Access, Folder, FolderForbidden, FolderInUse, running
from shared.nats_version import ServerTooOld, check_version
from shared.settings import Settings

__all__ = [
    "Access",
    "BinaryMissing",
    "EmbeddedServer",
    "FolderForbidden",
    "FolderInUse",
    "PortInUse",
    "ServerDied",
    "ServerTooOld",
    "ServerUnreachable",
    "check_version",
    "embedded_server",
    "find_binary",
    "free_port",
    "nats_server",
    "running",
]

# The server lives as long as somebody holds the other end of its launcher's stdin: when that end closes, be it by
# `stop` or because the owner was killed, the guard ends the server. A shell costs a millisecond and works everywhere.
LAUNCHER = """
patience=$1; shift
exec 3<&0
"$@" 3<&- </dev/null >&2 & server=$!
{
    read -r _
    sleep $patience & nap=$!
    trap 'kill $nap; exit' TERM
    kill -TERM $server
    wait $nap
    kill -KILL $server
} <&3 >/dev/null 2>&1 & guard=$!
echo $server
exec >&2
wait $server; code=$?
kill $guard 2>/dev/null
exit $code
"""
START = 60.0  # seconds to come up: a long log has to be recovered
PATIENCE = 10  # seconds to end in good order, after which the guard kills


class ServerDied(RuntimeError):
    """The nats-server ended by itself; the message has the end of its log."""


class ServerUnreachable(RuntimeError):
    """No usable nats-server answers at the address that was given."""


class EmbeddedServer:
    """One nats-server of ours: `start`, `stop`, and for tests of failure `kill` and `start` again on the same port."""

    def __init__(self, data: Path, *, sync: str = "always", port: int = 0, max_payload: int = 1024**2) -> None:
        self._folder, self._sync, self._max_payload = Folder(data), sync, max_payload
        self._port, self._fixed = port, port != 0
        self._process: subprocess.Popen[str] | None = None
        self._lock: int | None = None
        self._access: Access | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the server that these settings describe."""
        return cls(settings.data, sync=settings.sync, port=settings.ports.nats, max_payload=settings.max_payload)

    @property
    def access(self) -> Access:
        """How to reach it; known once it has started."""
        if self._access is None:
            raise RuntimeError("the embedded nats-server has not been started")
        return self._access

    @property
    def url(self) -> str:
        return self.access.url

    @property
    def user(self) -> str:
        return self.access.user

    @property
    def password(self) -> str:
        return self.access.password

    @property
    def pid(self) -> int:
        return self.access.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> Access:
        """Start, wait until JetStream answers, and let other programs of this user find it."""
        if self.alive:
            return self.access
        binary = find_binary()
        version = await asyncio.to_thread(checked_binary, binary)
        if self._lock is None:
            self._lock = await self._folder.claim()
        try:
            pid = await self._start_on_some_port(binary)
        except BaseException:
            await self.stop()
            raise
        self._fixed = True  # clients know it now
        user, password = self._folder.credentials()
        self._access = Access(f"nats://{LOOPBACK}:{self._port}", user, password, pid, version)
        self._folder.announce(self._access)
        return self._access

    async def stop(self) -> None:
        """End the server in good order; kill it if it does not end."""
        try:
            await self._end()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process and process.stdin:
            process.stdin.close()
            await asyncio.to_thread(process.wait, PATIENCE + 5)

    async def kill(self) -> None:
        """Kill the server as a crash would; `start` brings it back on the same port with the same history."""
        if self.alive:
            with suppress(ProcessLookupError):  # it has died, and its launcher is about to
                os.kill(self.pid, signal.SIGKILL)
        await self._end()

    async def wait(self) -> int:
        """Wait until the server ends, by whatever cause; return its exit status."""
        while self.alive:  # noqa: ASYNC110 - a thread in Popen.wait would keep the program from ending
            await asyncio.sleep(0.1)
        return self._process.returncode if self._process else 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start_on_some_port(self, binary: Path) -> int:
        self._port = self._port or self._folder.last_port()
        for _ in range(10):
            self._choose_port()
            try:
                return await self._start_here(binary)
            except PortInUse:
                await self._end()
                if self._fixed:
                    raise
                self._port = 0  # somebody was faster; it was our choice, so choose again
        raise PortInUse("no free port was found")

    def _choose_port(self) -> None:
        if not (self._port and port_is_free(self._port)):
            if self._fixed:
                raise self._port_in_use()
            self._port = free_port()

    async def _start_here(self, binary: Path) -> int:
        name = f"nexus-{secrets.token_hex(6)}"
        self._folder.forget()
        self._folder.write(self._folder.config, self._configuration(name))
        log_start = self._folder.log.stat().st_size if self._folder.log.exists() else 0
        pid = self._launch(binary)
        await self._ready(name, log_start)
        return pid

    def _configuration(self, name: str) -> str:
        user, password = self._folder.credentials()
        quoted = json.dumps
        return f"""# Written by Nexus at every start; change the settings instead.
server_name: {name}
listen: {quoted(f"{LOOPBACK}:{self._port}")}
max_payload: {self._max_payload}
log_file: {quoted(str(self._folder.log))}
logfile_size_limit: 10MB
logfile_max_num: 3
jetstream {{
  store_dir: {quoted(str(self._folder.path))}
  sync_interval: {quoted(self._sync)}
}}
authorization {{
  user: {quoted(user)}
  password: {quoted(password)}
}}
"""

    def _launch(self, binary: Path) -> int:
        assert self._lock is not None
        with self._folder.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", LAUNCHER, "nexus-nats", str(PATIENCE), str(binary), "-c", str(self._folder.config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self._folder.path,
                pass_fds=(self._lock,),  # so the folder stays locked exactly as long as the server lives
                start_new_session=True,  # a Ctrl-C in the terminal is for us: we end the server last
            )
        assert self._process.stdout
        with self._process.stdout as said:
            return int(said.readline())

    async def _ready(self, name: str, log_start: int) -> None:
        until = time.monotonic() + START
        while True:
            if not self.alive:
                raise self._cause_of_death(log_start)
            info = await _greeting(self._port)
            if info.get("server_name") == name and info.get("jetstream"):
                return
            if time.monotonic() > until:
                raise ServerDied(f"nats-server was not ready in {START:.0f} s; its log is {self._folder.log}")
            await asyncio.sleep(0.005)

    def _cause_of_death(self, log_start: int) -> RuntimeError:
        log = self._folder.log.read_bytes()[log_start:].decode(errors="replace").strip()
        if "address already in use" in log:
            return self._port_in_use()
        return ServerDied("nats-server ended at once:\n" + "\n".join(log.splitlines()[-5:]))

    def _port_in_use(self) -> PortInUse:
        return PortInUse(f"port {self._port} on {LOOPBACK} is in use; choose another with NEXUS_PORTS__NATS")


async def _greeting(port: int) -> dict[str, Any]:
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), 2)
    except (OSError, TimeoutError):
        return {}
    try:
        line = await asyncio.wait_for(reader.readline(), 2)
        return dict(json.loads(line.removeprefix(b"INFO "))) if line.startswith(b"INFO ") else {}
    except (OSError, TimeoutError):
        return {}
    finally:
        writer.close()


@asynccontextmanager
async def embedded_server(data: Path, *, sync: str = "always", port: int = 0) -> AsyncIterator[EmbeddedServer]:
    """Run a nats-server on this folder for as long as the block lasts."""
    async with EmbeddedServer(data, sync=sync, port=port) as server:
        yield server


@asynccontextmanager
async def nats_server(settings: Settings) -> AsyncIterator[Settings]:
    """Yield settings that name a usable server: the given one, one that runs on the data folder, or one of our own."""
    if settings.nats_url:
        await _check(settings.nats_url, settings)
        yield settings
    elif (access := running(settings.data)) and await _greeting(access.port):
        yield access.applied(settings)
    else:
        async with EmbeddedServer.of(settings) as server:
            yield server.access.applied(settings)


async def _ignore(_: Exception) -> None:
    """Say nothing: what is wrong is raised."""


# a probe asks twice: by default the first connection is tried for two minutes
PROBE: dict[str, Any] = {
    "allow_reconnect": False,
    "connect_timeout": 5,
    "error_cb": _ignore,
    "max_reconnect_attempts": 1,
    "reconnect_time_wait": 0.2,
}


async def _check(url: str, settings: Settings) -> None:
    nc = Client()
    try:
        await nc.connect(url, **PROBE, **settings.nats_options())
        found = nc.connected_server_version
        check_version(f"{found.major}.{found.minor}.{found.patch}")
        await nc.jetstream().account_info()
    except (NatsError, OSError, TimeoutError) as error:
        raise ServerUnreachable(f"no nats-server with JetStream can be used at {shown(url)}: {error}") from error
    finally:
        await nc.close()
