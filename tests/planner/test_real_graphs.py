"""Plans of graphs that nobody here made: what a plan calls a lower bound, no schedule that was ever found beats.

`../shared/data` beside the repository holds instances of PSPLIB with best known makespans, and real workflow traces.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from contracts.work import Demand, Plan, Task
from services.planner.planning import make_plan
from tests.planner.wishes import NOON, own, rules, workforce

DATA = Path(__file__).parents[3] / "shared" / "data"
RULES = rules()

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="there is no ../shared/data beside the repository")


def psplib() -> list[Any]:
    files = sorted((DATA / "rcpsp").glob("*.jsonl"))
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [pytest.param(instance, id=instance["name"]) for instance in found] or [pytest.param({}, id="none")]


def workflows() -> list[Any]:
    files = sorted((DATA / "workflows").glob("*.json"))
    return [pytest.param(file, id=file.stem) for file in files] or [pytest.param(DATA, id="none")]


def planned(tasks: list[Task], slots: int = 0) -> Plan:
    everybody = workforce(all=(("work",), slots)) if slots else workforce()
    return make_plan(own(*tasks), "", RULES, everybody, title="", at=NOON).plan


def tasks_of(instance: Any, resource: int) -> list[Task]:
    """Read an instance so that one of its resources are the agents' slots."""
    before = defaultdict(list)
    for found in instance["tasks"]:
        for successor in found["successors"]:
            before[successor].append(f"t{found['id']}")
    return [
        Task(
            id=f"t{found['id']}",
            capability="work",
            estimate=found["duration"],
            depends_on=tuple(before[found["id"]]),
            demands=Demand(slots=found["demands"][resource]),
        )
        for found in instance["tasks"]
    ]


@needs_data
@pytest.mark.parametrize("instance", psplib())
def test_no_known_schedule_beats_the_lower_bound(instance: Any) -> None:
    for resource, capacity in enumerate(instance["capacities"]):
        plan = planned(tasks_of(instance, resource), slots=capacity)

        assert 0 < plan.lower_bound <= instance["best_known"]
        assert plan.lower_bound >= planned(tasks_of(instance, resource)).lower_bound


@needs_data
@pytest.mark.parametrize("file", workflows())
def test_no_real_run_beat_its_critical_path(file: Path) -> None:
    workflow = json.loads(file.read_text())["workflow"]
    seconds = {task["id"]: task["runtimeInSeconds"] for task in workflow["execution"]["tasks"]}
    names = {task["id"]: f"t{n}" for n, task in enumerate(workflow["specification"]["tasks"])}
    tasks = [
        Task(
            id=names[task["id"]],
            capability="work",
            estimate=seconds[task["id"]],
            depends_on=tuple(names[parent] for parent in task["parents"]),
        )
        for task in workflow["specification"]["tasks"]
    ]

    plan = planned(tasks)

    assert len(plan.schedule) == len(tasks)
    assert sum(seconds.values()) == pytest.approx(plan.total_work)
    assert 0 < plan.lower_bound <= workflow["execution"]["makespanInSeconds"]
