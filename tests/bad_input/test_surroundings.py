"""Surroundings in which Nexus cannot run: it says what is wrong and what to do, and touches nothing."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nats
import pytest
from nats.js.api import RetentionPolicy, StorageType

from nexus.embedded import CORE, embedded
from nexus.ports import LOOPBACK
from nexus.server import EmbeddedServer, ServerTooOld
from services.planner.app import create as create_planner
from shared.service import running
from shared.settings import Settings
from shared.streams import EVENTS, INBOX, StreamMismatch

pytestmark = [pytest.mark.nats, pytest.mark.system]


async def nexus(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a command, as a person does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
    command = [sys.executable, "-m", "nexus", "--data", str(folder), *words]
    here = environment | variables | {"PYTHONPATH": str(Path.cwd())}
    return await asyncio.to_thread(
        subprocess.run, command, env=here, capture_output=True, text=True, timeout=60, check=False
    )


async def test_an_unknown_key_of_the_configuration_is_named_and_the_right_one_guessed(tmp_path: Path) -> None:
    config = tmp_path / "nexus.yaml"
    config.write_text("nexus:\n  max_agent: 3\n  resource_limits:\n    cpu: lots\n")

    said = await nexus(tmp_path / "data", "--config", str(config), "up")

    assert said.returncode == 2
    assert "nexus.max_agent" in said.stderr
    assert "max_agents" in said.stderr
    assert "nexus.resource_limits.cpu" in said.stderr, "all that is wrong is said at once"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("part", ["NATS", "PLANNER"])
async def test_a_port_in_use_is_named_with_the_setting_that_changes_it(tmp_path: Path, part: str) -> None:
    async with await asyncio.start_server(lambda *_: None, LOOPBACK, 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        said = await nexus(tmp_path / "data", "up", **{f"NEXUS_PORTS__{part}": str(port)})

    assert said.returncode == 1
    assert f"port {port} on {LOOPBACK} is in use; choose another with NEXUS_PORTS__{part}" in said.stderr
    assert "Traceback" not in said.stderr


async def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    said = await nexus(tmp_path / "file" / "data", "up")

    assert said.returncode == 1
    assert "cannot be used" in said.stderr
    assert str(tmp_path / "file" / "data") in said.stderr
    assert "Traceback" not in said.stderr
    assert (tmp_path / "file").read_text() == "in the way"


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    said = await nexus(tmp_path / "data", "--server", "nats://127.0.0.1:1", "status")

    assert said.returncode == 3
    assert "nats://127.0.0.1:1" in said.stderr


@asynccontextmanager
async def old_server() -> AsyncIterator[str]:
    """A nats-server of long ago: it greets, and does what all of them do."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "X", "version": "2.9.25", "max_payload": 1024, "headers": True, "proto": 1}
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        with suppress(ConnectionError):
            while line := await reader.readline():
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(serve, LOOPBACK, 0) as listener:
        yield f"nats://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}"


async def test_a_server_that_is_too_old_is_refused_by_a_service_and_by_the_whole_system(tmp_path: Path) -> None:
    async with old_server() as url:
        settings = Settings.load({}, environ={}, nats_url=url, data=tmp_path / "data")
        with pytest.raises(ServerTooOld, match=r"2\.9\.25.*2\.12"):
            async with running(create_planner, settings):
                pass
        said = await nexus(tmp_path / "data", "--server", url, "up")

    assert said.returncode == 1
    assert "2.9.25" in said.stderr
    assert "Traceback" not in said.stderr


async def test_a_stream_that_means_something_else_is_left_alone_and_named(
    server: EmbeddedServer, settings: Settings, tmp_path: Path
) -> None:
    nc = await nats.connect(server.access.authority)
    js = nc.jetstream()
    subjects = ["nexus.commands.planner.>"]
    await js.add_stream(name=INBOX, subjects=subjects, retention=RetentionPolicy.LIMITS, storage=StorageType.MEMORY)
    await js.publish("nexus.commands.planner.create_project", b"somebody's")

    with pytest.raises(StreamMismatch, match=rf"stream {INBOX}: storage is memory, expected file.*nats stream edit"):
        async with embedded(settings, data=tmp_path / "other", services=CORE):
            pass

    info = await js.stream_info(INBOX)
    assert (info.state.messages, info.config.subjects) == (1, subjects)
    await js.delete_stream(INBOX)
    async with embedded(settings, data=tmp_path / "other", services=CORE):  # once that is done, it starts
        assert (await js.stream_info(EVENTS)).config.deny_delete
    await nc.close()
