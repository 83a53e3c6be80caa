"""The whole system for one program: it comes up, stands failures, and leaves nothing behind."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Collection
from pathlib import Path

import pytest

import nexus.embedded
from nexus.agent import Agent, AgentHost
from nexus.embedded import CORE, ServiceFailed, System, SystemRunning, embedded
from nexus.ports import PortInUse, free_port, port_is_free
from nexus.supervisor import Supervisor, ask
from nexus.system_folder import running_system
from shared.settings import Settings

pytestmark = [pytest.mark.nats, pytest.mark.system]

TASKS = [{"id": "a", "capability": "work"}, {"id": "b", "capability": "work", "depends_on": ["a"]}]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, environ={}, data=tmp_path / "nexus", demo_output=tmp_path / "output", sync="1m")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def block_until_reaped(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.01)


def parent_of(pid: int) -> int:
    return int(subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, check=True).stdout)


async def all_gone(pids: Collection[int], seconds: float = 20) -> bool:
    async with asyncio.timeout(seconds):
        while not all(map(gone, pids)):
            await asyncio.sleep(0.05)
    return True


def worker() -> Agent:
    agent = Agent("worker", slots=2)
    agent.handle("run", "work", lambda job: {"done": job.task})
    return agent


async def carried_out(system: System) -> str:
    async with system.client() as client, AgentHost([worker()], settings=system.settings):
        outcome = await client.create_project(title="Two steps", tasks=TASKS)
        return (await client.wait(outcome.result["project"], 40)).status


async def test_each_service_is_a_process_that_is_ready(settings: Settings) -> None:
    async with embedded(settings, in_process=False) as system:
        pids = system.pids
        assert len(set(pids.values()) - {0, os.getpid()}) == len(pids), "each has one of its own"
        assert set(CORE) < set(pids)
        for url in system.urls.values():
            host, _, port = url.removeprefix("http://").partition(":")
            assert (await ask(host, int(port), "/readyz"))[0] == 200
        found = running_system(settings.data)
        assert found
        assert (found.pid, found.services, found.pids) == (os.getpid(), system.urls, pids)
        assert await carried_out(system) == "completed"

    assert running_system(settings.data) is None
    assert await all_gone(pids.values(), 1)


async def test_a_service_that_is_killed_comes_back(settings: Settings) -> None:
    async with embedded(settings, services=CORE, in_process=False) as system:
        before = system.pids

        for name in (*CORE, "nats"):
            assert await system.kill(name) == before[name]
        assert await carried_out(system) == "completed"
        after = system.pids

        assert not set(before.values()) & set(after.values())
        assert all(map(gone, before.values()))


async def test_all_come_back_if_what_they_were_forked_from_is_killed(settings: Settings) -> None:
    async with embedded(settings, services=CORE, in_process=False) as system:
        before = system.pids
        os.kill(parent_of(before["planner"]), signal.SIGKILL)

        assert await all_gone([before[name] for name in CORE])
        assert await carried_out(system) == "completed"
        assert not {before[name] for name in CORE} & set(system.pids.values())


async def test_a_service_can_be_stopped_for_a_while(settings: Settings) -> None:
    async with embedded(settings, services=CORE, in_process=False) as system, system.client() as client:
        await system.stop("coordinator")
        assert system.pids["coordinator"] == 0
        await asyncio.sleep(0.5)
        assert system.pids["coordinator"] == 0, "and nobody starts it again"

        async with AgentHost([worker()], settings=system.settings):
            project = (await client.create_project(title="Later", tasks=TASKS)).result["project"]
            assert (await client.project(project)).started_at is None
            await system.resume("coordinator")
            assert (await client.wait(project, 30)).status == "completed"

        earlier = system.pids["planner"]
        await system.restart("planner")
        assert system.pids["planner"] not in (0, earlier)


async def test_nothing_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    program = """
        import asyncio, json, sys
        from nexus.embedded import embedded
        from shared.settings import Settings

        async def main():
            settings = Settings.load({}, environ={}, data=sys.argv[1], sync="1m")
            async with embedded(settings, services=("planner", "coordinator"), in_process=False) as system:
                print(json.dumps(system.pids), flush=True)
                await asyncio.sleep(600)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert child.stdout
    pids = [int(pid) for pid in json.loads(await child.stdout.readline()).values()]
    assert len(pids) == 3
    assert not any(map(gone, pids))
    child.send_signal(signal.SIGKILL)
    await child.wait()

    assert running_system(tmp_path) is None
    assert await all_gone(pids)
    async with embedded(Settings.load({}, environ={}, data=tmp_path, sync="1m"), services=()):
        pass  # and the folder is free again


async def test_a_folder_has_one_system_at_a_time(settings: Settings) -> None:
    async with embedded(settings, services=()):
        with pytest.raises(SystemRunning, match=f"process {os.getpid()}, at nats://127.0.0.1"):
            async with embedded(settings, services=()):
                pass

    async with embedded(settings, services=()):
        pass


