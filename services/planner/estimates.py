"""What a plan is going to take: seconds of work, resources, and a bound that no schedule can beat. Pure."""

from collections.abc import Iterable, Sequence

from contracts.work import Demand, Task
from services.planner.projections import Workforce
from services.planner.schedule import Schedule


def work_by_capability(tasks: Iterable[Task]) -> dict[str, float]:
    """Return the seconds that slots of each capability are taken."""
    work: dict[str, float] = {}
    for task in tasks:
        work[task.capability] = work.get(task.capability, 0.0) + task.estimate * task.demands.slots
    return work


def lower_bound(tasks: Sequence[Task], schedule: Schedule, workforce: Workforce) -> float:
    """Return max(critical path, work ÷ slots), where the slots are those of the present agents that can do any of it.

    While no such agent is present, the critical path alone is the bound: nobody knows how many will come.
    """
    work = work_by_capability(tasks)
    slots = workforce.slots(work.keys() | {name for task in tasks for name in task.alternatives})
    return max(schedule.length, sum(work.values()) / slots) if slots else schedule.length


def together(tasks: Iterable[Task]) -> Demand:
    """Return what all tasks hold if they run at once."""
    cpu = memory = disk = network = 0.0
    slots = 0
    for demand in (task.demands for task in tasks):
        cpu, memory = cpu + demand.cpu, memory + demand.memory
        disk, network, slots = disk + demand.disk, network + demand.network, slots + demand.slots
    amounts = {"cpu": cpu, "memory": memory, "disk": disk, "network": network}
    return Demand(**{name: round(amount, 6) for name, amount in amounts.items()}, slots=slots)
