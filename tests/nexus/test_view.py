"""The view of a project, checked against the coordinator's own state after every fact. No infrastructure."""

import random
from collections.abc import Callable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.coordinator import ExecutionStarted
from contracts.outcomes import Problem
from contracts.planner import (
    CreateProject,
    PlanApproved,
    ProjectAnalysed,
    ProjectCreated,
    ProjectRefused,
)
from contracts.resource_manager import (
    CapacityLeased,
    CapacityQueued,
    Lease,
    LeaseExpired,
    LeaseReleased,
    LeaseRenewed,
    Queued,
)
from contracts.work import Demand, Task
from nexus.view import ProjectView
from nexus.waits import Wait, waits
from shared.domain import DomainError
from tests.coordinator.world import START, World, planned, task

DIAMOND = (task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"))


def view_of(world: World) -> ProjectView:
    view = ProjectView("p")
    for number, event in enumerate(world.events, 1):
        view.apply(event, number)
    return view


def agree(world: World) -> ProjectView:
    view, execution = view_of(world), world.execution
    paused = execution.paused and execution.status == "running"
    assert view.status == ("paused" if paused else execution.status)
    assert {n: t.status for n, t in view.tasks.items()} == {n: str(t.status) for n, t in execution.tasks.items()}
    assert {n: t.attempt for n, t in view.tasks.items()} == {n: t.attempt for n, t in execution.tasks.items()}
    assert {n: t.retry_at for n, t in view.tasks.items()} == {n: t.retry_at for n, t in execution.tasks.items()}
    assert {n for n, point in view.points.items() if point.status == "reached"} == set(execution.points)
    assert view.ended_at == execution.ended_at
    for name, one in view.tasks.items():
        if one.open and view.status in ("running", "paused"):
            assert waits(view, name), f"{name} is {one.status} and waits for nothing"
        if one.status == "running":
            assert (one.agent, one.lease) == (execution.tasks[name].agent, execution.tasks[name].lease)
    return view


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["asynchronous", "synchronous", "event_driven"]))
def test_whatever_happens_the_view_and_the_coordinator_agree(chance: random.Random, protocol: str) -> None:
    world = World(carry=chance.choice([None, 5.0]))
    tasks = [_random_task(number, chance) for number in range(chance.randint(1, 8))]
    world.begin(planned(*tasks, protocol=protocol, sync_points=["go"]))
    agree(world)
    for _ in range(chance.randint(1, 30)):
        try:
            _step(world, chance)
        except DomainError:
            continue
        agree(world)


def _random_task(number: int, chance: random.Random) -> Task:
    earlier = [f"t{n}" for n in range(number)]
    after = chance.sample(earlier, min(len(earlier), chance.randint(0, 2)))
    return task(
        f"t{number}",
        *after,
        retry={"attempts": chance.randint(1, 2), "initial": chance.choice([0, 3])},
        compensate=chance.random() < 0.5,
        optional=chance.random() < 0.2,
        provides=f"point{number}" if chance.random() < 0.3 else None,
        waits_for=[chance.choice(["go", f"t{number - 1}_failed"])] if number and chance.random() < 0.2 else [],
        alternatives=["other"] if chance.random() < 0.2 else [],
    )


def _step(world: World, chance: random.Random) -> None:
    working = [dispatch.task for dispatch in world.working]
    some = chance.sample(working, chance.randint(1, len(working))) if working else []
    name = chance.choice(list(world.execution.tasks))
    now = world.now
    steps: list[Callable[[], object]] = [
        world.grant,
        world.grant,
        lambda: world.finish(*some) if some else None,
        lambda: world.finish(*some, seconds=1.5) if some else None,
        lambda: world.fail(*some, retryable=chance.random() < 0.7) if some else None,
        lambda: world.advance(chance.choice([1, 5, 100])),
        lambda: world.decide(lambda e: e.pause(now)),
        lambda: world.decide(lambda e: e.resume(now)),
        lambda: world.decide(lambda e: e.hear("go", {}, "somebody", now)),
        lambda: world.decide(lambda e: e.retry(name, now)),
        lambda: world.decide(lambda e: e.skip(name, now)),
        lambda: (
            world.decide(lambda e: e.cancel("enough", chance.random() < 0.7, now)) if chance.random() < 0.2 else None
        ),
    ]
    chance.choice(steps)()


def test_a_project_is_seen_from_its_description_to_its_end() -> None:
    plan = planned(*DIAMOND)
    request = CreateProject(type="api_service", title="Shop", description="sells", technologies={"database": "sqlite"})
    view = ProjectView("p")
    seen = []
    for event in (
        ProjectCreated(at=START, request=request, title="Shop"),
        ProjectAnalysed(at=START, analyst="rules", reasons=("it says so",)),
        plan.model_copy(update={"approved": False, "title": "Shop"}),
        PlanApproved(at=START),
    ):
        view.apply(event)
        seen.append((view.status, view.approved))
    world = World().begin(plan).run()
    for event in world.events:
        view.apply(event)

    assert seen == [("described", True), ("analysed", True), ("planned", False), ("planned", True)]
    assert (view.status, view.counts, view.progress) == ("completed", {"done": 4}, 1.0)
    assert (view.analyst, view.reasons) == ("rules", ("it says so",))
    assert view.created_at == START
    assert [attempt.status for attempt in view.tasks["a"].attempts] == ["done"]


