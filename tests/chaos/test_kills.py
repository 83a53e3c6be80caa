"""One process dies at a chosen moment, and the project that runs goes on. All of these share one system."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.planner import CreateProject
from contracts.resource_manager import AgentLost
from nexus.history import Entry
from shared.eventlog import EventLog
from tests.chaos.audit import audit
from tests.chaos.campaign import Campaign
from tests.chaos.fragile import DIED, FRAGILE
from tests.chaos.stage import BEAT, NATS, SERVICES, VICTIMS, Stage, rest, stage
from tests.chaos.workload import BUILD, SHAPES, Step, Wish, wishes

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

LOST = "nexus.events.resource_manager.*.agent_lost"
SETTLED = "nexus.events.coordinator.*.tasks_settled"


def job(name: str, *after: str, seconds: float = 0.15, **more: object) -> dict[str, object]:
    given = {"seconds": seconds, "fails": 0}
    retry = {"attempts": 5, "initial": 0.1}
    return {"id": name, "capability": BUILD, "depends_on": after, "input": given, "retry": retry, **more}


@dataclass
class House:
    """The system of this module, and every project that was handed in so far."""

    stage: Stage
    campaign: Campaign
    all: list[Wish] = field(default_factory=list)

    def begin(
        self, name: str, *tasks: dict[str, object], steps: tuple[Step, ...] = (), ends: str = "completed"
    ) -> Wish:
        protocol = {"type": "event_driven"}
        request = CreateProject.model_validate({"title": name, "tasks": tasks, "protocol": protocol})
        wish = Wish(f"kill-{name.replace(' ', '-')}", name, 0, request, ends, steps)
        self.all.append(wish)
        return wish

    async def facts(self, pattern: str, after: int = 0) -> list[Entry]:
        log = EventLog(self.stage.client.nc, "client")
        return [Entry(one) async for portion in log.replay([pattern], after=after) for one in portion]

    async def settled(self, wish: Wish) -> None:
        """Wait until something of the project is done."""
        async with asyncio.timeout(30):
            while not await self.facts(SETTLED.replace("*", wish.project)):
                await asyncio.sleep(0.02)

    async def problems(self) -> list[str]:
        """Wait until everything is back and at rest, and look what is wrong."""
        await self.stage.ready()
        await rest(self.stage.client)
        return await audit(self.stage, self.all, self.campaign.acknowledged)


@asynccontextmanager
async def furnished(data: Path, services: dict[str, str]) -> AsyncIterator[House]:
    async with stage(data, "1m", services) as here:
        house = House(here, Campaign(here.client))
        listening = asyncio.create_task(house.campaign.listen())
        yield house
        listening.cancel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with furnished(tmp_path_factory.mktemp("house"), SERVICES) as found:
        yield found


@pytest.mark.parametrize("victim", VICTIMS)
async def test_a_kill_in_the_middle_of_a_project_changes_nothing(house: House, victim: str) -> None:
    names = [f"t{n}" for n in range(6)]
    wish = house.begin(f"without {victim}", job("first"), *(job(name, "first") for name in names), job("join", *names))
    driving = asyncio.create_task(house.campaign.drive(wish))

    await house.settled(wish)
    assert await house.stage.kill(victim, away=0.5)
    await asyncio.wait_for(driving, 40)

    assert await house.problems() == []


async def test_pause_and_cancel_are_kept_by_a_coordinator_that_dies(house: House) -> None:
    paused = house.begin("held up", job("a"), job("b", "a"), job("c", "b", waits_for=["go"]), steps=(Step(0, "pause"),))
    cancelled = house.begin("given up", job("a"), job("b", "a", waits_for=["godot"]), steps=(Step(0, "cancel"),))
    cancelled = house.all[-1] = Wish(**{**vars(cancelled), "ends": "cancelled"})
    driving = [asyncio.create_task(house.campaign.drive(wish)) for wish in (paused, cancelled)]
    await asyncio.wait_for(driving[1], 30)
    await house.campaign.until(paused.project, lambda facts: "execution_paused" in facts)

    await asyncio.gather(house.stage.kill("coordinator"), house.stage.kill("resource_manager"))
    await house.stage.client.signal(paused.project, "go")
    await house.stage.ready()
    await asyncio.sleep(1)
    view = await house.stage.client.project(paused.project)
    assert view.paused
    assert view.tasks["c"].status == "waiting"

    await house.campaign.order(paused.project, Step(0, "resume").command(paused.project), "resume-held-up")
    await asyncio.wait_for(driving[0], 30)
    house.all[-2] = Wish(**{**vars(paused), "steps": (Step(0, "signal", "go"),)})
    assert await house.problems() == []


async def test_two_missed_beats_are_forgiven(house: House) -> None:
    await house.stage.ready()
    before = await house.stage.client.end()

    assert await house.stage.freeze("agents", 2.2 * BEAT)
    await asyncio.sleep(3 * BEAT)

    assert await house.facts(LOST, before) == []


async def test_an_agent_that_dies_is_lost_after_three_missed_beats_and_its_tasks_go_elsewhere(house: House) -> None:
    await house.stage.ready()
    before = await house.stage.client.end()
    names = [f"t{n}" for n in range(12)]
    wish = house.begin("orphans", *(job(name, seconds=2) for name in names))
    driving = asyncio.create_task(house.campaign.drive(wish))
    await house.campaign.until(wish.project, lambda facts: "tasks_dispatched" in facts)
    await asyncio.sleep(0.5)

    house.stage.supervisor.processes["agents"].wanted = False  # it does not come back
    await house.stage.kill("agents")
    await asyncio.wait_for(driving, 30)

    lost = [entry.event for entry in await house.facts(LOST, before)]
    assert {event.agent for event in lost if isinstance(event, AgentLost)} == {"ada", "bo"}
    for event in lost:
        assert isinstance(event, AgentLost)
        assert event.last_seen
        assert 3 * BEAT < (event.at - event.last_seen).total_seconds() < 6 * BEAT
    view = await house.stage.client.project(wish.project)
    first = Counter(task.attempts[0].status for task in view.tasks.values())
    assert first["lost"] >= 2, "both of them had some"
    assert {task.attempts[-1].agent for task in view.tasks.values()} == {"cy", "di"}
    await house.stage.supervisor.resume("agents")
    assert await house.problems() == []


async def test_a_service_that_dies_again_and_again_is_waited_for(house: House) -> None:
    for _ in range(3):
        await house.stage.ready()
        assert await house.stage.supervisor.kill("metrics")

    assert await house.problems() == []


async def test_all_at_once(house: House) -> None:
    wish = house.begin("blackout", *(job(f"t{n}", *([f"t{n - 1}"] if n else [])) for n in range(6)))
    driving = asyncio.create_task(house.campaign.drive(wish))
    await house.settled(wish)

    await asyncio.gather(*(house.stage.kill(victim, 0.5) for victim in (NATS, *SERVICES)))
    await asyncio.wait_for(driving, 60)

    assert await house.problems() == []


async def test_services_that_die_right_after_each_kind_of_fact_go_on(tmp_path: Path) -> None:
    async with furnished(tmp_path, SERVICES | FRAGILE) as house:
        house.all = wishes(5, len(SHAPES), 1)
        driving = asyncio.gather(*(house.campaign.drive(wish) for wish in house.all))
        async with asyncio.timeout(120):
            while not driving.done():
                for process in house.stage.supervisor.processes.values():
                    process.deaths = 0  # no back-off: they are not to be blamed
                await asyncio.sleep(0.1)
        await driving
        died = {file.name for file in (tmp_path / DIED).iterdir()}

        assert await house.problems() == []
        assert len(died) >= 14, f"only {died} killed, of some twenty kinds"
