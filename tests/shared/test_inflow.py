"""Messages flow in natural batches, each is settled once it was handled, and nothing stops the flow for long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats
import pytest
from eventsourcing.persistence import OperationalError
from nats.aio.client import Client
from nats.js import JetStreamContext

from contracts.envelope import CloudEvent, encode
from nexus.server import EmbeddedServer
from shared.deadletters import DeadLetters
from shared.delivery import Settlement
from shared.domain import DomainError, NotYet
from shared.inflow import Handle, Incoming, Inflow, InflowSpec
from shared.metrics import Meter
from shared.publisher import Publisher
from shared.streams import DEAD, EVENTS, INBOX, provision

pytestmark = pytest.mark.nats

SIGNALS = ("nexus.signals.*.*",)
Start = Callable[..., Inflow]


class Taken:
    """A handler that remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[Incoming]] = []
        self.arrived = asyncio.Event()

    async def __call__(self, batch: list[Incoming]) -> None:
        self.batches.append(batch)
        self.arrived.set()

    @property
    def subjects(self) -> list[str]:
        return [message.subject for batch in self.batches for message in batch]

    async def all(self, count: int, within: float = 10) -> list[str]:
        """Wait until so many messages were taken."""
        await until(lambda: len(self.subjects) >= count, within)
        return self.subjects


async def until(holds: Callable[[], bool], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.005)


async def empty(js: JetStreamContext, within: float = 5) -> None:
    """Wait until nothing is left in the inbox."""
    async with asyncio.timeout(within):
        while (await js.stream_info(INBOX)).state.messages:
            await asyncio.sleep(0.01)


@pytest.fixture
async def js(nc: Client) -> JetStreamContext:
    await provision(nc)
    return nc.jetstream()


@pytest.fixture
async def start(nc: Client, js: JetStreamContext) -> AsyncIterator[Start]:
    running: list[Inflow] = []
    meter = Meter()

    def begin(handle: Handle, **spec: Any) -> Inflow:
        chosen: dict[str, Any] = {"stream": INBOX, "durable": "test", "filters": SIGNALS, "ack_wait": 1.0} | spec
        inflow = Inflow(
            nc, InflowSpec(handle=handle, **chosen), Settlement(nc, DeadLetters(Publisher(nc)), meter), meter
        )
        inflow.start()
        running.append(inflow)
        return inflow

    yield begin
    for inflow in running:
        await inflow.stop()


async def send(js: JetStreamContext, *tasks: str, payload: bytes = b"{}") -> None:
    for task in tasks:
        await js.publish(f"nexus.signals.p.{task}", payload)


def numbered(count: int) -> list[str]:
    return [f"t{n}" for n in range(count)]


# The flow


async def test_what_waited_arrives_together_in_order_and_is_acknowledged(js: JetStreamContext, start: Start) -> None:
    await send(js, *numbered(100))
    taken = Taken()

    start(taken, batch=64)

    assert await taken.all(100) == [f"nexus.signals.p.t{n}" for n in range(100)]
    assert len(taken.batches) < 20
    assert max(map(len, taken.batches)) <= 64
    await empty(js)


async def test_what_arrives_while_others_are_handled_forms_the_next_batch(js: JetStreamContext, start: Start) -> None:
    sizes: list[int] = []
    go_on = asyncio.Event()

    async def slow(batch: list[Incoming]) -> None:
        sizes.append(len(batch))
        await go_on.wait()

    start(slow)
    await send(js, "first")
    await until(lambda: sizes == [1])
    await send(js, *numbered(50))
    await asyncio.sleep(0.1)
    go_on.set()

    await until(lambda: sum(sizes) == 51)
    assert sizes == [1, 50]


async def test_a_single_message_waits_for_nothing(js: JetStreamContext, start: Start) -> None:
    taken = Taken()
    inflow = start(taken)
    await until(inflow.healthy)
    waits = []

    for task in numbered(20):
        taken.arrived.clear()
        begun = time.perf_counter()
        await send(js, task)
        await taken.arrived.wait()
        waits.append(time.perf_counter() - begun)

    assert sorted(waits)[10] < 0.02  # measured: under 1 ms


async def test_a_message_knows_where_it_comes_from(js: JetStreamContext, start: Start) -> None:
    event = CloudEvent(id="r-1", type="nexus.agents.result", source="a", subject="t", data={"n": 1})
    await js.publish("nexus.signals.p.t", encode(event), headers={"Nats-Msg-Id": "r-1", "X-Case": "kept"})
    taken = Taken()

    start(taken)
    await taken.all(1)

    message = taken.batches[0][0]
    assert (message.stream, message.position, message.deliveries, message.pending) == (INBOX, 1, 1, 0)
    assert (message.id, message.ce.data, message.header("x-case")) == ("r-1", {"n": 1}, "kept")


