"""The templates that this planner knows, as files say and settings change them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from contracts.work import Demand
from services.planner.findings import listed, meant
from services.planner.template import DefaultResources, Phase, Template, TemplateTask, content_hash, phase_mistakes
from shared.settings import Settings, SettingsError, TemplateOverrides

FOLDER = Path(__file__).parent / "templates"
AMOUNTS = tuple(DefaultResources.model_fields)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Templates by id."""

    templates: Mapping[str, Template]
    hashes: Mapping[str, str]
    """sha256 of each template as the settings made it."""

    @classmethod
    def load(cls, settings: Settings | None = None) -> Self:
        """Read the files and apply `orchestrator.templates`; raise one `SettingsError` for all that is wrong there."""
        files = (read(path) for path in sorted(FOLDER.glob("*.yaml")))
        templates = {template.id: template for template in files}
        overrides = settings.orchestrator.templates if settings else {}
        wrong = [problem for name, given in overrides.items() for problem in _problems(templates, name, given)]
        if wrong:
            raise SettingsError(wrong)
        templates |= {name: overridden(templates[name], given) for name, given in overrides.items()}
        return cls(templates, {name: content_hash(template) for name, template in templates.items()})

    def get(self, name: str) -> Template | None:
        """Return the template of this id, if there is one."""
        return self.templates.get(name)

    def unknown(self, name: str) -> str:
        """Say that there is no such template, which ones there are, and which one was perhaps meant."""
        return f"there is no template {name!r}, only {listed(self.templates)}{meant(name, self.templates)}"

    def technologies(self) -> set[str]:
        """Return every technology that some template supports."""
        roles = [role for template in self.templates.values() for role in template.technologies.values()]
        return {technology for role in roles for technology in (*role.supported, *role.aliases)}


def read(path: Path) -> Template:
    """Read one template file."""
    return Template.model_validate(yaml.load(path.read_text(encoding="utf-8"), _Loader))  # noqa: S506 # a safe one


def overridden(template: Template, given: TemplateOverrides) -> Template:
    """Return the template as these settings want it."""
    template = _with_phases(template, given.phases) if given.phases is not None else template
    wished = {name: getattr(given.default_resources, name) for name in AMOUNTS}
    resources = template.default_resources.model_copy(update={n: v for n, v in wished.items() if v is not None})
    template = template.model_copy(update={"default_resources": resources})
    if given.estimate_scale == 1:
        return template
    return template.model_copy(update={"tasks": tuple(_slower(t, given.estimate_scale) for t in template.tasks)})


def _slower(task: TemplateTask, scale: float) -> TemplateTask:
    return task.model_copy(update={"estimate": task.estimate * scale, "pessimistic": task.pessimistic * scale})


def _with_phases(template: Template, wanted: Sequence[str]) -> Template:
    phases: dict[str, Phase] = {phase.id: phase for phase in template.phases}
    dropped = {task.id for task in template.tasks if task.phase not in wanted}
    tasks = without(template.tasks, dropped)
    provided = {task.provides for task in tasks}
    return template.model_copy(
        update={
            "phases": tuple(phases[name] for name in wanted),
            "tasks": tasks,
            "sync_points": tuple(name for name in template.sync_points if name in provided),
            "risks": tuple(risk for risk in template.risks if not risk.tasks or set(risk.tasks) - dropped),
        }
    )


def without(tasks: Sequence[TemplateTask], dropped: set[str]) -> tuple[TemplateTask, ...]:
    """Leave tasks out: those behind them depend on those before them, and nobody waits for what they provided."""
    by_id = {task.id: task for task in tasks}
    kept = [task for task in tasks if task.id not in dropped]
    provided = {task.provides for task in kept}

    def before(task: TemplateTask) -> Iterator[str]:
        for name in task.depends_on:
            if name in dropped:
                yield from before(by_id[name])
            else:
                yield name

    return tuple(
        task.model_copy(
            update={
                "depends_on": tuple(dict.fromkeys(before(task))),
                "waits_for": tuple(name for name in task.waits_for if name in provided),
            }
        )
        for task in kept
    )


def shares(template: Template) -> dict[str, Demand]:
    """Return what each task holds, scaled so that all together hold the template's default resources."""
    factors: dict[str, float] = {}
    for name in AMOUNTS:
        total = sum(getattr(task.demands, name) for task in template.tasks)
        wished = getattr(template.default_resources, name)
        factors[name] = 1.0 if wished is None or not total else wished / total
    return {
        task.id: task.demands.model_copy(update={n: getattr(task.demands, n) * factors[n] for n in AMOUNTS})
        for task in template.tasks
    }


def _problems(templates: Mapping[str, Template], name: str, given: TemplateOverrides) -> Iterator[str]:
    place = f"orchestrator.templates.{name}"
    if name not in templates:
        yield f"{place}: there is no template of this name, only {listed(templates)}{meant(name, templates)}"
        return
    template, wanted = templates[name], list(given.phases or ())
    known = [phase.id for phase in template.phases]
    for phase in dict.fromkeys(wanted):
        if phase not in known:
            yield f"{place}.phases: there is no phase {phase!r}, only {', '.join(known)}{meant(phase, known)}"
        elif wanted.count(phase) > 1:
            yield f"{place}.phases: {phase!r} is named {wanted.count(phase)} times"
    yield from (f"{place}.phases: {mistake}" for mistake in phase_mistakes(template, wanted))
    if given.phases is not None and not any(task.phase in wanted for task in template.tasks):
        yield f"{place}.phases: no task is left"
