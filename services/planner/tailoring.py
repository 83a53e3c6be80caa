"""A template made to measure: technologies, requirements, and what they mean for each task. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log10
from typing import Any

from contracts.planner import CreateProject
from contracts.work import Demand, Fields, Task
from services.planner.catalog import shares, without
from services.planner.conditions import holds
from services.planner.findings import Finding, meant, pointer, refuse
from services.planner.template import Scaling, Template, TemplateTask

LOOKS_LIKE = 0.75
"""How alike an unknown role must be to a known one to count as a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Tailored:
    """What a template comes to for one request."""

    tasks: tuple[Task, ...]
    technologies: dict[str, str]
    """By role: the chosen ones in the template's own words, its defaults, and what it knows nothing about."""
    unknown: tuple[str, ...]
    """Roles that the template knows nothing about."""
    requirements: Fields
    """The request's, and the template's defaults."""
    factors: dict[str, float]
    """What scales the tasks: `users`, `performance`."""


def tailor(template: Template, request: CreateProject) -> Tailored:
    """Make the template fit the request; refuse, saying everything that does not fit."""
    refuse(misfits(template, request))
    technologies = _technologies(template, request.technologies)
    requirements = _defaults(template) | request.requirements
    factors = _factors(template.scaling, requirements)
    return Tailored(
        tasks=tuple(_tasks(template, technologies, requirements, factors)),
        technologies=technologies,
        unknown=tuple(role for role in request.technologies if role not in template.technologies),
        requirements=requirements,
        factors=factors,
    )


def misfits(template: Template, request: CreateProject) -> Iterator[Finding]:
    """Yield what the template cannot do: an unsupported technology, a requirement that its schema forbids."""
    yield from _unsupported(template, request.technologies)
    yield from _invalid(template, request.requirements)


def _unsupported(template: Template, wishes: Mapping[str, str]) -> Iterator[Finding]:
    for role, wish in wishes.items():
        place = pointer("technologies", role)
        known = template.technologies.get(role)
        if known is None:
            # Another role than the template's own is no error; a misspelt one would silently get the default.
            if guess := meant(role, template.technologies, alike=LOOKS_LIKE):
                message = f"{template.id} knows no role {role!r}{guess}"
                yield Finding("unknown_technology", place, message)
        elif _plain(wish) not in (*known.supported, *known.aliases):
            supported = ", ".join(known.supported)
            message = (
                f"{template.id} does not support {wish!r} as {role}, only {supported}{meant(wish, known.supported)}"
            )
            yield Finding("unsupported_technology", place, message)


def _invalid(template: Template, requirements: Fields) -> Iterator[Finding]:
    from jsonschema import Draft202012Validator  # takes a tenth of a second, which only a planner need spend

    errors = Draft202012Validator(template.parameters).iter_errors(requirements)
    for error in sorted(errors, key=lambda error: [str(part) for part in error.absolute_path]):
        yield Finding("invalid_requirement", pointer("requirements", *error.absolute_path), error.message)


def _technologies(template: Template, wishes: Mapping[str, str]) -> dict[str, str]:
    chosen = {role: known.default for role, known in template.technologies.items()}
    for role, wish in wishes.items():
        known = template.technologies.get(role)
        chosen[role] = known.aliases.get(_plain(wish), _plain(wish)) if known else wish
    return chosen


def _plain(wish: str) -> str:
    return wish.strip().lower()


def _defaults(template: Template) -> Fields:
    properties: Mapping[str, Any] = template.parameters.get("properties", {})
    return {name: schema["default"] for name, schema in properties.items() if "default" in schema}


def _factors(scaling: Scaling, requirements: Fields) -> dict[str, float]:
    users = requirements.get("expected_users", scaling.users.base)
    level = requirements.get("performance_level", "standard")
    return {
        "users": round(max(1.0, 1 + scaling.users.per_tenfold * log10(users / scaling.users.base)), 3),
        "performance": scaling.performance.get(level, 1.0),
    }


def _tasks(
    template: Template, technologies: Mapping[str, str], requirements: Fields, factors: Mapping[str, float]
) -> Iterator[Task]:
    dropped = {task.id for task in template.tasks if not holds(task.when, technologies, requirements)}
    demands = shares(template)
    for task in without(template.tasks, dropped):
        yield _scaled(task, demands[task.id], factors)


def _scaled(task: TemplateTask, demand: Demand, factors: Mapping[str, float]) -> Task:
    factor = 1.0
    for scale in task.scales:
        factor *= factors[scale]
    larger = {name: round(getattr(demand, name) * factor, 2) for name in ("cpu", "memory")}
    return task.plain(
        estimate=round(task.estimate * factor, 3),
        pessimistic=round(task.pessimistic * factor, 3),
        demands=demand.model_copy(update=larger),
    )