def test_what_is_being_undone_is_not_shown_as_paused() -> None:
    world = World().begin(planned(task("a", compensate=True), task("b", "a")))
    world.grant()
    world.finish("a")
    world.decide(lambda e: e.cancel("enough", True, world.now))
    assert agree(world).status == "compensating"

    world.decide(lambda e: e.pause(world.now))
    assert agree(world).status == "compensating"
    world.decide(lambda e: e.resume(world.now))
    assert agree(world).status == "compensating"
    world.advance()
    assert agree(world.run()).tasks["a"].status == "undone"


def test_a_refused_project_says_what_was_wrong() -> None:
    view = ProjectView("p")

    view.apply(ProjectRefused(at=START, code="cycle", message="a needs b", problems=(Problem(message="a -> b"),)))

    assert (view.status, view.ended, view.code, view.reason) == ("refused", True, "cycle", "a needs b")
    assert view.problems[0].message == "a -> b"


def test_each_open_task_says_what_it_waits_for() -> None:
    waiting = task("x", waits_for=["approved"])
    world = World().begin(planned(*DIAMOND, waiting, expects={"approved": 60}))
    world.grant("a")
    view = view_of(world)

    assert [wait.kind for wait in waits(view, "a")] == ["lease"]
    assert waits(view, "b") == (Wait("task", "a"),)
    assert waits(view, "d") == (Wait("task", "b"), Wait("task", "c"))
    assert waits(view, "x") == (Wait("sync_point", "approved", START + timedelta(seconds=60)),)
    assert str(waits(view, "x")[0]) == "waits for sync point approved (until 00:01:00)"

    world.decide(lambda e: e.pause(world.now))
    assert waits(view_of(world), "b")[0] == Wait("resume")


def test_a_plan_that_nobody_approved_waits_for_that() -> None:
    view = ProjectView("p")
    view.apply(planned(task("a")).model_copy(update={"approved": False}))
    assert waits(view, "a")[0].kind == "approval"

    view.apply(PlanApproved(at=START))
    assert waits(view, "a") == (Wait("start"),)


def test_a_failed_attempt_waits_for_its_timer() -> None:
    world = World().begin(planned(task("a", retry={"attempts": 3, "initial": 10, "jitter": 0})))
    world.grant()
    world.fail()
    view = view_of(world)

    assert waits(view, "a") == (Wait("retry", until=START + timedelta(seconds=10)),)
    assert view.tasks["a"].error is not None
    assert view.tasks["a"].attempts[0].message == "broken"


def _lease(name: str, **demand: float) -> Lease:
    return Lease(id=f"p.{name}.1", project="p", task=name, agent="x", demand=Demand(**demand), epoch=1, until=START)


def test_leases_are_held_from_their_grant_to_their_release() -> None:
    world = World().begin(planned(task("a"), task("b"), task("c")))
    view = view_of(world)
    request = next(r for e in world.events if isinstance(e, ExecutionStarted) for r in e.requested if r.task == "c")
    queued = Queued(request=request, reason="no_agent:work", since=START)

    view.apply(CapacityLeased(at=START, project="p", leases=(_lease("a", cpu=2, slots=1), _lease("b", cpu=3, slots=1))))
    view.apply(CapacityQueued(at=START, project="p", queued=(queued,)))
    assert (view.held.cpu, view.held.slots) == (5, 2)
    assert waits(view, "a")[0].name == "granted, about to be dispatched"
    assert waits(view, "c") == (Wait("capacity", "no_agent:work"),)

    later = START + timedelta(seconds=30)
    view.apply(LeaseRenewed(at=START, leases=("p.a.1", "other.x.1"), until=later))
    assert view.leases["p.a.1"].until == later
    view.apply(LeaseReleased(at=START, project="p", leases=("p.a.1",)))
    view.apply(LeaseExpired(at=START, project="p", leases=("p.b.1",), agent="x", reason="agent_lost"))
    assert view.leases == {}


def test_a_view_can_be_written_as_json() -> None:
    world = World().begin(planned(*DIAMOND))
    world.grant()

    body = view_of(world).as_dict()

    assert body["tasks"]["b"]["waits"] == [{"kind": "task", "name": "a", "until": None}]
    assert body["counts"] == {"running": 1, "waiting": 3}
    assert (body["progress"], body["ended"], body["held"]["cpu"]) == (0.0, False, 0.0)
