"""The agent kit against a real server, with the coordinator played by hand."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import FlushTimeoutError
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from contracts.agents import Beat
from contracts.base import INLINE_LIMIT
from contracts.coordinator import Settlement, TasksSettled
from nexus.agent import Agent, AgentHost, ArtifactMissing, Job, TaskFailed
from nexus.server import EmbeddedServer
from shared import telemetry
from shared.eventlog import EventLog
from shared.mapper import EventMapper
from shared.settings import Settings
from shared.streams import provision
from shared.telemetry import traceparent_of
from tests.nexus.coordinator_by_hand import TRACE, Coordinator, patiently, until

pytestmark = pytest.mark.nats


@pytest.fixture
async def coordinator(nc: Client) -> Coordinator:
    await provision(nc)
    return await Coordinator(nc).listen()


class Hosts:
    """Starts agents, and stops them when the test is over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hosts: list[AgentHost] = []

    async def __call__(self, *agents: Agent, beat: float = 0.1, **options: Any) -> AgentHost:
        host = AgentHost(agents, settings=self._settings, beat=beat, **options)
        self._hosts.append(host)
        return await host.start()

    async def stop(self) -> None:
        for host in self._hosts:
            await host.stop(grace=0.2)


@pytest.fixture
async def hosted(settings: Settings) -> AsyncIterator[Hosts]:
    hosts = Hosts(settings)
    yield hosts
    await hosts.stop()


def worker(**options: Any) -> Agent:
    return Agent("worker", **options)


