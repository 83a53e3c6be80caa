"""The resource manager as a service, against a real server."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from nats.aio.client import Client
from prometheus_client import CollectorRegistry, generate_latest

from contracts.coordinator import ExecutionPaused
from contracts.resource_manager import (
    AgentJoined,
    AgentLost,
    CapacityChanged,
    CapacityLeased,
    CapacityQueued,
    LeaseExpired,
    LeaseReleased,
    LeaseRenewed,
)
from nexus.server import EmbeddedServer
from services.resource_manager.app import create
from services.resource_manager.domain import Pool
from services.resource_manager.gauges import Gauges
from shared.eventlog import EventLog
from shared.mapper import Origin
from shared.repository import Repository
from shared.service import running
from shared.settings import Settings
from tests.resource_manager.builders import beat, request
from tests.resource_manager.stage import BEAT, Stage, holds, now

pytestmark = pytest.mark.nats

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def stage(nc: Client, settings: Settings) -> AsyncIterator[Stage]:
    chosen = settings.model_copy(update={"agent_beat": BEAT, "lease_term": 1.5})
    stage = Stage(nc, chosen)
    await stage.start()
    yield stage
    await stage.end()


async def test_a_request_is_answered_with_a_lease(stage: Stage) -> None:
    await stage.join("ann", "work", slots=2)
    await stage.ask("p.a.1", request("p.b.1", cpu=60))

    pool = await stage.until(holds("p.a.1", "p.b.1"))

    assert {lease.agent for lease in pool.leases.values()} == {"ann"}
    (event,) = await stage.facts(CapacityLeased)
    assert event.project == "p"
    subject = (await EventLog(stage.nc, "resource_manager").read("default"))[-1].subject
    assert subject == "nexus.events.resource_manager.default.capacity_leased.p"


async def test_what_waits_says_why_and_comes_when_there_is_room(stage: Stage) -> None:
    await stage.ask("p.a.1")
    pool = await stage.until(lambda pool: pool.queue)
    assert pool.queue["p.a.1"].reason == "no_agent:work"

    await stage.join("ann", "work", slots=5)
    await stage.until(holds("p.a.1"))
    await stage.ask(request("q.b.1", cpu=70), request("q.c.1", cpu=70))
    pool = await stage.until(lambda pool: pool.queue)
    assert {one.request.id: one.reason for one in pool.queue.values()} == {"q.c.1": "cpu"}

    await stage.give_back("q.b.1")
    await stage.until(holds("p.a.1", "q.c.1"))


async def test_the_trace_of_a_project_goes_on_in_what_is_answered(stage: Stage) -> None:
    origin = Origin(causationid="cause", correlationid="p", traceparent=TRACE)
    await stage.ask("p.a.1", origin=origin)
    await stage.until(lambda pool: pool.queue)
    await stage.stop()
    await stage.start()
    await stage.join("ann")
    await stage.until(holds("p.a.1"))

    by_topic = {}
    for logged in await EventLog(stage.nc, "resource_manager").read("default"):
        by_topic[logged.topic.rpartition(".")[2]] = logged.state.decode()
    assert TRACE in by_topic["capacity_queued"]
    assert TRACE in by_topic["capacity_leased"]
    assert TRACE not in by_topic["agent_joined"]


async def test_an_ended_project_holds_nothing_and_its_place_is_free(stage: Stage) -> None:
    await stage.join("ann", slots=9)
    for n in range(6):
        await stage.ask(f"p{n}.a.1")
    pool = await stage.until(lambda pool: pool.queue)
    assert pool.queue["p5.a.1"].reason == "projects"

    await stage.complete("p0")

    await stage.until(holds(*(f"p{n}.a.1" for n in range(1, 6))))
    (event,) = [event for event in await stage.facts(LeaseReleased) if event.ended]
    assert (event.project, event.leases) == ("p0", ("p0.a.1",))


async def test_facts_that_concern_nobody_pass_by(stage: Stage) -> None:
    await stage.say("p", ExecutionPaused(at=now()))
    before = len(await EventLog(stage.nc, "resource_manager").read("default"))
    await stage.ask("p.a.1")
    await stage.until(lambda pool: pool.queue)

    assert len(await EventLog(stage.nc, "resource_manager").read("default")) == before + 1


async def test_events_of_many_projects_at_once_are_all_answered(stage: Stage) -> None:
    await stage.command("set_capacity", capacity={"projects": None})
    await stage.join("ann", slots=100)
    projects = [f"p{n}" for n in range(40)]

    await asyncio.gather(*(stage.ask(f"{project}.a.1") for project in projects))
    await stage.until(lambda pool: len(pool.leases) == 40)
    await asyncio.gather(*(stage.ask(f"{project}.b.1", released=[f"{project}.a.1"]) for project in projects))

    await stage.until(holds(*(f"{project}.b.1" for project in projects)))


async def test_a_fact_heard_twice_changes_nothing(stage: Stage) -> None:
    await stage.join("ann", slots=3)
    await stage.ask("p.a.1")
    await stage.until(holds("p.a.1"))
    await stage.give_back("p.a.1")
    await stage.until(lambda pool: not pool.leases)

    await stage.ask("p.a.1")
    await stage.give_back("p.a.1")
    await stage.ask("p.b.1")

    pool = await stage.until(lambda pool: pool.leases)
    assert pool.leases.keys() == {"p.b.1"}
    assert len(await stage.facts(CapacityLeased)) == 2


async def test_a_dead_agents_leases_expire_and_a_living_ones_are_renewed(stage: Stage) -> None:
    await stage.join("ann")
    await stage.join("bob", "other")
    await stage.ask("p.a.1", request("p.b.1", "other"))
    await stage.until(holds("p.a.1", "p.b.1"))

    stage.kill("ann")

    await stage.until(holds("p.b.1"))
    (expired,) = await stage.facts(LeaseExpired)
    assert (expired.project, expired.leases, expired.agent, expired.reason) == ("p", ("p.a.1",), "ann", "agent_lost")
    (lost,) = await stage.facts(AgentLost)
    assert lost.last_seen is not None
    assert (lost.at - lost.last_seen).total_seconds() >= 3 * BEAT, "never earlier than three missed beats"
    await stage.until(lambda pool: pool.leases["p.b.1"].until > expired.at + timedelta(seconds=2))
    assert (await stage.facts(LeaseRenewed))[-1].leases == ("p.b.1",)


async def test_a_lost_agent_that_speaks_again_is_back(stage: Stage) -> None:
    await stage.join("ann")
    stage.kill("ann")
    await stage.until(lambda pool: not pool.agents)

    await stage.join("ann")

    assert len(await stage.facts(AgentJoined)) == 2


async def test_an_agent_that_started_again_loses_its_leases_at_once(stage: Stage) -> None:
    await stage.join("ann", slots=2)
    await stage.ask("p.a.1")
    await stage.until(holds("p.a.1"))

    await stage.join("ann", slots=2, instance="2")

    assert not (await stage.pool()).leases
    (expired,) = await stage.facts(LeaseExpired)
    assert (expired.leases, expired.reason) == (("p.a.1",), "agent_restarted")


async def test_a_goodbye_of_an_earlier_run_is_not_one_of_this_run(stage: Stage) -> None:
    await stage.join("ann", instance="2")
    await stage.presence("ann", "bye", {"instance": "1"})
    await stage.join("bob")
    assert "ann" in (await stage.pool()).agents

    stage.kill("ann")
    await stage.presence("ann", "bye", {})
    await stage.until(lambda pool: "ann" not in pool.agents, seconds=3 * BEAT)


async def test_a_draining_agent_keeps_its_work_and_gets_no_more(stage: Stage) -> None:
    await stage.join("ann", slots=2)
    await stage.ask("p.a.1")
    await stage.until(holds("p.a.1"))

    outcome = await stage.command("drain_agent", agent="ann")
    assert outcome["status"] == "accepted"
    await stage.ask("p.b.1")

    pool = await stage.until(lambda pool: pool.queue)
    assert pool.leases.keys() == {"p.a.1"}
    assert pool.queue["p.b.1"].reason == "no_agent:work"


async def test_commands_that_make_no_sense_are_refused_with_a_reason(stage: Stage) -> None:
    assert (await stage.command("drain_agent", agent="nobody"))["code"] == "unknown_agent"
    assert (await stage.command("drain_agent", agent="ann", pool="other"))["code"] == "unknown_pool"
    refused = await stage.command("set_capacity", capacity={"cpu": -1})
    assert refused["status"] == "refused"
    assert refused["problems"][0]["pointer"] == "/capacity/cpu"


async def test_more_capacity_by_command_is_given_to_those_who_wait(stage: Stage) -> None:
    await stage.join("ann")
    await stage.ask(request("p.a.1", cpu=120))
    pool = await stage.until(lambda pool: pool.queue)
    assert pool.queue["p.a.1"].reason == "never:cpu"

    outcome = await stage.command("set_capacity", "once", capacity={"cpu": 200})
    await stage.until(holds("p.a.1"), seconds=2)

    assert (await stage.pool()).capacity.memory == 100, "what is left out stays"
    assert outcome["sequence"] is not None


async def test_signs_of_life_that_make_no_sense_hurt_nobody(stage: Stage) -> None:
    for kind, data in (("beat", {"instance": "1"}), ("hello", [1, 2]), ("beat", {"slots": "many"}), ("bye", 7)):
        await stage.presence("mad", kind, data)
    await stage.nc.publish("nexus.agents.mad.beat", b"{not json")

    await stage.join("ann")

    assert (await stage.pool()).agents.keys() == {"ann"}


async def test_no_more_agents_join_than_the_settings_allow(stage: Stage) -> None:
    await stage.command("set_capacity", capacity={"agents": 1})
    await stage.join("ann")
    stage.live(beat("bob", interval=BEAT))
    await asyncio.sleep(3 * BEAT)
    assert (await stage.pool()).agents.keys() == {"ann"}

    stage.kill("ann")

    await stage.until(lambda pool: pool.agents.keys() == {"bob"})


async def test_a_restart_keeps_everything_and_kills_nobody(stage: Stage) -> None:
    await stage.join("ann", slots=1)
    await stage.ask("p.a.1", "p.b.1")
    await stage.until(holds("p.a.1"))

    await stage.stop()
    await stage.ask("q.a.1")
    await asyncio.sleep(5 * BEAT)
    await stage.start()

    await stage.until(lambda pool: "q.a.1" in pool.queue)
    await stage.give_back("p.a.1")
    await stage.until(holds("p.b.1"))
    await asyncio.sleep(5 * BEAT)
    assert not await stage.facts(AgentLost)
    assert not await stage.facts(LeaseExpired)
    assert len(await stage.facts(AgentJoined)) == 1
    assert len(await stage.facts(CapacityChanged)) == 1, "the settings are stated once"


async def test_who_died_while_the_service_was_away_is_found_out(stage: Stage) -> None:
    await stage.join("ann")
    await stage.ask("p.a.1")
    await stage.until(holds("p.a.1"))
    await stage.stop()
    stage.kill("ann")

    await stage.start()

    await stage.until(holds())
    assert (await stage.facts(LeaseExpired))[0].reason == "agent_lost"


async def test_who_is_known_to_be_dead_is_not_taken_for_alive_after_a_restart(stage: Stage) -> None:
    await stage.join("ann")
    stage.kill("ann")
    await stage.until(lambda pool: not pool.agents)

    await stage.stop()
    await stage.start()

    assert len(await stage.facts(AgentJoined)) == 1


async def test_who_was_given_up_by_another_replica_joins_again(stage: Stage) -> None:
    await stage.join("ann")
    other = Repository(EventLog(stage.nc, "resource_manager"), Pool)
    await other.change("default", lambda pool: pool.record(AgentLost(at=now(), agent="ann")))

    await stage.ask("p.a.1")

    await stage.until(holds("p.a.1"))


async def test_other_settings_count_from_the_next_start_on(stage: Stage) -> None:
    await stage.join("ann")
    await stage.ask(request("p.a.1", cpu=120))
    await stage.until(lambda pool: pool.queue)
    await stage.stop()
    limits = stage.settings.nexus.resource_limits.model_copy(update={"cpu": 200})
    nexus = stage.settings.nexus.model_copy(update={"max_agents": 33, "resource_limits": limits})
    stage.settings = stage.settings.model_copy(update={"nexus": nexus})

    await stage.start()

    pool = await stage.until(holds("p.a.1"), seconds=2)
    assert pool.capacity.agents == 33


async def test_a_restart_of_the_server_kills_nobody(stage: Stage, server: EmbeddedServer) -> None:
    await stage.join("ann", slots=2)
    await stage.ask("p.a.1")
    await stage.until(holds("p.a.1"))

    await server.kill()
    await asyncio.sleep(5 * BEAT)
    await server.start()

    await stage.ask("p.b.1")
    await stage.until(holds("p.a.1", "p.b.1"))
    await asyncio.sleep(5 * BEAT)
    assert not await stage.facts(AgentLost)
    stage.kill("ann")
    await stage.until(holds())


async def test_a_server_that_stood_still_kills_nobody(stage: Stage, server: EmbeddedServer) -> None:
    await stage.join("ann")
    await stage.ask("p.a.1")
    await stage.until(holds("p.a.1"))

    os.kill(server.pid, signal.SIGSTOP)
    await asyncio.sleep(8 * BEAT)
    os.kill(server.pid, signal.SIGCONT)
    await asyncio.sleep(5 * BEAT)

    assert not await stage.facts(AgentLost)


async def test_the_gauges_show_the_pool(stage: Stage) -> None:
    await stage.join("ann", slots=2)
    await stage.ask(request("p.a.1", cpu=30), "p.b.1", "p.c.1")
    pool = await stage.until(lambda pool: pool.queue)
    registry = CollectorRegistry()
    Gauges(registry).pool = pool

    page = generate_latest(registry).decode()

    for line in (
        'nexus_pool_capacity{resource="cpu"} 100.0',
        'nexus_pool_held{resource="cpu"} 30.0',
        'nexus_pool_held{resource="slots"} 2.0',
        'nexus_pool_queue{reason="agents_busy"} 1.0',
        'nexus_pool_agents{state="ready"} 1.0',
        "nexus_pool_leases 2.0",
    ):
        assert line in page
    assert (await stage.facts(CapacityQueued))[0].queued[0].request.id == "p.c.1"


async def test_the_gauges_are_there_from_the_start(settings: Settings) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async with running(create, settings) as app:
        await dict(app.routes)["/metrics"]({"type": "http", "method": "GET", "headers": []}, receive, send)

    page = b"".join(message.get("body", b"") for message in sent).decode()
    assert 'nexus_pool_capacity{resource="cpu"} 100.0' in page
    assert 'nexus_pool_held{resource="cpu"} 0.0' in page
