"""The embedded nats-server as real processes: it keeps its history, says what is wrong, and never stays behind."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

import nexus.server
from nexus import nats_binary, ports, server_folder
from nexus.server import (
    BinaryMissing,
    EmbeddedServer,
    FolderForbidden,
    FolderInUse,
    PortInUse,
    ServerDied,
    ServerTooOld,
    ServerUnreachable,
    check_version,
    embedded_server,
    find_binary,
    nats_server,
    running,
)
from shared.settings import Settings

pytestmark = pytest.mark.nats
ROOT = Path(__file__).parents[2]
OWNER = """
import asyncio, sys
from pathlib import Path
import nexus.server
from nexus.server import EmbeddedServer

nexus.server.PATIENCE = 1

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    print(server.pid, server.access.authority, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@asynccontextmanager
async def connected(server: EmbeddedServer) -> AsyncIterator[Client]:
    nc = await nats.connect(server.access.authority)
    yield nc
    await nc.close()


@contextmanager
def owned_by_another_process(data: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as owner:
        assert owner.stdout
        pid, url = owner.stdout.readline().split()
        try:
            yield owner, int(pid), url
        finally:
            owner.kill()


def exists(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state) and not state.startswith("Z")  # a zombie has ended; how soon it is reaped is its parent's affair


async def gone(pid: int) -> bool:
    for _ in range(200):
        if not exists(pid):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_second_start_on_the_same_folder_finds_the_same_history(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server, connected(server) as nc:
        await nc.jetstream().add_stream(name="LOG", subjects=["log.>"])
        await nc.jetstream().publish("log.first", b"once upon a time")
        first = server.access

    async with embedded_server(tmp_path) as server, connected(server) as nc:
        message = await nc.jetstream().get_msg("LOG", 1)

        assert message.data == b"once upon a time"
        assert (server.url, server.password) == (first.url, first.password)
        assert server.pid != first.pid


async def test_what_was_acknowledged_survives_a_kill_of_the_server(server: EmbeddedServer, nc: Client) -> None:
    js = nc.jetstream()
    await js.add_stream(name="LOG", subjects=["log.>"])
    await js.publish("log.first", b"")
    url = server.url

    await server.kill()
    assert not server.alive
    await server.start()
    await js.publish("log.second", b"", timeout=5)

    assert (await js.stream_info("LOG")).state.messages == 2
    assert server.url == url


async def test_nobody_gets_in_without_the_credentials(server: EmbeddedServer) -> None:
    anonymous = Settings.load({}, environ={}, nats_url=server.url)

    with pytest.raises(ServerUnreachable, match="Authorization"):
        async with nats_server(anonymous):
            pass


async def test_only_this_user_can_read_the_credentials(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with embedded_server(data) as server:
        holding = [path for path in data.iterdir() if path.is_file() and server.password in path.read_text()]

        assert {path.name for path in holding} == {"credentials.json", "nats.conf", "runtime.json"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


async def test_every_write_is_synced_and_only_this_machine_can_connect_by_default(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server:
        configuration = (tmp_path / "nats.conf").read_text()

        assert 'sync_interval: "always"' in configuration
        assert 'listen: "127.0.0.1:' in configuration
        assert server.url.startswith("nats://127.0.0.1:")


async def test_settings_reach_the_server(tmp_path: Path) -> None:
    port = ports.free_port()
    settings = Settings.load({}, environ={}, data=tmp_path, sync="1s", max_payload=2**21, ports={"nats": port})

    async with EmbeddedServer.of(settings) as server, connected(server) as nc:
        assert nc.max_payload == 2**21
        assert server.access.port == port
        assert 'sync_interval: "1s"' in (tmp_path / "nats.conf").read_text()


async def test_stopping_leaves_no_process_and_frees_the_folder(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server:
        pid, launcher = server.pid, os.getpgid(server.pid)
        assert running(tmp_path) == server.access

    assert not exists(pid)
    assert not exists(launcher)
    assert running(tmp_path) is None


async def test_a_killed_owner_takes_its_server_along(tmp_path: Path) -> None:
    with owned_by_another_process(tmp_path) as (owner, pid, url):
        launcher = os.getpgid(pid)
        nc = await nats.connect(url)
        await nc.jetstream().add_stream(name="LOG", subjects=["log.>"])
        await nc.close()

        owner.send_signal(signal.SIGKILL)

        assert await gone(pid)
        assert await gone(launcher)

    async with embedded_server(tmp_path) as server, connected(server) as nc:
        assert (await nc.jetstream().stream_info("LOG")).config.subjects == ["log.>"]


async def test_even_a_server_that_does_not_listen_any_more_is_taken_along(tmp_path: Path) -> None:
    with owned_by_another_process(tmp_path) as (owner, pid, _):
        os.kill(pid, signal.SIGSTOP)

        owner.send_signal(signal.SIGKILL)

        assert await gone(pid)


async def test_an_interrupt_in_the_terminal_does_not_reach_the_server(server: EmbeddedServer) -> None:
    assert os.getpgid(server.pid) != os.getpgid(0)
    assert os.getsid(server.pid) != os.getsid(0)


async def test_an_owner_hears_when_its_server_ends_by_itself(server: EmbeddedServer) -> None:
    ended = asyncio.create_task(server.wait())

    os.kill(server.pid, signal.SIGKILL)

    assert await asyncio.wait_for(ended, 5) != 0


async def test_another_process_finds_the_server_that_runs_on_the_folder(tmp_path: Path) -> None:
    with owned_by_another_process(tmp_path) as (_, pid, url):
        settings = Settings.load({}, environ={}, data=tmp_path)

        async with nats_server(settings) as found:
            nc = await nats.connect(found.nats_url or "", **found.nats_options())
            await nc.close()

        access = running(tmp_path)
        assert access is not None
        assert (access.pid, access.authority) == (pid, url)
        assert exists(pid)


async def test_a_folder_belongs_to_one_server_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_folder, "PATIENCE", 0.2)
    async with embedded_server(tmp_path) as server:
        with pytest.raises(FolderInUse, match=f"process {server.pid}, at {server.url}"):
            await EmbeddedServer(tmp_path).start()

        assert server.alive


async def test_a_folder_that_an_old_server_is_about_to_leave_is_waited_for(tmp_path: Path) -> None:
    old, new = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path)
    await old.start()

    starting = asyncio.create_task(new.start())
    await asyncio.sleep(0.2)
    await old.stop()
    await starting

    assert new.alive
    await new.stop()


async def test_a_port_that_is_taken_is_named(server: EmbeddedServer, tmp_path: Path) -> None:
    other = EmbeddedServer(tmp_path / "other", port=server.access.port)

    with pytest.raises(PortInUse, match=rf"port {server.access.port} on 127\.0\.0\.1 is in use; .*NEXUS_PORTS__NATS"):
        await other.start()

    assert running(tmp_path / "other") is None


async def test_a_free_port_that_somebody_else_took_first_is_chosen_again(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = iter([server.access.port, server.access.port, ports.free_port()])
    monkeypatch.setattr(nexus.server, "free_port", lambda: next(choices))

    async with embedded_server(tmp_path / "other") as other:
        assert other.access.port != server.access.port


async def test_a_port_that_was_remembered_and_is_taken_now_is_given_up(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server:
        port = server.access.port

    async with embedded_server(tmp_path / "other", port=port), embedded_server(tmp_path) as again:
        assert again.access.port != port


async def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)

    with as_an_ordinary_user(closed), pytest.raises(FolderForbidden, match=rf"{closed}/data .*Permission denied"):
        await EmbeddedServer(closed / "data").start()


@contextmanager
def as_an_ordinary_user(folder: Path) -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    for parent in folder.parents:  # root made them for itself; the test is about the last one
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_folder_whose_place_is_taken_by_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FolderForbidden, match=f"{tmp_path}/file"):
        await EmbeddedServer(tmp_path / "file").start()


async def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerDied, match="sometimes"):
        await EmbeddedServer(tmp_path, sync="sometimes").start()

    assert running(tmp_path) is None


@pytest.mark.parametrize("version", ["2.12.1", "v2.12.2-RC.1", "2.15.1", "3.0.0"])
def test_a_server_new_enough_is_accepted(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["2.12.0", "2.11.9", "1.4.1", "", "unknown"])
def test_a_server_too_old_is_refused_with_the_reason(version: str) -> None:
    with pytest.raises(ServerTooOld, match=r"too old: Nexus needs 2\.12\.1 or newer, for message schedules"):
        check_version(version)


def test_a_program_that_does_not_run_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "nats-server"
    broken.write_text("#!/bin/sh\nexit 7")

    with pytest.raises(BinaryMissing, match=r"nats-server does not run here: .*Permission denied"):
        nats_binary.checked_binary(broken)
    broken.chmod(0o755)
    with pytest.raises(BinaryMissing, match=r"does not run here: .* exit status 7"):
        nats_binary.checked_binary(broken)


async def test_a_program_too_old_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.10.4'\n")
    old.chmod(0o755)
    monkeypatch.setattr(nexus.server, "find_binary", lambda: old)

    with pytest.raises(ServerTooOld, match=r"2\.10\.4"):
        await EmbeddedServer(tmp_path / "data").start()

    assert not (tmp_path / "data").exists()


async def test_a_program_on_the_path_serves_where_the_package_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = find_binary()
    monkeypatch.setattr(nats_binary, "PACKAGE", "no-such-package")
    (tmp_path / "nats-server").symlink_to(packaged)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_binary() == tmp_path / "nats-server"

    monkeypatch.setenv("PATH", "")
    with pytest.raises(BinaryMissing, match="NEXUS_NATS_URL"):
        find_binary()


async def test_a_server_named_by_the_user_is_used_and_left_alone(server: EmbeddedServer, settings: Settings) -> None:
    async with nats_server(settings) as used:
        assert used is settings

    assert server.alive


async def test_an_address_where_nobody_answers_is_named() -> None:
    url = f"nats://127.0.0.1:{ports.free_port()}"

    with pytest.raises(ServerUnreachable, match=url):
        async with nats_server(Settings.load({}, environ={}, nats_url=url)):
            pass


async def test_wrong_credentials_are_said_to_be_wrong(server: EmbeddedServer, settings: Settings) -> None:
    wrong = Settings.load(settings, environ={}, nats_password="guess")

    with pytest.raises(ServerUnreachable, match="Authorization"):
        async with nats_server(wrong):
            pass


async def test_a_server_of_the_user_that_is_too_old_is_refused() -> None:
    async def old_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "X", "version": "2.9.25", "max_payload": 1024, "headers": True, "proto": 1}
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    listener = await asyncio.start_server(old_server, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}"

    async with listener:
        with pytest.raises(ServerTooOld, match=r"2\.9\.25"):
            async with nats_server(Settings.load({}, environ={}, nats_url=url)):
                pass