async def test_no_more_is_taken_than_two_batches(js: JetStreamContext, start: Start) -> None:
    stuck, taken = asyncio.Event(), Taken()

    async def stopping(batch: list[Incoming]) -> None:
        await taken(batch)
        if len(taken.subjects) > 8:
            await stuck.wait()

    start(stopping, batch=10)
    for n, task in enumerate(numbered(8), 1):
        await send(js, task)
        await taken.all(n)
    await send(js, *numbered(100))
    await asyncio.sleep(0.2)

    assert (await js.consumer_info(INBOX, "test")).num_ack_pending <= 20
    stuck.set()


async def test_a_slow_handler_keeps_its_messages_and_those_behind_them(js: JetStreamContext, start: Start) -> None:
    seen: list[Incoming] = []

    async def slow(batch: list[Incoming]) -> None:
        seen.extend(batch)
        await asyncio.sleep(1.5 if len(seen) == 1 else 0)

    start(slow, ack_wait=0.6)
    await send(js, "slow")
    await until(lambda: len(seen) == 1)
    await send(js, "behind")
    await until(lambda: len(seen) == 2)
    await asyncio.sleep(0.8)

    assert [(message.subject[-6:], message.deliveries) for message in seen] == [("p.slow", 1), ("behind", 1)]
    await empty(js)


# Failures


async def test_only_the_message_that_failed_comes_again(js: JetStreamContext, start: Start) -> None:
    handled: list[tuple[str, int]] = []

    async def picky(batch: list[Incoming]) -> None:
        for message in batch:
            handled.append((message.subject[-2:], message.deliveries))
            if message.subject.endswith("t1") and message.deliveries == 1:
                message.fail(NotYet("too early"))

    await send(js, *numbered(3))
    start(picky)

    await until(lambda: len(handled) == 4)
    assert handled == [("t0", 1), ("t1", 1), ("t2", 1), ("t1", 2)]
    await empty(js)


async def test_a_culprit_is_found_and_the_others_are_handled(js: JetStreamContext, start: Start) -> None:
    handled: list[str] = []

    async def fragile(batch: list[Incoming]) -> None:
        if any(message.subject.endswith("t7") for message in batch):
            raise DomainError("t7 is wrong")
        handled.extend(message.subject for message in batch)

    await send(js, *numbered(20))
    start(fragile)

    await until(lambda: len(handled) == 19)
    await empty(js)
    headers = dict((await js.get_msg(DEAD, subject="nexus.dead.nexus.signals.p.t7")).headers or {})
    assert headers.pop("Nats-Msg-Id").startswith(f"{INBOX}-8-")
    assert headers == {
        "Nexus-Code": "refused",
        "Nexus-Reason": "t7 is wrong",
        "Nexus-Attempts": "1",
        "Nexus-Stream": INBOX,
        "Nexus-Sequence": "8",
    }


async def test_what_cannot_be_understood_never_reaches_the_handler(js: JetStreamContext, start: Start) -> None:
    taken = Taken()
    await send(js, "good")
    await send(js, "bad", payload=b"{")
    await send(js, "fine")

    start(taken)

    await taken.all(2)
    await empty(js)
    assert [len(batch) for batch in taken.batches] == [2]
    assert ((await js.get_msg(DEAD, seq=1)).headers or {})["Nexus-Code"] == "malformed"


