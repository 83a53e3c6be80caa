"""What the coordinator recorded is carried out, also if the server went away in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from eventsourcing.persistence import OperationalError

from contracts.agents import Beat, Running, TaskResult
from contracts.coordinator import ErrorInfo
from contracts.envelope import CloudEvent
from contracts.resource_manager import Lease
from services.coordinator import conductor as module
from services.coordinator.conductor import Conductor
from services.coordinator.domain import Execution
from shared.memory import MemoryLog
from shared.repository import Repository
from tests.coordinator.world import planned, task


@dataclass
class Outside:
    """Server and timers as the coordinator sees them; `away` for a while."""

    away: bool = False
    sent: list[tuple[str, str]] = field(default_factory=list)
    armed: list[datetime] = field(default_factory=list)

    async def publish_all(self, messages: Iterable[tuple[str, CloudEvent]]) -> None:
        self._demand_there()
        self.sent += [(subject, event.type.rpartition(".")[2]) for subject, event in messages]

    async def arm(self, _key: str, at: datetime, **_: Any) -> bool:
        self._demand_there()
        self.armed.append(at)
        return True

    def _demand_there(self) -> None:
        if self.away:
            raise OperationalError("the server is away")


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
async def conductor(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Conductor]:
    monkeypatch.setattr(module, "PAY_EVERY", 0.01)
    log = MemoryLog("coordinator")
    made = Conductor(Repository(log, Execution), log, cast(Any, outside), cast(Any, outside))
    paying = asyncio.create_task(made.pay())
    yield made
    paying.cancel()


async def begun(conductor: Conductor, **fields: object) -> None:
    plan = planned(task("a", **fields))
    await conductor.act("p", lambda e: e.begin(plan, None, "", module.now()), create=True)


async def granted(conductor: Conductor) -> None:
    until = datetime.now(UTC) + timedelta(seconds=30)
    lease = Lease(id="p.a.1", project="p", task="a", agent="x", epoch=1, until=until)
    await conductor.act("p", lambda e: e.take([lease], module.now()))


def said(attempt: int) -> Beat:
    running = (Running(project="p", task="a", attempt=attempt),)
    return Beat(agent="x", instance="1", capabilities=("work",), running=running)


async def test_what_was_recorded_while_the_server_went_away_is_carried_out_once_it_is_back(
    conductor: Conductor, outside: Outside
) -> None:
    await begun(conductor)
    outside.away = True
    with pytest.raises(OperationalError):
        await granted(conductor)
    await granted(conductor)  # delivered again: it was recorded, so there is nothing to decide
    await asyncio.sleep(0.05)
    assert outside.sent == []

    outside.away = False
    await asyncio.sleep(0.05)

    assert outside.sent == [("nexus.tasks.x", "assignment")]
    assert outside.armed, "and its clocks are watched"
    await asyncio.sleep(0.05)
    assert len(outside.sent) == 1, "that is done once"


async def test_a_back_off_that_could_not_be_timed_is_timed_later(conductor: Conductor, outside: Outside) -> None:
    await begun(conductor, retry={"attempts": 2, "initial": 100})
    await granted(conductor)
    before = list(outside.armed)
    result = TaskResult(
        agent="x", attempt=1, lease="p.a.1", epoch=1, status="failed", error=ErrorInfo(message="broken")
    )
    outside.away = True
    with suppress(OperationalError):
        await conductor.act("p", lambda e: e.settle([("a", result)], module.now()))

    outside.away = False
    await asyncio.sleep(0.05)

    assert outside.armed != before
    assert outside.armed[-1] > datetime.now(UTC) + timedelta(seconds=50)


async def test_a_project_that_cannot_go_on_does_not_keep_the_others_waiting(
    conductor: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed: list[str] = []

    async def resume(project: str) -> None:
        resumed.append(project)
        if project == "broken":
            raise ValueError("no event of mine")

    monkeypatch.setattr(conductor, "resume", resume)
    for project in ("broken", "p"):
        with suppress(KeyboardInterrupt), conductor._owing(project):
            raise KeyboardInterrupt

    with pytest.raises(ValueError, match="no event of mine"):
        await asyncio.wait_for(conductor.pay(), 1)
    with pytest.raises(ValueError, match="no event of mine"):
        await asyncio.wait_for(conductor.pay(), 1)

    assert resumed.count("p") == 1
    assert resumed.count("broken") > 1


@pytest.mark.parametrize("lost", ["process", "connection"])
async def test_silence_that_nobody_could_have_heard_is_held_against_no_agent(
    lost: str, conductor: Conductor, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(conductor, clocks={"response": 0.2})
    await granted(conductor)
    await asyncio.sleep(0.3)

    if lost == "connection":
        conductor._excused -= 1
    else:
        log = conductor._log
        conductor = Conductor(Repository(log, Execution), log, cast(Any, outside), cast(Any, outside))
    await conductor.advance("p")  # a timer that became due meanwhile

    assert (await conductor.executions.get("p")).tasks["a"].status == "running"
    await asyncio.sleep(0.3)
    await conductor.advance("p")
    assert (await conductor.executions.get("p")).tasks["a"].losses == 1


async def test_what_is_said_of_an_earlier_attempt_is_no_sign_of_life_of_the_next(conductor: Conductor) -> None:
    await begun(conductor)
    await granted(conductor)
    began = conductor.vitals.heard("p", ["a"])

    conductor.vitals.beat(said(0), module.now())
    deaf = conductor.vitals.heard("p", ["a"])
    conductor.vitals.beat(said(1), module.now())

    assert deaf == began
    assert conductor.vitals.heard("p", ["a"])["a"] > began["a"]


async def test_what_comes_back_with_a_task_that_is_tried_again_asks_for_capacity_at_once(conductor: Conductor) -> None:
    plan = planned(task("a"), task("b"))
    await conductor.act("p", lambda e: e.begin(plan, None, "", module.now()), create=True)
    await granted(conductor)
    failed = TaskResult(
        agent="x", attempt=1, lease="p.a.1", epoch=1, status="failed", error=ErrorInfo(message="broken")
    )
    await conductor.act("p", lambda e: e.settle([("a", failed)], module.now()))
    await conductor.act("p", lambda e: e.cancel("enough", False, module.now()))

    await conductor.act("p", lambda e: e.retry("a", module.now()))

    execution = await conductor.executions.get("p")
    assert {name: state.status for name, state in execution.tasks.items()} == {"a": "requested", "b": "requested"}


async def test_work_that_was_taken_back_unheard_is_taken_back_again(conductor: Conductor, outside: Outside) -> None:
    await begun(conductor)
    await granted(conductor)
    await conductor.act("p", lambda e: e.cancel("enough", False, module.now()))
    outside.sent.clear()  # as if the withdrawal had been lost with the server's memory

    strange = [conductor.vitals.strangers(said(1)) for _ in range(2)]
    await conductor.recall("x", strange[1])

    assert strange == [set(), {("p", "a", 1)}], "one beat may have been under way"
    assert outside.sent == [("nexus.tasks.x", "withdrawal")]


async def test_work_that_a_new_process_never_gave_is_not_taken_back(conductor: Conductor, outside: Outside) -> None:
    await begun(conductor)
    await granted(conductor)
    conductor.vitals.forget("p")  # as after a restart
    outside.sent.clear()
    for _ in range(2):
        strange = conductor.vitals.strangers(said(1))

    await conductor.recall("x", strange)

    assert outside.sent == []
    assert conductor.vitals.strangers(said(1)) == set()
