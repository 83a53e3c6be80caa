"""An execution: order, failures, retries, control verbs, undoing. No infrastructure."""

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts.coordinator import ENDED
from contracts.planner import ProjectPlanned
from contracts.work import ProtocolConfig
from services.coordinator.domain import Execution
from services.coordinator.domain.execution import AlreadyBegun, AlreadyEnded, NotPossible
from services.coordinator.domain.state import Status
from tests.coordinator.world import START, World, planned, task

DIAMOND = (task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"))


def test_everything_that_is_ready_runs_at_once() -> None:
    world = World().begin(planned(*DIAMOND))

    world.grant()
    world.finish("a")
    world.grant()

    assert [d.task for d in world.working] == ["b", "c"]


def test_a_project_completes_when_its_last_task_is_done() -> None:
    world = World().begin(planned(*DIAMOND)).run()

    assert world.names()[-1] == "execution_completed"
    assert world.execution.status == "completed"
    assert world.live == set()


def test_a_join_starts_once_however_results_arrive() -> None:
    fan = [task(f"t{n}") for n in range(20)]
    world = World().begin(planned(*fan, task("join", *(t.id for t in fan))))
    world.grant()
    results = [(d.task, world.result(d)) for d in world.working] * 2
    random.Random(1).shuffle(results)

    for report in results:
        world.settle(report)
    world.working.clear()
    world.run()

    assert world.started.count("join") == 1
    assert world.execution.status == "completed"


def test_a_lease_is_carried_over_to_the_next_task() -> None:
    world = World(carry=5).begin(planned(task("a"), task("b", "a"), task("c", "b")))
    world.grant()

    world.finish("a")
    world.finish("b")
    world.finish("c")

    assert world.names().count("capacity_requested") == 0
    assert [d.lease for e in world.events for d in getattr(e, "dispatched", ())] == ["p.a.1"] * 3
    assert world.execution.status == "completed"


def test_a_lease_is_not_carried_over_to_a_task_that_needs_more() -> None:
    world = World(carry=5).begin(planned(task("a"), task("b", "a", demands={"cpu": 2})))
    world.grant()

    world.finish("a")

    assert world.waiting == ["p.b.1"]
    assert world.live == set()


def test_a_failed_task_is_retried_after_its_back_off_and_holds_nothing_meanwhile() -> None:
    world = World().begin(planned(task("a", retry={"attempts": 2, "initial": 10, "jitter": 0})))
    world.grant()

    world.fail("a")
    held = set(world.live)
    world.advance(9)
    early = list(world.waiting)
    world.advance(2)

    assert held == set()
    assert early == []
    assert world.waiting == ["p.a.2"]


def test_an_error_that_cannot_be_cured_is_not_retried() -> None:
    world = World().begin(planned(task("a", retry={"attempts": 5})))
    world.grant()

    world.fail("a", retryable=False)

    assert world.execution.status == "failed"


def test_asynchronous_contains_a_failure_to_what_depends_on_it() -> None:
    world = World().begin(planned(task("a"), task("b", "a"), task("x"), task("y", "x")))
    world.grant()

    world.fail("a")
    world.run()

    assert [world.status(t) for t in ("a", "b", "x", "y")] == ["failed", "blocked", "done", "done"]
    assert world.execution.status == "failed"
    assert world.events[-1].failed == ("a",)
    assert world.events[-1].blocked == ("b",)


def test_an_optional_task_that_fails_degrades_the_project() -> None:
    world = World().begin(planned(task("a"), task("extra", optional=True), task("more", "extra")))
    world.grant()

    world.fail("extra")
    world.run()

    assert world.execution.status == "completed"
    assert world.events[-1].degraded == ("extra", "more")


def test_synchronous_runs_one_task_at_a_time_in_phases() -> None:
    tasks = (task("a1", phase="one"), task("b1", phase="two"), task("a2", phase="one"), task("b2", phase="two"))
    world = World().begin(planned(*tasks, protocol="synchronous"))

    most = 0
    while world.waiting or world.working:
        world.grant()
        most = max(most, len(world.working))
        world.finish()

    assert most == 1
    assert [t[0] for t in world.started] == ["a", "a", "b", "b"]


def test_synchronous_stops_and_undoes_in_reverse_order() -> None:
    tasks = (task("a", compensate=True), task("b", "a", compensate=True), task("c", "b"), task("d", "c"))
    world = World().begin(planned(*tasks, protocol="synchronous"))
    for _ in range(2):
        world.grant()
        world.finish()
    world.grant()

    world.fail("c")
    undone = []
    while world.waiting:
        world.grant()
        undone += [d.task for d in world.working]
        world.finish()

    assert undone == ["b", "a"]
    assert world.execution.status == "rolled_back"
    assert world.events[-1].undone == ("a", "b")
    assert world.status("d") == "blocked"
    assert world.live == set()


def test_an_undoing_that_fails_is_named() -> None:
    tasks = (task("a", compensate=True), task("b", "a"))
    world = World().begin(planned(*tasks, protocol="synchronous"))
    world.grant()
    world.finish()
    world.grant()
    world.fail("b")

    world.grant()
    world.fail("a")

    assert world.execution.status == "rolled_back"
    assert world.events[-1].not_undone == ("a",)


def test_event_driven_waits_for_a_signal() -> None:
    tasks = (task("a"), task("b", "a", waits_for=["approved"]))
    world = World().begin(planned(*tasks, protocol="event_driven"))
    world.grant()
    world.finish()
    before = list(world.waiting)

    world.decide(lambda e: e.hear("approved", {"by": "somebody"}, "me", world.now))
    world.run()

    assert before == []
    assert world.execution.status == "completed"


def test_a_task_that_provides_a_point_frees_those_that_wait_for_it() -> None:
    tasks = (task("schema", provides="schema_ready"), task("api", waits_for=["schema_ready"]))
    world = World().begin(planned(*tasks, protocol="event_driven")).run()

    assert world.started == ["schema", "api"]
    assert world.execution.points == {"schema_ready": "schema"}


def test_event_driven_routes_a_failure_to_another_capability() -> None:
    world = World().begin(planned(task("a", alternatives=["senior"]), protocol="event_driven"))
    world.grant()

    world.fail("a")

    asked = world.events[-1].requested
    assert [(request.id, request.capability, request.avoid) for request in asked] == [("p.a.2", "senior", ("a",))]
    assert world.execution.request("a").capability == "senior"
    assert world.waiting == ["p.a.2"]


def test_a_failure_is_routed_away_also_where_its_lease_could_be_carried_over() -> None:
    world = World(carry=100).begin(planned(task("a", alternatives=["work"]), protocol="event_driven"))
    world.grant()

    world.fail("a")

    assert world.working == []
    assert world.waiting == ["p.a.2"]


def test_the_total_clock_leaves_no_time_for_another_route() -> None:
    story = planned(task("a", clocks={"total": 10}, alternatives=["senior", "chief"]), protocol="event_driven")
    world = World().begin(story)
    world.grant()

    world.advance(11)

    assert world.status("a") == "failed"
    assert world.names().count("tasks_settled") == 1


@pytest.mark.parametrize("clocks", [{"response": 10}, {"run": 10}])
def test_what_an_agent_that_fell_silent_held_is_not_carried_over_to_the_other_path(clocks: dict[str, float]) -> None:
    tasks = (task("main", clocks=clocks), task("fallback", waits_for=["main_failed"]))
    world = World(carry=1000).begin(planned(*tasks, protocol="event_driven"))
    while world.status("main") != "failed":
        world.grant()
        world.working.clear()
        world.advance(11)

    assert world.status("fallback") == "requested"
    assert world.live == set()


def test_event_driven_takes_the_other_path_after_a_failure_and_completes() -> None:
    tasks = (
        task("main", provides="built"),
        task("fallback", waits_for=["main_failed"], provides="built"),
        task("ship", waits_for=["built"]),
    )
    failing = World().begin(planned(*tasks, protocol="event_driven"))
    failing.grant()
    failing.fail("main")
    failing.run()
    fine = World().begin(planned(*tasks, protocol="event_driven")).run()

    assert failing.started == ["main", "fallback", "ship"]
    assert failing.execution.status == "completed"
    assert fine.started == ["main", "ship"]
    assert fine.execution.status == "completed"


def test_the_absence_of_an_expected_signal_is_an_event_too() -> None:
    tasks = (task("a"), task("late", waits_for=["approved"]), task("plan-b", waits_for=["approved_missed"]))
    world = World().begin(planned(*tasks, protocol="event_driven", expects={"approved": 60}))
    world.grant()
    world.finish()

    world.advance(61)
    world.run()

    assert "sync_point_missed" in world.names()
    assert world.status("late") == "blocked"
    assert world.status("plan-b") == "done"


def test_what_is_past_and_leads_to_nothing_wakes_nobody_up_again() -> None:
    tasks = (task("a", clocks={"response": 1000}), task("late", waits_for=["approved"]))
    missed = World().begin(planned(*tasks, protocol="event_driven", expects={"approved": 60}))
    undone = World().begin(planned(task("a", compensate=True), task("b", "a"), timeout_minutes=1))
    missed.grant()
    missed.advance(61)
    undone.grant()
    undone.finish()
    undone.decide(lambda e: e.cancel("enough", True, undone.now))
    undone.advance(61)

    assert missed.execution.next_wakeup({}) == (START + timedelta(seconds=1000), "response clock of a")
    assert undone.execution.status == "compensating"
    assert undone.execution.next_wakeup({}) is None, "it waits for capacity"


def test_a_late_result_is_recorded_once_and_changes_nothing() -> None:
    world = World().begin(planned(task("a", retry={"attempts": 3, "initial": 0})))
    world.grant()
    first = world.working.pop()
    world.decide(lambda e: e.lose([first.lease], "agent_lost", world.now))
    world.advance()
    world.grant()

    for _ in range(2):
        world.decide(lambda e: e.settle([("a", world.result(first))], world.now))

    late = [r for e in world.events if e.NAME == "tasks_settled" for r in e.results if r.status == "late"]
    assert [r.attempt for r in late] == [1]
    assert world.status("a") == "running"


def test_a_result_with_another_epoch_is_not_taken() -> None:
    world = World().begin(planned(task("a")))
    world.grant()
    dispatch = world.working[0].model_copy(update={"epoch": 99})

    world.decide(lambda e: e.settle([("a", world.result(dispatch))], world.now))

    assert world.status("a") == "running"


def test_a_result_nobody_was_assigned_is_handed_back() -> None:
    world = World().begin(planned(task("a"), task("b", "a")))
    world.grant()
    dispatch = world.working[0]

    unknown = world.decide(
        lambda e: e.settle(
            [("nosuch", world.result(dispatch)), ("a", world.result(dispatch)), ("b", world.result(dispatch))],
            world.now,
        )
    )

    assert unknown == [0, 2]
    assert world.status("a") == "done"


def test_pause_withdraws_what_waits_for_capacity_and_lets_run_what_runs() -> None:
    world = World().begin(planned(task("a"), task("b"), task("c", "a")))
    world.grant("a")

    world.decide(lambda e: e.pause(world.now))
    world.finish("a")
    paused = (list(world.waiting), world.status("b"), world.status("c"))
    world.decide(lambda e: e.resume(world.now))
    world.run()

    assert paused == ([], "waiting", "waiting")
    assert world.execution.status == "completed"


def test_capacity_that_comes_while_paused_is_declined() -> None:
    world = World().begin(planned(task("a")))
    lease = world.lease("p.a.1")
    world.decide(lambda e: e.pause(world.now))

    world.decide(lambda e: e.take([lease], world.now))

    assert world.names()[-1] == "capacity_declined"
    assert world.events[-1].released == ("p.a.1",)


def test_capacity_that_is_heard_of_after_the_end_needs_no_answer() -> None:
    world = World().begin(planned(task("a")))
    lease = world.lease("p.a.1")
    world.run()
    before = world.names()

    world.decide(lambda e: e.take([lease], world.now))

    assert world.names() == before, "the end gave everything back; a claim would live on otherwise"


def test_the_same_lease_delivered_twice_is_used_once() -> None:
    world = World().begin(planned(task("a")))
    lease = world.lease("p.a.1")

    for _ in range(2):
        world.decide(lambda e: e.take([lease], world.now))

    assert world.names().count("tasks_dispatched") == 1
    assert "capacity_declined" not in world.names()


def test_cancel_ends_at_once_and_what_runs_is_withdrawn() -> None:
    world = World().begin(planned(task("a"), task("b", "a")))
    world.grant()

    world.decide(lambda e: e.cancel("enough", False, world.now))

    assert world.execution.status == "cancelled"
    assert [name for name, _ in world.execution.stood_down(world.now)] == ["a"]
    with pytest.raises(AlreadyEnded):
        world.decide(lambda e: e.pause(world.now))


def test_cancel_with_rollback_undoes_what_is_done() -> None:
    world = World().begin(planned(task("a", compensate=True), task("b", "a")))
    world.grant()
    world.finish()

    world.decide(lambda e: e.cancel("enough", True, world.now))
    world.run()

    assert world.status("a") == "undone"
    assert world.execution.status == "rolled_back"


def test_a_paused_project_that_is_rolled_back_is_not_held_up_by_its_pause() -> None:
    tasks = (task("a", compensate=True, retry={"attempts": 2, "initial": 5}), task("b", "a"))
    world = World().begin(planned(*tasks))
    world.grant()
    world.finish()
    world.decide(lambda e: e.pause(world.now))
    world.decide(lambda e: e.cancel("enough", True, world.now))
    world.grant()
    world.fail("a")

    world.advance(10)
    world.run()

    assert world.execution.status == "rolled_back"
    assert world.status("a") == "undone"


def test_undoing_has_all_the_time_that_doing_had() -> None:
    world = World().begin(planned(task("a", compensate=True, clocks={"total": 10}), task("b", "a")))
    world.grant()
    world.finish()
    world.now += timedelta(seconds=60)

    world.decide(lambda e: e.cancel("enough", True, world.now))
    world.advance()
    world.run()

    assert world.status("a") == "undone"


def test_an_undoing_that_comes_together_with_a_late_result_counts() -> None:
    tasks = (task("a", compensate=True), task("b", retry={"attempts": 3, "initial": 0}))
    world = World().begin(planned(*tasks))
    world.grant()
    lost = next(dispatch for dispatch in world.working if dispatch.task == "b")
    world.decide(lambda e: e.lose([lost.lease], "agent_lost", world.now))
    world.working.remove(lost)
    world.finish("a")
    world.decide(lambda e: e.cancel("enough", True, world.now))
    world.grant("a")

    world.settle(("b", world.result(lost)), ("a", world.result(world.working[-1])))

    assert world.names()[-2:] == ["tasks_settled", "compensation_settled"]
    assert world.status("a") == "undone"


def test_a_project_that_is_tried_again_late_has_its_whole_time_again() -> None:
    world = World().begin(planned(task("a"), timeout_minutes=1))
    world.grant()
    world.fail("a")
    world.now += timedelta(hours=5)

    world.decide(lambda e: e.retry("a", world.now))
    world.advance()
    reopened = world.execution.status
    world.advance(61)

    assert reopened == "running"
    assert world.execution.status == "failed"


def test_retry_gives_a_failed_project_another_chance() -> None:
    world = World().begin(planned(task("a"), task("b", "a"), task("x")))
    world.grant()
    world.fail("a")
    world.run()
    assert world.execution.status == "failed"

    world.decide(lambda e: e.retry("a", world.now))
    world.run()

    assert world.execution.status == "completed"
    assert world.started.count("x") == 1


def test_a_project_that_has_begun_does_not_change_its_protocol() -> None:
    plan = planned(task("a"))
    world = World().begin(plan)

    world.begin(plan)
    with pytest.raises(AlreadyBegun, match="asynchronous"):
        world.decide(lambda e: e.begin(plan, ProtocolConfig(type="synchronous"), "protocol-1", world.now))

    assert world.names() == ["execution_started"]


def test_skip_counts_as_done() -> None:
    world = World().begin(planned(task("a"), task("b", "a")))
    world.grant()
    world.fail("a")

    world.decide(lambda e: e.skip("a", world.now))
    world.advance()
    world.run()

    assert world.execution.status == "completed"
    assert world.status("a") == "skipped"
    with pytest.raises(NotPossible):
        world.decide(lambda e: e.skip("b", world.now))


@pytest.mark.parametrize(
    ("clocks", "after", "status"),
    [({"run": 10}, 11, "failed"), ({"response": 10}, 11, "lost"), ({"total": 10}, 11, "failed")],
)
def test_each_clock_ends_an_attempt(clocks: dict[str, float], after: float, status: str) -> None:
    world = World().begin(planned(task("a", clocks={"response": 1000, **clocks})))
    world.grant()

    world.advance(after)

    settled = next(e for e in world.events if e.NAME == "tasks_settled")
    assert settled.results[0].status == ("lost" if status == "lost" else "timed_out")
    assert world.status("a") == ("requested" if status == "lost" else "failed")


def test_waiting_too_long_for_an_agent_fails_the_task_and_withdraws_the_request() -> None:
    world = World().begin(planned(task("a", clocks={"queue": 10})))

    world.advance(11)

    assert world.execution.status == "failed"
    assert world.waiting == []


def test_a_sign_of_life_puts_off_the_response_clock() -> None:
    world = World().begin(planned(task("a", clocks={"response": 10})))
    world.grant()
    heard = {"a": START + timedelta(seconds=8)}

    world.decide(lambda e: e.advance(START + timedelta(seconds=15), heard))

    assert world.status("a") == "running"
    assert world.execution.next_wakeup(heard) == (START + timedelta(seconds=18), "response clock of a")


def test_the_deadline_of_the_project_ends_it() -> None:
    world = World().begin(planned(task("a"), timeout_minutes=1))
    world.grant()

    world.advance(61)

    assert world.execution.status == "failed"
    assert "1 minutes" in world.events[-1].reason


@st.composite
def stories(draw: st.DrawFn) -> tuple[ProjectPlanned, int, float | None]:
    count = draw(st.integers(1, 9))
    tasks = []
    for n in range(count):
        after = draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else set()
        fields = {
            "optional": draw(st.booleans()),
            "compensate": draw(st.booleans()),
            "phase": draw(st.sampled_from(["one", "two"])),
            "retry": {"attempts": draw(st.integers(1, 3)), "initial": draw(st.sampled_from([0, 5]))},
        }
        tasks.append(task(f"t{n}", *(f"t{m}" for m in sorted(after)), **fields))
    protocol = draw(st.sampled_from(["asynchronous", "synchronous", "event_driven"]))
    return planned(*tasks, protocol=protocol), draw(st.integers(0, 2**32)), draw(st.sampled_from([None, 100.0]))


def _happen(world: World, dice: random.Random) -> None:
    """One thing that may happen, chosen by dice."""
    choice = dice.random()
    if choice < 0.3 and world.waiting:
        world.grant(dice.choice(world.waiting).split(".")[1])
    elif choice < 0.6 and world.working:
        world.finish(dice.choice(world.working).task)
    elif choice < 0.75 and world.working:
        world.fail(dice.choice(world.working).task)
    elif choice < 0.8 and world.working:
        lost = world.working.pop(dice.randrange(len(world.working)))
        world.decide(lambda e: e.lose([lost.lease], "agent_lost", world.now))
    elif choice < 0.85 and not world.execution.ended:
        world.decide(lambda e: (e.resume if e.paused else e.pause)(world.now))
    world.advance(dice.choice([0, 0, 1, 10]))


@settings(max_examples=150, deadline=None)
@given(stories())
def test_any_story_ends_holds_nothing_and_folds_again_to_the_same_state(
    story: tuple[ProjectPlanned, int, float | None],
) -> None:
    plan, seed, carry = story
    world, dice = World(carry=carry).begin(plan), random.Random(seed)

    for _ in range(400):
        if world.execution.ended:
            break
        _happen(world, dice)
        running = {s.lease for s in world.execution.tasks.values() if s.status is Status.RUNNING}
        assert running == set(world.execution.leases) == world.live
        wakeup = world.execution.next_wakeup({})
        assert world.over() or world.execution.paused or wakeup or world.waiting
        assert wakeup is None or wakeup[0] > world.now, "what is due was done, or it would be due for ever"
    if world.execution.paused:
        world.decide(lambda e: e.resume(world.now))
    for _ in range(300):
        if world.execution.ended:
            break
        world.advance(10)
        world.grant()
        world.finish()

    again = Execution("p")
    for event in world.events:
        again.apply(event)
    adapter = TypeAdapter(Execution)
    assert isinstance(world.events[-1], ENDED)
    assert adapter.dump_python(again) == adapter.dump_python(world.execution)
    assert adapter.validate_python(adapter.dump_python(again, mode="json")) == again
    assert world.live == set()