async def test_an_assignment_is_done_and_answered_under_its_lease(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()

    @agent.task("work")
    async def work(job: Job) -> dict[str, Any]:
        return {"heard": [job.project, job.task, job.attempt, job.input, job.project_input, job.upstream["design"]]}

    await hosted(agent)
    await coordinator.assign(
        "build", input={"a": 1}, project_input={"title": "Shop"}, upstream={"design": {"tables": 3}}, attempt=2
    )

    (result,) = await coordinator.hear(1)
    assert (result.status, result.agent, result.attempt) == ("done", "worker", 2)
    assert (result.lease, result.epoch, result.kind) == ("shop.build.2", 7, "run")
    assert result.output == {"heard": ["shop", "build", 2, {"a": 1}, {"title": "Shop"}, {"tables": 3}]}
    assert result.seconds > 0
    envelope = coordinator.results[0][0]
    assert (envelope.id, envelope.project, envelope.correlationid) == ("shop.build.2.run", "shop", "the-command")
    assert envelope.traceparent == TRACE


async def test_each_capability_has_its_handler_and_the_rest_a_common_one(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    agent = Agent("worker", ["design", "paint", "cook"])
    agent.task("design")(lambda _: {"by": "designer"})
    agent.task()(lambda job: {"by": "anybody", "capability": job.capability})

    await hosted(agent)
    await coordinator.assign("a", capability="design")
    await coordinator.assign("b", capability="cook")

    outputs = [result.output for result in await coordinator.hear(2)]
    assert {"by": "designer"} in outputs
    assert {"by": "anybody", "capability": "cook"} in outputs


async def test_a_plain_function_runs_in_a_thread_and_can_wait_for_what_is_asynchronous(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    agent = worker()

    @agent.task("work")
    def work(job: Job) -> dict[str, Any]:
        job.wait_for(job.progress(0.5, "half"))
        reference = job.wait_for(job.put_artifact("notes.txt", "kept"))
        return {"thread": threading.current_thread() is not threading.main_thread(), "file": reference}

    await hosted(agent)
    await coordinator.assign("build")

    (result,) = await coordinator.hear(1)
    assert result.output["thread"] is True
    assert result.output["file"]["dataref"] == "artifacts/shop/build/1/notes.txt"
    assert result.output["file"]["size"] == 4


class Report(BaseModel):
    pages: int


@pytest.mark.parametrize(
    ("given", "output"), [(None, {}), ({"pages": 2}, {"pages": 2}), (Report(pages=3), {"pages": 3})]
)
async def test_an_output_is_a_mapping_a_model_or_nothing(
    coordinator: Coordinator, hosted: Hosts, given: Any, output: dict[str, Any]
) -> None:
    agent = worker()
    agent.task("work")(lambda _: given)

    await hosted(agent)
    await coordinator.assign("build")

    (result,) = await coordinator.hear(1)
    assert (result.status, result.output) == ("done", output)


@pytest.mark.parametrize("given", [[1, 2], {"a": object()}])
async def test_any_other_output_fails_the_task_for_good(coordinator: Coordinator, hosted: Hosts, given: Any) -> None:
    agent = worker()
    agent.task("work")(lambda _: given)

    await hosted(agent)
    await coordinator.assign("build")

    (result,) = await coordinator.hear(1)
    assert result.error is not None
    assert (result.status, result.error.code, result.error.retryable) == ("failed", "invalid_output", False)


async def test_a_handler_says_how_its_task_failed(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()

    @agent.task("work")
    async def work(job: Job) -> None:
        if job.task == "limited":
            raise TaskFailed("the model is busy", code="rate_limit", retry_after=30)
        if job.task == "hopeless":
            raise TaskFailed("no such table", retryable=False)
        raise KeyError("oops")

    await hosted(agent)
    for task in ("limited", "hopeless", "broken"):
        await coordinator.assign(task)

    found = [result.error for result in await coordinator.hear(3)]
    assert all(found)
    errors = {error.message: error for error in found if error}
    assert errors["the model is busy"].retry_after == 30
    assert errors["the model is busy"].code == "rate_limit"
    assert errors["no such table"].retryable is False
    assert errors["KeyError: 'oops'"].retryable is True


async def test_what_an_agent_cannot_do_fails_for_good(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()
    agent.task("work")(lambda _: None)

    await hosted(agent)
    await coordinator.assign("a", capability="fly")
    await coordinator.assign("b", kind="compensate")

    errors = [result.error for result in await coordinator.hear(2)]
    assert [error and (error.code, error.retryable) for error in errors] == [("unknown_capability", False)] * 2


async def test_undoing_gets_what_the_task_gave(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()
    agent.task("work")(lambda _: {"table": "orders"})

    @agent.compensate("work")
    async def undo(job: Job) -> dict[str, Any]:
        return {"dropped": (await job.own_output())["table"]}

    await hosted(agent)
    await coordinator.assign("build")
    await coordinator.hear(1)
    await coordinator.assign("build", kind="compensate", output={"table": "orders"})

    done, undone = await coordinator.hear(2)
    assert (done.kind, undone.kind, undone.output) == ("run", "compensate", {"dropped": "orders"})


async def test_an_assignment_told_twice_is_done_once(coordinator: Coordinator, hosted: Hosts) -> None:
    agent, began = worker(slots=4), list[str]()
    go_on = asyncio.Event()

    @agent.task("work")
    async def work(job: Job) -> None:
        began.append(job.id)
        await go_on.wait()

    await hosted(agent)
    for _ in range(3):
        await coordinator.assign("build")
    await coordinator.assign("other")
    await until(lambda: len(began) == 2)
    go_on.set()

    await coordinator.hear(2)
    await asyncio.sleep(0.1)
    assert sorted(began) == ["shop.build.1", "shop.other.1"]
    assert len(await coordinator.stored()) == 2


async def test_who_asks_again_after_the_end_hears_the_same_result_again(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    agent, began = worker(), list[int]()

    @agent.task("work")
    async def work(job: Job) -> dict[str, int]:
        began.append(job.attempt)
        return {"n": len(began)}

    await hosted(agent)
    await coordinator.assign("build")
    await coordinator.hear(1)
    await coordinator.nc.jetstream().purge_stream("NEXUS_RESULTS")  # lost on the way
    await coordinator.assign("build")

    first, again = await coordinator.hear(2)
    assert first == again
    assert began == [1]


async def test_no_more_than_its_slots_run_at_one_time(coordinator: Coordinator, hosted: Hosts) -> None:
    agent, now, most = worker(slots=2), 0, 0

    @agent.task("work")
    async def work(_: Job) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1

    await hosted(agent)
    for number in range(8):
        await coordinator.assign(f"t{number}")

    results = await coordinator.hear(8)
    assert most == 2
    assert [result.lease for result in results] == [f"shop.t{number}.1" for number in range(8)]


async def test_what_is_withdrawn_is_stopped_and_never_spoken_of(coordinator: Coordinator, hosted: Hosts) -> None:
    agent, began, ended = worker(), list[str](), list[bool]()

    @agent.task("work")
    async def work(job: Job) -> None:
        began.append(job.task)
        try:
            await asyncio.sleep(0 if job.task == "last" else 60)
        except asyncio.CancelledError:
            ended.append(job.cancelled.is_set())
            raise

    await hosted(agent)
    await coordinator.assign("running")
    await coordinator.assign("waiting")
    await until(lambda: began == ["running"])
    await coordinator.withdraw("waiting")
    await coordinator.withdraw("running")
    await coordinator.withdraw("never-came")
    await coordinator.assign("never-came")
    await coordinator.assign("last")

    (result,) = await coordinator.hear(1)
    assert result.lease == "shop.last.1"
    assert (began, ended) == (["running", "last"], [True])


async def test_a_thread_sees_that_its_result_is_no_longer_wanted(coordinator: Coordinator, hosted: Hosts) -> None:
    agent, seen = worker(), threading.Event()

    @agent.task("work")
    def work(job: Job) -> None:
        while not job.cancelled.is_set():
            time.sleep(0.005)
        seen.set()

    await hosted(agent)
    await coordinator.assign("build")
    await coordinator.hear_beat(lambda _, beat: bool(beat.running))
    await coordinator.withdraw("build")

    assert await asyncio.to_thread(seen.wait, 5)
    assert coordinator.results == []


async def test_an_attempt_ends_after_its_run_seconds(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()

    @agent.task("work")
    async def work(_: Job) -> None:
        await asyncio.sleep(60)

    await hosted(agent)
    await coordinator.assign("build", run_seconds=0.1)

    (result,) = await coordinator.hear(1)
    assert result.error is not None
    assert (result.status, result.error.code, result.error.retryable) == ("failed", "timed_out", True)
    assert 0.1 <= result.seconds < 60


async def test_beats_tell_of_the_agent_and_how_far_its_work_is(coordinator: Coordinator, hosted: Hosts) -> None:
    agent, go_on = worker(capabilities=["work", "rest"], slots=3), asyncio.Event()

    @agent.task()
    async def work(job: Job) -> None:
        await job.progress(0.25, "a quarter")
        await go_on.wait()

    await hosted(agent)
    hello = await coordinator.hear_beat(lambda kind, _: kind == "hello")
    await coordinator.assign("build")

    def quarter(kind: str, beat: Beat) -> bool:
        return kind == "beat" and any(running.progress == 0.25 for running in beat.running)

    beat = await coordinator.hear_beat(quarter)
    go_on.set()
    await coordinator.hear_beat(lambda kind, beat: kind == "beat" and not beat.running)

    assert (hello.agent, hello.slots, hello.capabilities) == ("worker", 3, ("work", "rest"))
    assert (hello.interval, hello.running) == (0.1, ())
    assert beat.instance == hello.instance
    assert (beat.running[0].task, beat.running[0].note) == ("build", "a quarter")


async def test_progress_is_told_before_the_next_regular_beat(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()

    @agent.task("work")
    async def work(job: Job) -> None:
        await job.progress(0.5)
        await asyncio.sleep(60)

    await hosted(agent, beat=60.0)
    await coordinator.assign("build")

    await coordinator.hear_beat(lambda kind, beat: kind == "beat" and bool(beat.running), 20)


async def test_a_stopping_agent_finishes_what_it_has_and_says_bye(coordinator: Coordinator, hosted: Hosts) -> None:
    agent, began, go_on = worker(), asyncio.Event(), asyncio.Event()

    @agent.task("work")
    async def work(_: Job) -> None:
        began.set()
        await go_on.wait()

    host = await hosted(agent)
    await coordinator.assign("first")
    await coordinator.assign("second")
    await began.wait()
    stopping = asyncio.create_task(host.stop())
    await coordinator.hear_beat(lambda kind, beat: kind == "beat" and beat.draining)
    go_on.set()
    await stopping

    assert [result.lease for result in await coordinator.stored()] == ["shop.first.1", "shop.second.1"]
    bye = await coordinator.hear_beat(lambda kind, _: kind == "bye")
    assert bye.running == ()
    assert [kind for kind, _ in coordinator.beats][-1] == "bye"


PROGRAM = """
import asyncio
from nexus.agent import Agent, Job, run

agent = Agent("worker")

@agent.task("work")
async def work(job: Job) -> dict[str, str]:
    await asyncio.sleep(0.5)
    return {"by": "a program"}

run(agent, beat=0.1)
"""


async def test_a_program_that_is_told_to_stop_finishes_its_work(
    coordinator: Coordinator, server: EmbeddedServer, tmp_path: Path
) -> None:
    program = tmp_path / "agent.py"
    program.write_text(PROGRAM)
    environment = os.environ | server.access.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(sys.executable, program, env=environment)
    try:
        await coordinator.hear_beat(lambda kind, _: kind == "hello", 20)
        await coordinator.assign("build")
        await coordinator.hear_beat(lambda _, beat: bool(beat.running))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert [result.output for result in await coordinator.stored()] == [{"by": "a program"}]
    assert [kind for kind, _ in coordinator.beats][-1] == "bye"


async def test_a_program_that_waits_for_a_server_can_be_told_to_stop_and_says_once_what_it_waits_for(
    tmp_path: Path,
) -> None:
    program = tmp_path / "agent.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, env=environment, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr
    try:
        first = await asyncio.wait_for(process.stderr.readline(), 20)
        assert b"start one with `nexus up`" in first
        await asyncio.sleep(1.2)  # two more attempts
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert await process.stderr.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_server_that_says_nothing_any_more_keeps_no_agent_from_leaving(
    coordinator: Coordinator, hosted: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = worker()
    agent.task("work")(lambda _: None)
    host = await hosted(agent)
    nc = host._nc
    assert nc

    async def silence(_: int) -> None:
        raise FlushTimeoutError

    monkeypatch.setattr(nc, "flush", silence)
    await host.stop()

    assert nc.is_closed


async def test_what_is_not_done_within_the_grace_is_given_up_in_silence(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    agent, began = worker(), asyncio.Event()

    @agent.task("work")
    async def work(_: Job) -> None:
        began.set()
        await asyncio.sleep(60)

    host = await hosted(agent)
    await coordinator.assign("build")
    await began.wait()
    await host.stop(grace=0.05)

    await coordinator.hear_beat(lambda kind, _: kind == "bye")
    assert await coordinator.stored() == []


async def test_an_output_too_large_to_travel_goes_by_reference_and_is_fetched_where_it_is_needed(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    agent = worker()
    text = "x" * (2 * INLINE_LIMIT)

    @agent.task("work")
    async def work(job: Job) -> dict[str, Any]:
        if job.task == "make":
            return {"text": text}
        return {"length": len((await job.output_of("make"))["text"])}

    await hosted(agent)
    await coordinator.assign("make")
    (made,) = await coordinator.hear(1)
    await coordinator.assign("use", upstream={"make": made.output})

    _, used = await coordinator.hear(2)
    assert made.output["dataref"] == "artifacts/shop/make/1/output.run.json"
    assert "text" not in made.output
    assert used.output == {"length": len(text)}


async def test_an_output_that_was_left_out_is_read_from_the_log(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()

    @agent.task("work")
    async def work(job: Job) -> dict[str, Any]:
        return {"found": await job.output_of("make")}

    await hosted(agent)
    settled = TasksSettled(
        at=datetime.now(UTC), results=(Settlement(task="make", attempt=1, status="done", output={"tables": 3}),)
    )
    record = EventMapper(key_is_project=True).to_record(settled, "shop", 1)
    await EventLog(coordinator.nc, "coordinator").append([record], seen={"shop": 0})
    await coordinator.assign("use", upstream={"make": {"omitted": "read it from the project's history"}})

    (used,) = await coordinator.hear(1)
    assert used.output == {"found": {"tables": 3}}


async def test_artifacts_are_kept_for_others(coordinator: Coordinator, hosted: Hosts, tmp_path: Path) -> None:
    agent, file = worker(), tmp_path / "schema.sql"
    file.write_bytes(b"create table orders ();" * 20_000)

    @agent.task("work")
    async def work(job: Job) -> dict[str, Any]:
        if job.task == "make":
            return {"schema": await job.put_artifact("schema.sql", file), "note": await job.put_artifact("n", b"1")}
        content = await job.get_artifact(job.upstream["make"]["schema"])
        with pytest.raises(ArtifactMissing, match="no artifact 'artifacts/nothing'"):
            await job.get_artifact("artifacts/nothing")
        return {"same": content == file.read_bytes()}

    await hosted(agent)
    await coordinator.assign("make")
    (made,) = await coordinator.hear(1)
    await coordinator.assign("use", upstream={"make": made.output})

    _, used = await coordinator.hear(2)
    assert (used.status, used.output) == ("done", {"same": True})


async def test_nothing_is_lost_when_the_server_is_killed_in_the_middle(
    server: EmbeddedServer, coordinator: Coordinator, hosted: Hosts
) -> None:
    agent, began, go_on = worker(slots=8), list[str](), asyncio.Event()

    @agent.task("work")
    async def work(job: Job) -> None:
        began.append(job.task)
        if job.task.startswith("early"):
            await go_on.wait()

    await hosted(agent)
    for number in range(5):
        await coordinator.assign(f"early{number}")
    await until(lambda: len(began) == 5)
    await server.kill()
    go_on.set()  # they end while nobody can be told
    await asyncio.sleep(0.3)
    coordinator.beats.clear()
    await server.start()
    await patiently(lambda: provision(coordinator.nc))  # as the coordinator does with what lived in memory
    await coordinator.hear_beat(lambda kind, beat: kind == "hello" and beat.running == ())
    await coordinator.assign("late")

    await until(lambda: len({result.lease for _, result in coordinator.results}) == 6, 20)
    results = await coordinator.hear(6)
    expected = {f"shop.early{number}.1" for number in range(5)} | {"shop.late.1"}
    assert {result.lease for result in results} == expected
    assert {result.lease for result in await coordinator.stored()} == expected
    assert sorted(began) == ["early0", "early1", "early2", "early3", "early4", "late"]


async def test_an_agent_survives_the_loss_of_its_consumer(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()
    agent.task("work")(lambda _: None)
    await hosted(agent)
    await coordinator.assign("before")
    await coordinator.hear(1)

    await coordinator.nc.jetstream().delete_consumer("NEXUS_TASKS", "agent-worker")
    await coordinator.assign("after")

    await coordinator.hear(2, patience=10)


async def test_messages_that_cannot_be_understood_become_dead_letters_and_stop_nobody(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    agent = worker()
    agent.task("work")(lambda _: None)
    await hosted(agent)

    for garbage in (b"{", b"[]", b"{}", b'{"project": "a b"}'):
        await coordinator.nc.publish("nexus.tasks.worker", garbage)
    await coordinator.assign("build")

    await coordinator.hear(1)
    dead = await coordinator.nc.jetstream().stream_info("NEXUS_DEAD")
    assert dead.state.messages == 4


async def test_a_plain_json_assignment_will_do(coordinator: Coordinator, hosted: Hosts) -> None:
    agent = worker()
    agent.task("work")(lambda job: {"title": job.title})
    await hosted(agent)

    await coordinator.nc.publish(
        "nexus.tasks.worker",
        b'{"project":"shop","task":"a","attempt":1,"lease":"l","epoch":1,"capability":"work","title":"T"}',
    )

    (result,) = await coordinator.hear(1)
    assert result.output == {"title": "T"}


async def test_what_was_meant_for_an_earlier_run_of_the_agent_is_dropped(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    agent, began = worker(), list[str]()
    agent.task("work")(lambda job: began.append(job.task))
    await coordinator.assign("old")

    await hosted(agent)
    await coordinator.assign("new")

    await coordinator.hear(1)
    assert began == ["new"]


async def test_the_work_and_its_result_are_spans_of_the_project_s_trace(
    coordinator: Coordinator, hosted: Hosts
) -> None:
    spans = InMemorySpanExporter()
    telemetry.setup("agent-worker", exporter=spans)
    agent = worker()

    @agent.task("work")
    async def work(job: Job) -> None:
        if job.task == "bad":
            raise TaskFailed("no")

    host = await hosted(agent)
    await coordinator.assign("good")
    await coordinator.assign("bad")
    await coordinator.hear(2)
    results = {ce.subject: ce.traceparent for ce, _ in coordinator.results}
    found = spans.get_finished_spans()
    await host.stop()

    processed = {span.status.status_code: span for span in found if span.name == "process nexus.tasks.*"}
    sent = {_context(span): span for span in found if span.name == "send nexus.results.*.*"}
    assert {_parent(span) for span in processed.values()} == {TRACE}
    assert _parent(sent[results["good"]]) == _context(processed[StatusCode.UNSET])
    assert processed[StatusCode.ERROR].status.description == "no"


def _context(span: ReadableSpan) -> str | None:
    context = span.get_span_context()
    return traceparent_of(context) if context else None


def _parent(span: ReadableSpan) -> str | None:
    return traceparent_of(span.parent) if span.parent else None


async def test_several_agents_live_on_one_connection(coordinator: Coordinator, hosted: Hosts) -> None:
    agents = [Agent(f"agent{number}", slots=2) for number in range(3)]
    for agent in agents:
        agent.task("work")(lambda _: None)

    host = await hosted(*agents)
    for agent in agents:
        await coordinator.assign(f"for-{agent.name}", agent=agent.name)

    results = await coordinator.hear(3)
    assert {result.agent for result in results} == {"agent0", "agent1", "agent2"}
    assert len({beat.instance for _, beat in coordinator.beats}) == 3
    assert host.trouble() == ""


def test_an_agent_that_makes_no_sense_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="'my agent' is not a name"):
        Agent("my agent")
    with pytest.raises(ValueError, match="at least one slot"):
        Agent("a", slots=0)
    with pytest.raises(ValueError, match="offers nothing"):
        AgentHost([Agent("a")])
    with pytest.raises(ValueError, match="no handler for fly"):
        AgentHost([Agent("a", ["fly"])])
    agent = Agent("a")
    agent.task("work")(lambda _: None)
    with pytest.raises(ValueError, match="already"):
        agent.task("work")(lambda _: None)
    with pytest.raises(ValueError, match="same name"):
        AgentHost([agent, agent])
