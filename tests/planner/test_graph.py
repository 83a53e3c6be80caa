"""Graphs of tasks: every fault is found, with its place, and what has no fault has an order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contracts.work import Task
from services.planner.graph import cycles, faults, graph_of, topological, unprovided
from tests.planner.wishes import task

Edges = list[tuple[int, int]]


def told(*tasks: Task) -> list[tuple[str, str, str]]:
    return [(fault.code, fault.pointer, fault.message) for fault in faults(tasks)]


def test_a_sound_graph_has_no_faults() -> None:
    assert told(task("a"), task("b", "a"), task("c", "a", "b")) == []


def test_a_project_without_tasks_is_a_fault() -> None:
    assert told() == [("no_tasks", "/tasks", "a project needs at least one task")]


def test_an_id_given_twice_is_told_with_its_first_place() -> None:
    (fault,) = told(task("a"), task("b"), task("a"))

    assert fault == ("duplicate_task", "/tasks/2/id", "a is also the id of /tasks/0; every task needs an id of its own")


def test_an_unknown_dependency_is_told_with_what_was_perhaps_meant() -> None:
    (fault,) = told(task("design"), task("build", "design", "desing"))

    message = "there is no task desing; did you mean design?"
    assert fault == ("unknown_dependency", "/tasks/1/depends_on/1", message)


def test_a_cycle_is_told_in_the_order_of_work_from_the_task_that_comes_first() -> None:
    (fault,) = told(task("z"), task("b", "z", "c"), task("a", "b"), task("c", "a"))

    assert fault == ("cycle", "/tasks/1/depends_on/1", "the tasks wait for each other: b → a → c → b")


def test_a_cycle_is_told_from_its_first_task_wherever_it_is_entered() -> None:
    (fault,) = told(task("z"), task("a", "b"), task("b", "a", "z"))

    assert fault == ("cycle", "/tasks/1/depends_on/0", "the tasks wait for each other: a → b → a")


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    assert told(task("a", "a")) == [("cycle", "/tasks/0/depends_on/0", "the tasks wait for each other: a → a")]


def test_a_cycle_through_a_sync_point_is_a_cycle() -> None:
    (fault,) = told(task("a", waits_for=("ready",)), task("b", "a", provides="ready"))

    assert fault == ("cycle", "/tasks/0/waits_for", "the tasks wait for each other: a → b → a")


def test_all_faults_are_told_at_once() -> None:
    found = told(task("a", "b"), task("b", "a"), task("c", "d"), task("d", "c"), task("d"), task("e", "x"))

    assert sorted(code for code, _, _ in found) == ["cycle", "duplicate_task", "unknown_dependency"]

    found = told(task("a", "b"), task("b", "a"), task("c", "d"), task("d", "c"))

    assert [pointer for _, pointer, _ in found] == ["/tasks/0/depends_on/0", "/tasks/2/depends_on/0"]


def test_a_sync_point_that_no_task_provides_is_for_signals() -> None:
    assert unprovided(
        [task("a", provides="x"), task("b", waits_for=("x", "paid")), task("c", waits_for=("paid",))]
    ) == {"paid": ["b", "c"]}


def graphs(edges: Edges, size: int) -> list[Task]:
    before: dict[int, list[str]] = {n: [] for n in range(size)}
    for earlier, later in edges:
        before[later % size].append(f"t{earlier % size}")
    return [task(f"t{n}", *dict.fromkeys(names)) for n, names in before.items()]


@st.composite
def any_graphs(draw: st.DrawFn) -> list[Task]:
    size = draw(st.integers(1, 12))
    pair = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    return graphs(draw(st.lists(pair, max_size=30)), size)


@given(any_graphs())
def test_either_there_is_a_cycle_or_an_order(tasks: list[Task]) -> None:
    graph = graph_of(tasks)
    found = cycles(graph)

    if not found:
        order = topological(graph)
        assert sorted(order) == sorted(graph)
        assert all(order.index(before) < order.index(name) for name in graph for before in graph[name])
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert all(before in graph[name] for before, name in pairwise(cycle))


@given(any_graphs())
def test_a_fault_is_told_exactly_if_some_task_can_reach_itself(tasks: list[Task]) -> None:
    graph = graph_of(tasks)

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        left = list(graph[start])
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += graph[name]
        return seen

    assert bool(faults(tasks)) == any(name in reachable(name) for name in graph)
