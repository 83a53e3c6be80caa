"""What may go wrong with a plan: what its template warns of, and what its numbers tell. Pure.

The duration of the critical path is taken as normal, as PERT does: its mean is the sum of the estimates, its variance
the sum of the tasks' variances, and a task's standard deviation is (pessimistic - estimate) ÷ 1.2816, because nine runs
in ten stay under `pessimistic`. A task that gives none is taken to need half as much again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, sqrt
from statistics import NormalDist

from contracts.base import is_token
from contracts.work import Fields, Risk, Task
from services.planner.conditions import holds
from services.planner.estimates import work_by_capability
from services.planner.graph import unprovided
from services.planner.projections import Workforce
from services.planner.schedule import Schedule
from services.planner.template import TemplateRisk

P90 = 1.2816
"""Standard deviations between the median of a normal distribution and what nine in ten stay under."""
UNKNOWN_P90 = 1.5
"""Pessimistic duration of a task that gives none, as a multiple of its estimate."""
LATE = 0.25
"""Share of the critical path by which a project counts as late."""
WORTH_SAYING = 0.01
"""Smallest probability that is named."""


def of_template(
    risks: Iterable[TemplateRisk], tasks: Sequence[Task], technologies: Mapping[str, str], requirements: Fields
) -> Iterator[Risk]:
    """Yield the template's risks whose condition holds and whose tasks are in the plan."""
    ids = {task.id for task in tasks}
    for risk in risks:
        affected = tuple(name for name in risk.tasks if name in ids)
        if holds(risk.when, technologies, requirements) and (affected or not risk.tasks):
            yield Risk(
                id=risk.id,
                title=risk.title,
                probability=risk.probability,
                impact=risk.impact,
                mitigation=risk.mitigation,
                tasks=affected,
                reason=f"because {risk.when}" if risk.when else "every project of this template has it",
            )


def of_time(tasks: Sequence[Task], schedule: Schedule, timeout: float | None) -> Iterator[Risk]:
    """Yield the risks that the project is late, or given up because its time is over."""
    by_id = {task.id: task for task in tasks}
    deviation = sqrt(sum(_deviation(by_id[name]) ** 2 for name in schedule.critical_path))
    if not deviation:
        return
    finish = NormalDist(schedule.length, deviation)
    late = 1 - finish.cdf(schedule.length * (1 + LATE))
    if late >= WORTH_SAYING:
        yield Risk(
            id="late",
            title=f"The project takes over {LATE:.0%} longer than its critical path",
            probability=round(late, 3),
            impact=round(schedule.length * LATE, 3),
            mitigation="Shorten or split the tasks of the critical path with the widest spread.",
            tasks=_widest(by_id, schedule),
            reason=f"the critical path takes {schedule.length:.3g} s with a standard deviation of {deviation:.3g} s",
        )
    lost = 1 - finish.cdf(timeout) if timeout else 0
    if timeout and lost >= WORTH_SAYING:
        yield Risk(
            id="timeout",
            title="The project is given up because its time is over",
            probability=round(lost, 3),
            impact=round(schedule.length, 3),
            mitigation="Allow more time (protocol.timeout_minutes), or shorten the critical path.",
            tasks=_widest(by_id, schedule),
            reason=f"it is given up after {timeout:g} s, and its critical path alone takes {schedule.length:.3g} s",
        )


def _deviation(task: Task) -> float:
    pessimistic = task.estimate * UNKNOWN_P90 if task.pessimistic is None else task.pessimistic
    return max(0.0, pessimistic - task.estimate) / P90


def _widest(by_id: Mapping[str, Task], schedule: Schedule, most: int = 3) -> tuple[str, ...]:
    spread = sorted(schedule.critical_path, key=lambda name: -_deviation(by_id[name]))
    return tuple(name for name in spread[:most] if _deviation(by_id[name]) > 0)


def of_capacity(tasks: Sequence[Task], schedule: Schedule, workforce: Workforce) -> Iterator[Risk]:
    """Yield the capabilities that are too scarce for the plan to go as fast as its critical path allows."""
    for capability, seconds in work_by_capability(tasks).items():
        slots = workforce.slots({capability})
        if slots and seconds / slots > schedule.length:
            wanted = ceil(seconds / schedule.length) if schedule.length else 0
            yield Risk(
                id=_id("bottleneck", capability),
                title=f"Work waits for agents that can do {capability}",
                probability=0.9,
                impact=round(seconds / slots - schedule.length, 3),
                mitigation=f"{wanted} slots would keep up with the critical path: add agents with {capability}.",
                reason=f"{seconds:.3g} s of work for {slots} slots, while the critical path takes "
                f"{schedule.length:.3g} s",
            )


def of_signals(tasks: Sequence[Task], sync_timeout: float | None) -> Iterator[Risk]:
    """Yield the sync points that no task reaches, so that only a signal from outside lets their tasks begin."""
    for name, waiting in unprovided(tasks).items():
        yield Risk(
            id=_id("signal", name),
            title=f"Nobody sends the signal {name}",
            probability=0.3,
            impact=sync_timeout or 0,
            mitigation=f"Publish nexus.signals.<project>.{name} in time, or let a task provide {name}.",
            tasks=tuple(waiting[:10]),
            reason=f"{len(waiting)} task(s) wait for {name}, and no task provides it",
        )


def of_technologies(unknown: Iterable[tuple[str, str]]) -> Iterator[Risk]:
    """Yield the technologies, as role and name, that nothing is known about."""
    for role, technology in unknown:
        yield Risk(
            id=_id("technology", role),
            title=f"Nothing is known about {technology!r} as {role}",
            probability=0.3,
            impact=0,
            mitigation="Try it with something small first, and see that the agents can work with it.",
            reason="no template supports it, so no estimate accounts for it",
        )


def _id(kind: str, name: str) -> str:
    """Return a token; what people call a role may be none."""
    token = f"{kind}-{name}"[:128]
    return token if is_token(token) else "".join(sign if is_token(sign) else "-" for sign in token)