async def test_an_outage_is_nobodys_fault_is_not_looked_for_and_is_told_once(
    js: JetStreamContext, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    async def without_log(batch: list[Incoming]) -> None:
        calls.append(len(batch))
        if len(calls) == 1:
            raise OperationalError("the log is away")

    await send(js, *numbered(10))
    start(without_log)

    await until(lambda: bool(calls) and sum(calls) == 10 + calls[0])  # a busy machine may begin with a few of them
    assert len(calls) < 10
    assert caplog.text.count("OperationalError: the log is away, again in") == 1
    await empty(js)


async def test_history_is_not_skipped_and_somebody_is_told(
    nc: Client, js: JetStreamContext, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shared.delivery.DELAYS", (0.01, 0.01))
    await js.publish("nexus.events.planner.p.project_created", b"{no json")
    attempts: list[int] = []

    async def broken(batch: list[Incoming]) -> None:
        attempts.append(batch[0].deliveries)
        raise KeyError("our bug")

    start(broken, stream=EVENTS, filters=["nexus.events.>"])

    await until(lambda: len(attempts) == 3)
    assert attempts == [1, 2, 3]
    assert (await js.stream_info(DEAD)).state.messages == 0
    assert (await js.consumer_info(EVENTS, "test")).num_ack_pending == 1
    await until(lambda: "still fails, again in 0.01 s" in caplog.text)


# What may happen to the consumer and to the server


async def test_a_deleted_durable_is_made_again(js: JetStreamContext, start: Start) -> None:
    taken = Taken()
    inflow = start(taken)
    await until(inflow.healthy)

    await js.delete_consumer(INBOX, "test")
    await send(js, "after")

    assert await taken.all(1, within=1.5) == ["nexus.signals.p.after"]
    await until(inflow.healthy)


async def test_a_durable_of_the_log_that_was_deleted_goes_on_where_it_was(js: JetStreamContext, start: Start) -> None:
    taken = Taken()
    for name in ("a", "b", "c"):
        await js.publish(f"nexus.events.planner.{name}.project_created", b"{}")
    inflow = start(taken, stream=EVENTS, filters=["nexus.events.>"])
    await taken.all(3)
    await asyncio.sleep(0.1)

    await js.delete_consumer(EVENTS, "test")
    await js.publish("nexus.events.planner.d.project_created", b"{}")
    await taken.all(4)
    await until(inflow.healthy)

    assert [subject.split(".")[3] for subject in taken.subjects] == ["a", "b", "c", "d"]


async def test_a_durable_that_was_deleted_does_not_go_back_to_what_was_refused(
    js: JetStreamContext, start: Start
) -> None:
    taken = Taken()

    async def refuse(batch: list[Incoming]) -> None:
        await taken(batch)
        if ".a." in batch[0].subject:
            raise DomainError("no")

    await js.publish("nexus.events.planner.a.project_created", b"{}")
    inflow = start(refuse, stream=EVENTS, filters=["nexus.events.>"])
    await taken.all(1)
    await js.publish("nexus.events.planner.b.project_created", b"{}")
    await taken.all(2)
    await asyncio.sleep(0.1)

    await js.delete_consumer(EVENTS, "test")
    await js.publish("nexus.events.planner.c.project_created", b"{}")
    await taken.all(3)
    await until(inflow.healthy)

    assert [subject.split(".")[3] for subject in taken.subjects] == ["a", "b", "c"]


async def test_a_crash_is_told_and_its_messages_are_taken_again(
    js: JetStreamContext, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken, settle, crashes = Taken(), Inflow._settle, iter([KeyError("our bug")])

    async def crash_once(inflow: Inflow, batch: list[Incoming]) -> None:
        for bug in crashes:
            raise bug
        await settle(inflow, batch)

    monkeypatch.setattr(Inflow, "_settle", crash_once)
    inflow = start(taken)
    await send(js, "a")

    assert await taken.all(2) == ["nexus.signals.p.a"] * 2
    await empty(js)
    await until(inflow.healthy)
    assert "crashed, again" in caplog.text


async def test_a_stream_that_was_made_anew_is_read_from_its_start(js: JetStreamContext, start: Start) -> None:
    taken = Taken()
    start(taken, stream="NEXUS_AGENTS", filters=["nexus.agents.*.*"])
    for n in range(5):
        await js.publish(f"nexus.agents.a{n}.beat", b"{}")
    await taken.all(5)

    await js.delete_stream("NEXUS_AGENTS")
    await until(lambda: len(taken.subjects) == 5)
    async with asyncio.timeout(5):
        while True:
            try:
                await js.publish("nexus.agents.new.beat", b"{}")
                break
            except nats.js.errors.NoStreamResponseError:
                await asyncio.sleep(0.05)

    assert (await taken.all(6))[-1] == "nexus.agents.new.beat"


async def test_a_durable_that_somebody_changed_is_corrected(js: JetStreamContext, start: Start) -> None:
    await js.pull_subscribe("nexus.signals.p.*", durable="test", stream=INBOX)
    taken = Taken()

    start(taken)
    await js.publish("nexus.signals.other.t", b"{}")

    assert await taken.all(1) == ["nexus.signals.other.t"]


async def test_a_killed_server_that_returns_is_asked_again(
    js: JetStreamContext, start: Start, server: EmbeddedServer
) -> None:
    taken = Taken()
    inflow = start(taken)
    await send(js, "before")
    await taken.all(1)

    await server.kill()
    await until(lambda: not inflow.healthy() or not js._nc.is_connected, within=5)
    await server.start()
    await until(lambda: js._nc.is_connected)
    await send(js, "after")

    assert await taken.all(2, within=5) == ["nexus.signals.p.before", "nexus.signals.p.after"]
    await until(inflow.healthy)


async def test_nothing_acknowledged_by_the_server_is_lost_when_it_is_killed_at_work(
    nc: Client, js: JetStreamContext, start: Start, server: EmbeddedServer
) -> None:
    done: set[str] = set()

    async def steady(batch: list[Incoming]) -> None:
        await asyncio.sleep(0.005)
        done.update(message.subject for message in batch)

    await send(js, *numbered(300))
    start(steady, batch=8)
    await until(lambda: len(done) > 50)
    await server.kill()
    await server.start()

    await until(lambda: len(done) == 300, within=15)
    await until(lambda: nc.is_connected)
    await empty(js)


async def test_a_memory_stream_lost_with_its_server_is_made_again(
    js: JetStreamContext, start: Start, server: EmbeddedServer
) -> None:
    taken = Taken()
    inflow = start(taken, stream="NEXUS_TASKS", filters=["nexus.tasks.a"])
    await until(inflow.healthy)

    await server.kill()
    await server.start()
    await until(inflow.healthy)
    async with asyncio.timeout(5):
        while not taken.subjects:
            try:
                await js.publish("nexus.tasks.a", b"{}", timeout=0.5)
            except nats.errors.Error:
                await asyncio.sleep(0.05)

    assert "nexus.tasks.a" in await taken.all(1)


async def test_a_silent_server_is_noticed(nc: Client, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    inflow = start(Taken())
    await until(inflow.healthy)

    await inflow._subscription.unsubscribe()  # type: ignore[union-attr]  # nothing is heard any more

    await until(lambda: not inflow.healthy() or inflow.age() > 2, within=5)
    await until(lambda: inflow.age() < 0.5, within=5)


# The end


async def test_a_stop_finishes_what_is_in_hand_and_gives_back_the_rest(js: JetStreamContext, start: Start) -> None:
    handled: list[str] = []

    async def slow(batch: list[Incoming]) -> None:
        await asyncio.sleep(0.2)
        handled.extend(message.subject for message in batch)

    await send(js, "t0")
    inflow = start(slow, ack_wait=30.0)
    await asyncio.sleep(0.1)
    await send(js, "t1", "t2")
    await asyncio.sleep(0.05)

    await inflow.stop()

    assert handled == ["nexus.signals.p.t0"]
    taken = Taken()
    start(taken, ack_wait=30.0)
    assert sorted(await taken.all(2, within=1)) == ["nexus.signals.p.t1", "nexus.signals.p.t2"]  # not after ack_wait
    await empty(js)


async def test_a_handler_that_hangs_does_not_keep_the_service_from_ending(
    js: JetStreamContext, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.inflow.PATIENCE", 0.2)
    hanging = asyncio.Event()

    async def hang(batch: list[Incoming]) -> None:
        hanging.set()
        await asyncio.sleep(3600)

    await send(js, "t")
    inflow = start(hang)
    await hanging.wait()

    await asyncio.wait_for(inflow.stop(), 2)

    assert (await js.stream_info(INBOX)).state.messages == 1


async def test_a_batch_that_is_stuck_is_not_healthy(
    js: JetStreamContext, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.inflow.STUCK", 0.1)
    release = asyncio.Event()

    async def stuck(batch: list[Incoming]) -> None:
        await release.wait()

    await send(js, "t")
    inflow = start(stuck)

    await until(lambda: "in hand" in inflow.trouble())
    release.set()
    await until(inflow.healthy)


async def test_what_flows_is_measured(nc: Client, js: JetStreamContext) -> None:
    meter, taken = Meter(), Taken()
    inflow = Inflow(
        nc,
        InflowSpec(stream=INBOX, durable="test", filters=SIGNALS, handle=taken),
        Settlement(nc, DeadLetters(Publisher(nc)), meter),
        meter,
    )
    await send(js, *numbered(5))

    inflow.start()
    await taken.all(5)
    await inflow.stop()

    value = meter.registry.get_sample_value
    assert value("nexus_messages_total", {"family": "signals", "outcome": "done"}) == 5
    assert value("nexus_handler_seconds_count", {"handler": "test"}) == len(taken.batches)
    assert value("nexus_inflow_pending_messages", {"durable": "test"}) == 0