async def test_a_second_start_finds_the_same_history(settings: Settings) -> None:
    async with embedded(settings, services=CORE) as system:
        assert await carried_out(system) == "completed"
        first = system.url

    async with embedded(settings, services=CORE) as system, system.client() as client:
        assert [one.status for one in await client.projects()] == ["completed"]
        assert system.url == first, "so that clients find it again"
        assert await carried_out(system) == "completed"


async def test_services_inside_a_program_are_up_at_once_and_keep_quiet(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers, logging.getLogger().handlers = logging.getLogger().handlers, []
    try:
        async with embedded(settings, services=CORE) as system:
            assert set(system.pids.values()) == {os.getpid(), system.pids["nats"]}
            await system.kill("nats")
            assert await carried_out(system) == "completed"
            await system.stop("planner")
            await system.resume("planner")
            assert await carried_out(system) == "completed"
    finally:
        logging.getLogger().handlers = handlers

    assert capfd.readouterr() == ("", "")
    assert "connection" in (settings.data / "logs" / "embedded.log").read_text()


async def test_a_service_that_fails_to_stop_leaves_no_other_running(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, stopped = nexus.embedded._Inside.stop, list[str]()

    async def stop(self: nexus.embedded._Inside, name: str) -> None:
        await plain(self, name)
        stopped.append(name)
        if name == "planner":
            raise RuntimeError("it does not want to")

    monkeypatch.setattr(nexus.embedded._Inside, "stop", stop)
    with pytest.raises(RuntimeError, match="does not want to"):
        async with embedded(settings, services=CORE):
            pass

    assert sorted(stopped) == sorted(CORE)


async def test_a_service_that_does_not_start_is_named_with_the_end_of_its_log(settings: Settings) -> None:
    with pytest.raises(ServiceFailed, match=r"(?s)horoscope does not become ready.*No module named"):
        async with embedded(settings, services=("planner", "horoscope"), in_process=False):
            pass

    assert running_system(settings.data) is None
    async with embedded(settings, services=()):
        pass


async def test_a_service_whose_start_fails_late_does_not_look_alive(settings: Settings) -> None:
    supervisor = Supervisor(settings, settings.data / "logs")
    await supervisor.prepare()
    try:
        with pytest.raises(ServiceFailed, match="no broker today"):
            await asyncio.wait_for(supervisor.start({"broken": "tests.nexus.broken_service:create"}), 20)
        assert supervisor.processes["broken"].deaths == 3
    finally:
        await supervisor.close()


async def test_a_service_that_is_stopped_before_it_is_there_does_not_come(settings: Settings) -> None:
    supervisor = Supervisor(settings, settings.data / "logs")
    await supervisor.prepare()
    starting = asyncio.create_task(supervisor.start({"broken": "tests.nexus.broken_service:create"}))
    try:
        await asyncio.sleep(0)  # it is ordered, and no process yet
        process = supervisor.processes["broken"]
        await asyncio.wait_for(supervisor.stop("broken"), 20)
        await asyncio.wait_for(process.started.wait(), 20)
        assert (process.pid, process.restarts) == (0, 0)
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await supervisor.close()


async def test_a_service_that_died_just_now_can_be_stopped(settings: Settings) -> None:
    async with embedded(settings, services=("planner",), in_process=False) as system:
        pid = system.pids["planner"]
        os.kill(pid, signal.SIGKILL)
        block_until_reaped(pid)  # and nobody here can have heard of it

        await asyncio.wait_for(system.stop("planner"), 20)

        assert system.pids["planner"] == 0


async def test_a_server_that_cannot_be_started_again_is_tried_until_it_can(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedded(settings, services=()) as system:
        assert system.server
        start, obstacles = system.server.start, [OSError(28, "No space left on device")]

        async def later() -> object:
            if obstacles:
                raise obstacles.pop()
            return await start()

        monkeypatch.setattr(system.server, "start", later)
        before = await system.kill("nats")

        async with asyncio.timeout(20):
            while system.pids["nats"] in (0, before):
                await asyncio.sleep(0.05)
        assert not obstacles


async def test_a_port_in_use_is_named_with_the_setting_that_changes_it(settings: Settings) -> None:
    port = free_port()
    taken = Settings.load({"ports": {"planner": port}}, environ={}, data=settings.data)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with server:
        with pytest.raises(PortInUse, match=f"port {port} .* NEXUS_PORTS__PLANNER"):
            async with embedded(taken, services=("planner",), in_process=False):
                pass

    async with embedded(taken, services=("planner",), in_process=False) as system:
        assert system.urls == {"planner": f"http://127.0.0.1:{port}"}
    assert port_is_free(port)
