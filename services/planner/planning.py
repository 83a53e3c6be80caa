"""From a request to a plan. Pure: what has to be known of the world comes as arguments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple

from contracts.base import INLINE_LIMIT
from contracts.planner import CreateProject, ProjectPlanned
from contracts.work import Complexity, Fields, Plan, ProtocolConfig, Retry, Risk, Task
from services.planner import risks
from services.planner.admission import Limits, excessive
from services.planner.catalog import Catalog
from services.planner.complexity import complexity
from services.planner.estimates import lower_bound, together
from services.planner.findings import Finding, Refused, listed, meant, refuse
from services.planner.graph import faults
from services.planner.projections import Workforce
from services.planner.schedule import Schedule, schedule
from services.planner.tailoring import misfits, tailor
from services.planner.template import Template

PROTOCOLS = frozenset({"synchronous", "asynchronous", "event_driven"})
MOST_SCHEDULED = 500
"""With more tasks the plan leaves the schedule out: it would take up to half of a message of limited size."""
MOST_BYTES = INLINE_LIMIT * 3 // 4
"""Largest request that is taken: its plan says more, and must fit into one message too."""
FEW_TASKS = 100
"""With so few tasks what a plan adds to its request always fits into the last quarter."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about plans."""

    catalog: Catalog
    limits: Limits
    default_protocol: str = "asynchronous"
    protocols: frozenset[str] = PROTOCOLS
    """Those built in, and those of plug-ins."""
    attempts: int = 3
    """How often a task is tried that says nothing itself."""
    timeout: float | None = 3600
    """Seconds for the whole execution."""
    sync_timeout: float | None = 300


class Basis(NamedTuple):
    """What a plan is made of: the request's own tasks, or a template made to measure."""

    tasks: tuple[Task, ...]
    technologies: dict[str, str]
    requirements: Fields
    unknown: tuple[str, ...]
    """Roles whose technology nothing is known about."""
    template: Template | None = None


def check(request: CreateProject, rules: Rules) -> Iterator[Finding]:
    """Yield everything that is wrong with a request and can be told without analysing it."""
    if request.tasks is not None:
        found = faults(request.tasks)
        yield from (*found, *excessive(request.tasks, rules.limits))
    elif request.type is not None:
        yield from _check_template(request, rules)
    elif not (request.title or request.description or request.technologies):
        message = f"say what to do: a description, a type ({listed(rules.catalog.templates)}) or tasks"
        yield Finding("no_template", "", message)
    if request.protocol is not None and request.protocol.type not in rules.protocols:
        kind = request.protocol.type
        message = f"there is no protocol {kind!r}, only {listed(rules.protocols)}{meant(kind, rules.protocols)}"
        yield Finding("unknown_protocol", "/protocol/type", message)
    if (size := _size(request)) > MOST_BYTES:
        message = f"the request has {size:,} bytes, at most {MOST_BYTES:,} can be planned; split the project"
        yield Finding("too_large", "", message)


def _check_template(request: CreateProject, rules: Rules) -> Iterator[Finding]:
    template = rules.catalog.get(request.type or "")
    if template is None:
        yield Finding("unknown_template", "/type", rules.catalog.unknown(request.type or ""))
        return
    found = list(misfits(template, request))
    yield from found or _too_demanding(template, tailor(template, request).tasks, rules)


def _too_demanding(template: Template, tasks: Sequence[Task], rules: Rules) -> Iterator[Finding]:
    """Yield what does not fit, without places: the request did not say it, the template and the settings did."""
    for finding in excessive(tasks, rules.limits):
        remedy = f"set orchestrator.templates.{template.id}.default_resources lower or nexus.resource_limits higher"
        yield Finding(finding.code, "", f"{finding.message}; {remedy}")


def _size(message: CreateProject | ProjectPlanned) -> int:
    return len(message.__pydantic_serializer__.to_json(message, exclude_defaults=True))


