"""How a project must end: its plan carried out in memory, by agents that behave as those in the processes do."""

from contracts.agents import TaskResult
from contracts.coordinator import Dispatch, ErrorInfo
from contracts.planner import ProjectPlanned
from services.coordinator.domain import Execution
from tests.chaos.agents import fails, value_of
from tests.chaos.workload import Wish
from tests.coordinator.world import World

ROUNDS = 500


def foretold(wish: Wish, planned: ProjectPlanned) -> Execution:
    """Return the execution at its end, had nothing ever been killed."""
    world = World(Execution(wish.project)).begin(planned)
    steps = [step for step in wish.steps if step.what in ("signal", "cancel")]
    for _ in range(ROUNDS):
        if world.over():
            return world.execution
        if world.waiting:
            world.grant()
        elif world.working:
            _work(world)
        elif steps and steps[0].what == "signal":
            _signal(world, steps.pop(0).name)
        elif steps:
            steps.pop(0)
            world.decide(lambda e: e.cancel("", False, world.now))
        world.advance(1)
    raise AssertionError(f"{wish.project} ({wish.shape}) does not end, whatever happens")


def _signal(world: World, name: str) -> None:
    world.decide(lambda e: e.hear(name, {}, "", world.now))


def _work(world: World) -> None:
    reports = [(dispatch.task, _result(world, dispatch)) for dispatch in world.working]
    world.working = []
    world.decide(lambda e: e.settle(reports, world.now))


def _result(world: World, dispatch: Dispatch) -> TaskResult:
    execution = world.execution
    task = execution.index.tasks[dispatch.task]
    if dispatch.kind == "compensate":
        return world.result(dispatch)
    if fails(task.input, dispatch.attempt):
        return world.result(dispatch, "failed", error=ErrorInfo(message="as planned", code="planned"))
    upstream = {earlier: execution.tasks[earlier].output for earlier in task.depends_on}
    return world.result(dispatch, output={"value": value_of(task.id, upstream)})
