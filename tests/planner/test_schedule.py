"""The critical path method, against a naive search of all paths."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.work import Slack, Task
from services.planner.schedule import schedule
from tests.planner.wishes import task


def test_a_diamond_has_the_longer_side_as_its_critical_path() -> None:
    dates = schedule(
        [
            task("a", estimate=1),
            task("short", "a", estimate=2),
            task("long", "a", estimate=5),
            task("end", "short", "long", estimate=1),
        ]
    )

    assert dates.critical_path == ("a", "long", "end")
    assert dates.length == 7
    assert (dates.depth, dates.width) == (3, 2)
    assert dates.entries() == (
        Slack(task="a", earliest=0, slack=0),
        Slack(task="short", earliest=1, slack=3),
        Slack(task="long", earliest=1, slack=0),
        Slack(task="end", earliest=6, slack=0),
    )


def test_who_waits_for_a_sync_point_starts_after_whoever_provides_it() -> None:
    dates = schedule([task("a", estimate=3, provides="ready"), task("b", waits_for=("ready", "signal"), estimate=1)])

    assert dates.earliest == {"a": 0, "b": 3}
    assert dates.critical_path == ("a", "b")


@st.composite
def sound_graphs(draw: st.DrawFn) -> list[Task]:
    size = draw(st.integers(1, 10))
    seconds = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    tasks = [
        task(
            f"t{n}",
            *(f"t{b}" for b in sorted(draw(st.sets(st.integers(0, n - 1)) if n else st.just(set())))),
            estimate=s,
        )
        for n, s in enumerate(seconds)
    ]
    return draw(st.permutations(tasks))


@given(sound_graphs())
def test_it_agrees_with_a_search_of_all_paths(tasks: list[Task]) -> None:
    by_id = {t.id: t for t in tasks}
    after: dict[str, list[str]] = {t.id: [u.id for u in tasks if t.id in u.depends_on] for t in tasks}

    @cache
    def until(name: str) -> float:
        return max((until(b) + by_id[b].estimate for b in by_id[name].depends_on), default=0)

    @cache
    def from_start_of(name: str) -> float:
        return by_id[name].estimate + max(map(from_start_of, after[name]), default=0)

    longest = max(until(name) + from_start_of(name) for name in by_id)
    dates = schedule(tasks)

    assert dates.length == longest
    assert dates.earliest == {name: until(name) for name in by_id}
    assert dates.slack == pytest.approx({name: longest - until(name) - from_start_of(name) for name in by_id})
    assert sum(by_id[name].estimate for name in dates.critical_path) == longest
    assert all(dates.slack[name] == 0 for name in dates.critical_path)
    for before, name in pairwise(dates.critical_path):
        assert before in by_id[name].depends_on
    assert not by_id[dates.critical_path[0]].depends_on


@given(sound_graphs())
def test_no_task_starts_before_what_it_depends_on_has_ended(tasks: list[Task]) -> None:
    by_id, dates = {t.id: t for t in tasks}, schedule(tasks)

    for t in tasks:
        for before in t.depends_on:
            assert dates.earliest[before] + by_id[before].estimate <= dates.earliest[t.id]
