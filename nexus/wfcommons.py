"""Real workflow traces as projects: reads WfFormat 1.5, the format of the WfCommons collection."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from contracts.base import TOKEN_PATTERN
from contracts.planner import CreateProject
from contracts.work import Demand, Task
from shared.settings import ResourceLimits

SIMULATED = "simulated"
"""What the agents can do that only let the time pass."""
LONGEST_ID = 96


class WorkflowError(ValueError):
    """The file is no workflow in WfFormat; the text says what is wrong with it."""


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class _Specified(_Part):
    id: str
    name: str = ""
    parents: tuple[str, ...] = ()


class _Command(_Part):
    program: str = ""


class _Executed(_Part):
    id: str
    runtime_in_seconds: float = Field(0, ge=0)
    command: _Command = _Command()
    avg_cpu: float | None = Field(None, alias="avgCPU", ge=0)
    """Percent of one core."""
    memory_in_bytes: float | None = Field(None, ge=0)


class _Cpu(_Part):
    core_count: int = 1


class _Machine(_Part):
    cpu: _Cpu = _Cpu()
    memory_in_bytes: float | None = None


class _Specification(_Part):
    tasks: tuple[_Specified, ...]


class _Execution(_Part):
    makespan_in_seconds: float = 0
    tasks: tuple[_Executed, ...] = ()
    machines: tuple[_Machine, ...] = ()


class _Workflow(_Part):
    specification: _Specification
    execution: _Execution = _Execution()


class _File(_Part):
    name: str = ""
    description: str = ""
    schema_version: str = ""
    workflow: _Workflow


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no schedule of these tasks can beat, in seconds."""

    critical_path: float
    work: float
    slots: int

    @property
    def best(self) -> float:
        """The larger of critical path and work ÷ slots."""
        return max(self.critical_path, self.work / self.slots)


def read_workflow(
    path: Path, *, time_scale: float = 1.0, limits: ResourceLimits | None = None, by_category: bool = False
) -> CreateProject:
    """Return the traced workflow as a request.

    A task is expected to take its traced run time × `time_scale`. Its share of the traced machines' processors and
    memory becomes its share of `limits`. All tasks go to simulated agents, or with `by_category` to agents that
    can do what the traced program's name says.
    """
    file = _read(path)
    execution = {task.id: task for task in file.workflow.execution.tasks}
    names = _tokens([task.id for task in file.workflow.specification.tasks], path)
    share = _shares(file.workflow.execution.machines, limits or ResourceLimits())
    tasks = []
    for task in file.workflow.specification.tasks:
        ran = execution.get(task.id) or _Executed(id=task.id)
        kind = _kind(task, ran)
        tasks.append(
            Task(
                id=names[task.id],
                title=task.name if task.name != names[task.id] else "",
                phase=kind,
                capability=kind if by_category else SIMULATED,
                depends_on=tuple(_known(names, parent, task, path) for parent in dict.fromkeys(task.parents)),
                demands=share(ran),
                estimate=round(ran.runtime_in_seconds * time_scale, 6),
            )
        )
    return CreateProject(title=file.name or path.stem, description=file.description, tasks=_checked(tasks, path))


def bounds(tasks: Sequence[Task], slots: int) -> Bounds:
    """Return what the estimates of these tasks allow at best."""
    by_id = {task.id: task for task in tasks}
    ends: dict[str, float] = {}
    for name in _order(tasks):
        begins = max((ends[parent] for parent in by_id[name].depends_on), default=0.0)
        ends[name] = begins + by_id[name].estimate
    return Bounds(max(ends.values(), default=0.0), sum(task.estimate for task in tasks), max(1, slots))


def _order(tasks: Iterable[Task]) -> Iterable[str]:
    return TopologicalSorter({task.id: task.depends_on for task in tasks}).static_order()


def _read(path: Path) -> _File:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise WorkflowError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise WorkflowError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("workflow"), dict):
        raise WorkflowError(f"{path}: is no workflow in WfFormat: it has no `workflow`")
    if "specification" not in content["workflow"]:
        version = content.get("schemaVersion") or "an unknown version"
        raise WorkflowError(f"{path}: is WfFormat {version}, understood is 1.5: it has no `workflow.specification`")
    try:
        return _File.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WorkflowError(f"{path}: {where}: {first['msg']}") from error


def _checked(tasks: list[Task], path: Path) -> tuple[Task, ...]:
    if not tasks:
        raise WorkflowError(f"{path}: the workflow has no tasks")
    try:
        list(_order(tasks))
    except CycleError as error:
        raise WorkflowError(f"{path}: the tasks wait for each other: {' → '.join(error.args[1])}") from error
    return tuple(tasks)


def _known(names: Mapping[str, str], parent: str, task: _Specified, path: Path) -> str:
    if parent not in names:
        raise WorkflowError(f"{path}: task {task.id} has the parent {parent!r}, which is no task of the workflow")
    return names[parent]


def _kind(task: _Specified, ran: _Executed) -> str:
    """Return what sort of task it is: its name where that is not just its id, else the program that ran."""
    named = task.name if task.name != task.id else ran.command.program.partition(" ")[0]
    return _token(named or SIMULATED)


def _token(text: str) -> str:
    if len(text) <= LONGEST_ID and re.match(TOKEN_PATTERN, text):
        return text
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:LONGEST_ID].strip("-") or "task"


def _tokens(ids: Sequence[str], path: Path) -> dict[str, str]:
    """Return a token for each id; ids that would become the same token are numbered."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for original in ids:
        if original in found:
            raise WorkflowError(f"{path}: two tasks are called {original!r}")
        token = base = _token(original)
        number = 2
        while token in taken:
            token, number = f"{base}-{number}", number + 1
        taken.add(token)
        found[original] = token
    return found


def _shares(machines: Sequence[_Machine], limits: ResourceLimits) -> Callable[[_Executed], Demand]:
    cores = sum(machine.cpu.core_count for machine in machines)
    memory = sum(machine.memory_in_bytes or 0 for machine in machines)

    def share(task: _Executed) -> Demand:
        wants: dict[str, Any] = {}
        if limits.cpu is not None and cores and task.avg_cpu:
            wants["cpu"] = _part(task.avg_cpu / 100 / cores, limits.cpu)
        if limits.memory is not None and memory and task.memory_in_bytes:
            wants["memory"] = _part(task.memory_in_bytes / memory, limits.memory)
        return Demand(**wants)

    return share


def _part(share: float, limit: float) -> float:
    return round(min(share, 1.0) * limit, 4)
