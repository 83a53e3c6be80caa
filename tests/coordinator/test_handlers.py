"""What is said about a project that is not being carried out."""

from typing import Any, cast

import pytest

from contracts.coordinator import ExecuteProject, PauseProject
from contracts.planner import CreateProject, ProjectCreated
from services.coordinator import handlers as module
from services.coordinator.conductor import Conductor
from services.coordinator.domain import Execution, ProtocolDefinition
from services.coordinator.handlers import Handlers, NeverStarted, UnknownProject
from services.coordinator.policies import Policies
from shared.mapper import EventMapper
from shared.memory import MemoryLog
from shared.repository import Origin, Repository
from tests.coordinator.world import START


@pytest.fixture
async def handlers(monkeypatch: pytest.MonkeyPatch) -> Handlers:
    """The coordinator's, where `p` was described and has no plan."""
    monkeypatch.setattr(module, "PATIENCE", 0)
    log = MemoryLog("coordinator")
    created = ProjectCreated(at=START, request=CreateProject(description="a shop"))
    record = EventMapper(key_is_project=True).to_record(created, "p", 1)
    await MemoryLog("planner", log.shelf).append([record], seen={"p": 0})
    conductor = Conductor(Repository(log, Execution), log, cast(Any, None), cast(Any, None))
    return Handlers(conductor, Policies(conductor, log), Repository(log, ProtocolDefinition))


async def test_who_wants_to_execute_it_is_not_told_to_execute_it(handlers: Handlers) -> None:
    with pytest.raises(NeverStarted, match="p is not being carried out: it has no plan"):
        await handlers.execute_project(ExecuteProject(project="p"), Origin(once="1"))
    with pytest.raises(NeverStarted, match="approve its plan or execute it first"):
        await handlers.pause_project(PauseProject(project="p"), Origin(once="2"))


async def test_one_that_nobody_described_is_unknown(handlers: Handlers) -> None:
    with pytest.raises(UnknownProject, match="there is no project q"):
        await handlers.execute_project(ExecuteProject(project="q"), Origin(once="1"))
