"""What a project template consists of: the shape of the files in `templates/`, also told by `template.schema.json`."""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.base import Token
from contracts.work import Clocks, Demand, Fields, Task
from services.planner.conditions import Condition
from services.planner.graph import faults

Word = Annotated[str, Field(min_length=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Scale = Literal["users", "performance"]


class Part(BaseModel):
    """A frozen piece of a template; an unknown key is a mistake and is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Role(Part):
    """What a technology can be chosen for, such as `frontend`."""

    default: Word
    supported: tuple[Word, ...]
    aliases: dict[Word, Word] = {}
    """Other names of the supported ones."""

    @model_validator(mode="after")
    def _names_what_it_supports(self) -> Self:
        if unsupported := {self.default, *self.aliases.values()} - set(self.supported):
            raise ValueError(f"{', '.join(sorted(unsupported))} should be among the supported ones")
        return self


class Phase(Part):
    """A part of the project that people talk about."""

    id: Token
    title: str


class TemplateTask(Part):
    """One piece of work. What it has beyond `contracts.work.Task` says when and how large."""

    id: Token
    phase: Token
    capability: Token
    title: str
    when: Condition = ""
    """The task belongs to the project only if this holds; otherwise those behind it depend on those before it."""
    scales: tuple[Scale, ...] = ()
    """What makes it longer and larger: see `Scaling`."""
    estimate: Seconds
    pessimistic: Seconds
    demands: Demand = Demand()
    depends_on: tuple[Token, ...] = ()
    provides: Token | None = None
    waits_for: tuple[Token, ...] = ()
    clocks: Clocks = Clocks()
    compensate: bool = False
    optional: bool = False
    input: Fields = {}

    @model_validator(mode="after")
    def _is_pessimistic(self) -> Self:
        if self.pessimistic < self.estimate:
            raise ValueError(f"{self.id}: pessimistic ({self.pessimistic}) is less than the estimate ({self.estimate})")
        return self

    def plain(self, **changes: Any) -> Task:
        """Return it as a task of a plan."""
        given = {name: getattr(self, name) for name in Task.model_fields if name in type(self).model_fields}
        return Task(**{**given, **changes})


class UserScaling(Part):
    """Factor of `users`: 1 + per_tenfold × log10(expected_users ÷ base), never below 1."""

    base: int = Field(1000, ge=1)
    per_tenfold: float = Field(0.25, ge=0)


class Scaling(Part):
    """Factors by which requirements scale the tasks that list them: their seconds, and their cpu and memory."""

    users: UserScaling = UserScaling()
    performance: dict[Word, Annotated[float, Field(gt=0)]] = {"standard": 1.0}
    """Factor by performance level."""


class TemplateRisk(Part):
    """Something that may go wrong with such projects."""

    id: Token
    title: str
    when: Condition = ""
    probability: Probability
    impact: Seconds
    mitigation: str
    tasks: tuple[Token, ...] = ()


class DefaultResources(Part):
    """What the whole project holds if all its tasks run at once; each task has its share. None: the tasks' own sum."""

    cpu: float | None = Field(None, ge=0)
    memory: float | None = Field(None, ge=0)
    disk: float | None = Field(None, ge=0)
    network: float | None = Field(None, ge=0)


class Template(Part):
    """A kind of project: how one is done, and what can be chosen about it."""

    id: Token
    title: Word
    about: Word
    keywords: dict[Word, Annotated[float, Field(gt=0)]]
    """Words of a description that speak for it, with their weight."""
    technologies: dict[Word, Role]
    parameters: dict[str, Any]
    """JSON Schema (2020-12) of a request's `requirements`; its defaults are filled in."""
    phases: tuple[Phase, ...]
    tasks: tuple[TemplateTask, ...]
    sync_points: tuple[Token, ...] = ()
    protocol: str | None = None
    """How it is coordinated unless the request says; None: as `orchestrator.coordination.default_protocol` says."""
    scaling: Scaling = Scaling()
    risks: tuple[TemplateRisk, ...] = ()
    default_resources: DefaultResources = DefaultResources()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        mistakes = [*self._graph_mistakes(), *self._name_mistakes()]
        if mistakes:
            raise ValueError(f"template {self.id}: {'; '.join(mistakes)}")
        return self

    def _graph_mistakes(self) -> Iterator[str]:
        found = faults([task.plain() for task in self.tasks])
        yield from (f"{finding.pointer} {finding.message}" for finding in found)
        if not found:
            yield from phase_mistakes(self, [phase.id for phase in self.phases])

    def _name_mistakes(self) -> Iterator[str]:
        tasks, phases = {task.id for task in self.tasks}, {phase.id for phase in self.phases}
        yield from (f"{t.id} is in an unknown phase {t.phase}" for t in self.tasks if t.phase not in phases)
        for risk in self.risks:
            yield from (f"risk {risk.id} names an unknown task {name}" for name in risk.tasks if name not in tasks)
        provided = {task.provides for task in self.tasks if task.provides}
        if provided != set(self.sync_points):
            yield f"its tasks provide {sorted(provided)}, its sync points are {sorted(self.sync_points)}"


def content_hash(template: Template) -> str:
    """Return the sha256 of the content, whatever its order and spacing."""
    content = template.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def phase_mistakes(template: Template, order: list[str]) -> Iterator[str]:
    """Yield the dependencies that run against this order of phases."""
    place = {phase: nth for nth, phase in enumerate(order)}
    phase_of = {task.id: task.phase for task in template.tasks}
    for task in template.tasks:
        for before in task.depends_on:
            earlier, later = phase_of[before], task.phase
            if earlier in place and later in place and place[earlier] > place[later]:
                yield f"{task.id} ({later}) depends on {before} ({earlier}), so {earlier} must come before {later}"


def schema() -> str:
    """Return the JSON Schema of template files, for editors; `python -m services.planner.template` prints it."""
    return json.dumps(Template.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
