"""Whether tasks could ever run: with capabilities that somebody has, and within limits that somebody set. Pure.

A capability is known if an agent ever joined with it, also if that agent is gone; if the reference agents have it; or
if `orchestrator.planning.capabilities` or the request's own `requirements.capabilities` names it. A task that needs
another one is refused, unless an agent that has it joins within `orchestrator.planning.capability_wait` seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from contracts.work import Task
from services.planner.findings import Finding, listed, meant, pointer
from services.planner.projections import AMOUNTS, Workforce

REFERENCE = frozenset({"analysis", "database", "backend", "frontend", "testing"})
"""What the reference agents can do: known before any of them has joined."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Most that the pool lets all tasks together hold; None is no limit."""

    cpu: float | None = None
    memory: float | None = None
    disk: float | None = None
    network: float | None = None


def excessive(tasks: Sequence[Task], limits: Limits) -> Iterator[Finding]:
    """Yield the demands that no pool of these limits could ever meet."""
    caps = [(name, cap) for name in AMOUNTS if (cap := getattr(limits, name)) is not None]
    for place, task in enumerate(tasks):
        for name, cap in caps:
            demand = getattr(task.demands, name)
            if demand > cap:
                message = f"{task.id} needs {demand:g} {name}, and the pool has {cap:g} in all: it could never run"
                yield Finding("never_schedulable", pointer("tasks", place, "demands", name), message)


def oversized(tasks: Sequence[Task], workforce: Workforce) -> Iterator[Finding]:
    """Yield the tasks that are larger than every agent that can do their work."""
    seen: dict[tuple[object, ...], bool] = {}
    for place, task in enumerate(tasks):
        capabilities = (task.capability, *task.alternatives)
        key = (capabilities, *(getattr(task.demands, name) for name in (*AMOUNTS, "slots")))
        if key not in seen:
            seen[key] = workforce.misfit(capabilities, task.demands)
        if seen[key]:
            message = (
                f"{task.id} is larger than every agent that can do {' or '.join(capabilities)}: it could never run"
            )
            yield Finding("never_schedulable", pointer("tasks", place, "demands"), message)


def unheard_of(tasks: Sequence[Task], known: frozenset[str] | set[str]) -> Iterator[Finding]:
    """Yield the capabilities that nobody is known to have."""
    for place, task in enumerate(tasks):
        wanted: Mapping[tuple[str | int, ...], str] = {
            ("capability",): task.capability,
            **{("alternatives", nth): name for nth, name in enumerate(task.alternatives)},
        }
        for where, capability in wanted.items():
            if capability not in known:
                message = f"no agent has ever offered {capability}, only {listed(known)}{meant(capability, known)}"
                yield Finding("unknown_capability", pointer("tasks", place, *where), message)
