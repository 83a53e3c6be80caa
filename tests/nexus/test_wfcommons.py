"""Workflow traces become projects, and simulated agents carry them out."""

import json
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from contracts.base import is_token
from nexus.cli.entry import run
from nexus.wfcommons import WorkflowError, bounds, read_workflow
from shared.settings import ResourceLimits

TRACES = Path(__file__).parents[2].parent / "shared" / "data" / "workflows"
NAMES = (
    "1000genome-chameleon-2ch-250k-001.json",
    "epigenomics-chameleon-hep-1seq-50k-001.json",
    "montage-chameleon-2mass-005d-001.json",
    "scrnaseq-dirt02-001.json",
    "srasearch-chameleon-10a-001.json",
)


def trace(name: str) -> Path:
    if not (TRACES / name).exists():
        pytest.skip(f"the trace is not here: {TRACES / name}")
    return TRACES / name


def workflow(*tasks: Mapping[str, Any], executed: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    machine = {"nodeName": "m", "cpu": {"coreCount": 4}, "memoryInBytes": 1000}
    ran = [{"id": name, **fields} for name, fields in (executed or {}).items()]
    return {
        "name": "tiny",
        "schemaVersion": "1.5",
        "workflow": {"specification": {"tasks": tasks}, "execution": {"tasks": ran, "machines": [machine]}},
    }


def written(folder: Path, content: object) -> Path:
    file = folder / "workflow.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", NAMES)
def test_a_real_trace_keeps_its_graph_and_its_times(name: str) -> None:
    source = json.loads(trace(name).read_text())["workflow"]
    request = read_workflow(trace(name), time_scale=0.5)
    tasks = request.tasks or ()

    assert len(tasks) == len(source["specification"]["tasks"])
    assert all(is_token(task.id) for task in tasks)
    assert len({task.id for task in tasks}) == len(tasks)
    edges = sum(len(set(task["parents"])) for task in source["specification"]["tasks"])
    assert sum(len(task.depends_on) for task in tasks) == edges
    assert len(list(TopologicalSorter({task.id: task.depends_on for task in tasks}).static_order())) == len(tasks)
    seconds = sum(task["runtimeInSeconds"] for task in source["execution"]["tasks"])
    assert sum(task.estimate for task in tasks) == pytest.approx(seconds * 0.5, rel=1e-4)
    assert all(task.demands.cpu <= 100 and task.demands.memory <= 100 for task in tasks)


def test_a_share_of_the_traced_machine_is_a_share_of_the_limits(tmp_path: Path) -> None:
    ran = {"a": {"runtimeInSeconds": 3, "avgCPU": 200, "memoryInBytes": 250}, "b": {"runtimeInSeconds": 1}}
    file = written(tmp_path, workflow({"id": "a"}, {"id": "b", "parents": ["a", "a"]}, executed=ran))

    first, second = read_workflow(file, limits=ResourceLimits(cpu=80, memory=None)).tasks or ()

    assert first.demands.cpu == 40, "two of four cores"
    assert first.demands.memory == 0, "what has no limit needs no counting"
    assert (second.demands.cpu, second.estimate) == (0, 1)
    assert second.depends_on == ("a",)


def test_ids_become_tokens_and_stay_apart(tmp_path: Path) -> None:
    file = written(
        tmp_path, workflow({"id": "a b"}, {"id": "a/b", "parents": ["a b"]}, {"id": "ä", "parents": ["a/b"]})
    )

    tasks = read_workflow(file).tasks or ()

    assert [task.id for task in tasks] == ["a-b", "a-b-2", "task"]
    assert [task.depends_on for task in tasks] == [(), ("a-b",), ("a-b-2",)]


def test_what_ran_may_say_what_an_agent_must_be_able_to_do(tmp_path: Path) -> None:
    ran = {"a_1": {"command": {"program": "align --fast"}}}
    file = written(tmp_path, workflow({"id": "a_1", "name": "a_1"}, {"id": "m_1", "name": "merge"}, executed=ran))

    assert [task.capability for task in read_workflow(file, by_category=True).tasks or ()] == ["align", "merge"]
    assert [task.capability for task in read_workflow(file).tasks or ()] == ["simulated", "simulated"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ({"tasks": []}, "it has no `workflow`"),
        ({"schemaVersion": "1.3", "workflow": {"tasks": []}}, "is WfFormat 1.3, understood is 1.5"),
        (workflow(), "has no tasks"),
        (workflow({"name": "a"}), r"workflow\.specification\.tasks\.0\.id"),
        (workflow({"id": "a"}, {"id": "a"}), "two tasks are called 'a'"),
        (workflow({"id": "a", "parents": ["b"]}), "parent 'b', which is no task"),
        (workflow({"id": "a", "parents": ["b"]}, {"id": "b", "parents": ["a"]}), "wait for each other: "),
    ],
)
def test_a_file_that_is_no_workflow_is_refused_with_the_reason(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        read_workflow(written(tmp_path, content))


def test_a_file_that_is_not_there_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="cannot be read: No such file"):
        read_workflow(tmp_path / "nothing.json")


def test_no_schedule_beats_the_critical_path_nor_the_work_over_the_slots(tmp_path: Path) -> None:
    ran = {name: {"runtimeInSeconds": seconds} for name, seconds in {"a": 1, "b": 4, "c": 2, "d": 1}.items()}
    diamond = workflow(
        {"id": "a"},
        {"id": "b", "parents": ["a"]},
        {"id": "c", "parents": ["a"]},
        {"id": "d", "parents": ["b", "c"]},
        executed=ran,
    )
    tasks = read_workflow(written(tmp_path, diamond)).tasks or ()

    assert (bounds(tasks, 2).critical_path, bounds(tasks, 2).work) == (6, 8)
    assert bounds(tasks, 2).best == 6
    assert bounds(tasks, 1).best == 8


@pytest.mark.nats
@pytest.mark.system
@pytest.mark.parametrize("name", ["montage-chameleon-2mass-005d-001.json", "srasearch-chameleon-10a-001.json"])
def test_a_trace_is_carried_out_no_faster_than_possible(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = trace(name)
    monkeypatch.chdir(tmp_path)
    scaled = ["--time-scale", "0.002", "--agents", "2", "--slots", "4"]

    code = run(["import", "wfcommons", str(file), "--run", "--json", *scaled])

    summary = json.loads(capsys.readouterr().out.splitlines()[-1])["summary"]
    assert (code, summary["status"], summary["reason"]) == (0, "completed", "")
    assert summary["tasks"] == len(json.loads(file.read_text())["workflow"]["specification"]["tasks"])
    assert summary["bound"] <= summary["makespan"] < summary["bound"] + 20
    assert summary["bound"] == max(summary["critical_path"], summary["work"] / 8)


def test_without_run_the_request_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, workflow({"id": "a"}, executed={"a": {"runtimeInSeconds": 200}}))

    assert run(["import", "wfcommons", str(file)]) == 0

    printed = json.loads(capsys.readouterr().out)
    assert printed["title"] == "tiny"
    assert printed["tasks"] == [{"id": "a", "capability": "simulated", "phase": "simulated", "estimate": 2.0}]