def make_plan(
    request: CreateProject, template: str, rules: Rules, workforce: Workforce, *, title: str, at: datetime
) -> ProjectPlanned:
    """Return the plan as the fact that it will be; raise `Refused` if there can be none."""
    basis = _basis(request, template, rules)
    dates = schedule(basis.tasks)
    protocol = _protocol(request, basis, rules)
    planned = ProjectPlanned(
        at=at,
        title=title,
        description=request.description,
        technologies=basis.technologies,
        requirements=basis.requirements,
        type=template or request.type or "",
        priority=request.priority,
        approved=request.start == "auto",
        plan=Plan(
            tasks=basis.tasks,
            protocol=protocol,
            template=template,
            template_hash=rules.catalog.hashes.get(template, ""),
            phases=_phases(basis),
            sync_points=protocol.sync_points,
            risks=tuple(_risks(basis, dates, workforce, protocol)),
            complexity=_complexity(basis, dates),
            schedule=dates.entries() if len(basis.tasks) <= MOST_SCHEDULED else (),
            critical_path=dates.critical_path,
            lower_bound=round(lower_bound(basis.tasks, dates, workforce), 6),
            total_work=round(sum(task.estimate for task in basis.tasks), 6),
            demands=together(basis.tasks),
        ),
    )
    if len(basis.tasks) > FEW_TASKS and (size := _size(planned)) > INLINE_LIMIT:
        message = f"the plan has {size:,} bytes, at most {INLINE_LIMIT:,} fit into one message; split the project"
        raise Refused([Finding("too_large", "/tasks", message)])
    return planned


def _basis(request: CreateProject, template_id: str, rules: Rules) -> Basis:
    refuse(check(request, rules))
    if request.tasks is not None:
        known = rules.catalog.technologies()
        unknown = tuple(role for role, name in request.technologies.items() if name.strip().lower() not in known)
        tasks = _with_attempts(request.tasks, rules.attempts)
        return Basis(tasks, request.technologies, request.requirements, unknown)
    template = rules.catalog.get(template_id)
    if template is None:
        raise Refused([Finding("unknown_template", "/type", rules.catalog.unknown(template_id))])
    tailored = tailor(template, request)
    refuse(_too_demanding(template, tailored.tasks, rules))
    tasks = _with_attempts(tailored.tasks, rules.attempts)
    return Basis(tasks, tailored.technologies, tailored.requirements, tailored.unknown, template)


def _with_attempts(tasks: tuple[Task, ...], attempts: int) -> tuple[Task, ...]:
    usual, wanted = Retry(), Retry(attempts=attempts)
    if wanted == usual:
        return tasks
    return tuple(task.model_copy(update={"retry": wanted}) if task.retry == usual else task for task in tasks)


def _protocol(request: CreateProject, basis: Basis, rules: Rules) -> ProtocolConfig:
    usual = (basis.template and basis.template.protocol) or rules.default_protocol
    given = request.protocol or ProtocolConfig(type=usual)
    missing: dict[str, Any] = {"sync_points": _sync_points(basis, given)}
    if given.timeout_minutes is None and rules.timeout:
        missing["timeout_minutes"] = rules.timeout / 60
    if given.sync_timeout is None:
        missing["sync_timeout"] = rules.sync_timeout
    return given.model_copy(update=missing)


def _sync_points(basis: Basis, protocol: ProtocolConfig) -> tuple[str, ...]:
    """Return those that the protocol names first, in its order, then all others that tasks reach or wait for."""
    names = dict.fromkeys(protocol.sync_points)
    for task in basis.tasks:
        names |= dict.fromkeys(task.waits_for)
        if task.provides is not None:
            names[task.provides] = None
    return tuple(names | dict.fromkeys(protocol.expects))


def _phases(basis: Basis) -> tuple[str, ...]:
    used = dict.fromkeys(task.phase for task in basis.tasks if task.phase)
    if basis.template is None:
        return tuple(used)
    return tuple(phase.id for phase in basis.template.phases if phase.id in used)


def _risks(basis: Basis, dates: Schedule, workforce: Workforce, protocol: ProtocolConfig) -> Iterator[Risk]:
    if basis.template is not None:
        yield from risks.of_template(basis.template.risks, basis.tasks, basis.technologies, basis.requirements)
    timeout = protocol.timeout_minutes * 60 if protocol.timeout_minutes else None
    yield from risks.of_time(basis.tasks, dates, timeout)
    yield from risks.of_capacity(basis.tasks, dates, workforce)
    yield from risks.of_signals(basis.tasks, protocol.sync_timeout)
    yield from risks.of_technologies((role, basis.technologies[role]) for role in basis.unknown)


def _complexity(basis: Basis, dates: Schedule) -> Complexity:
    users = basis.requirements.get("expected_users", 0)
    return complexity(
        tasks=len(basis.tasks),
        width=dates.width,
        depth=dates.depth,
        critical_path=dates.length,
        unknown_technologies=len(basis.unknown),
        users=users if isinstance(users, int | float) and isfinite(users) else 0,
    )
