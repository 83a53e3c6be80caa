"""The workloads: each is some projects of tasks that do nothing, so that what is measured is Nexus."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

CAPABILITY = "bench"


@dataclass(frozen=True, slots=True)
class Workload:
    """Projects that are handed in together."""

    name: str
    says: str
    projects: tuple[list[dict[str, Any]], ...]

    @property
    def tasks(self) -> int:
        """How many tasks there are in all."""
        return sum(map(len, self.projects))


def _task(name: str, after: list[str] | None = None) -> dict[str, Any]:
    return {"id": name, "capability": CAPABILITY, "estimate": 0, **({"depends_on": after} if after else {})}


def fan(width: int = 1000) -> Workload:
    """Independent tasks, and one that joins them."""
    names = [f"t{n}" for n in range(width)]
    tasks = [*map(_task, names), _task("join", names)]
    return Workload("fan", f"{width:,} independent tasks and a join", (tasks,))


def chains(count: int = 200, length: int = 10) -> Workload:
    """Many projects, each a sequence, all at once."""
    return Workload(
        "chains", f"{count} projects of {length} sequential tasks", tuple(_chain(length) for _ in range(count))
    )


def latency(length: int = 50) -> Workload:
    """One sequence on an idle system."""
    return Workload("latency", f"one chain of {length} on an idle system", (_chain(length),))


def layers(count: int = 20, depth: int = 5, width: int = 10) -> Workload:
    """Projects of layers, each task of which waits for the whole layer before."""
    tasks = list(_layers(depth, width))
    return Workload("layers", f"{count} projects of {depth} fully connected layers of {width}", (tasks,) * count)


def _chain(length: int) -> list[dict[str, Any]]:
    return [_task(f"t{n}", [f"t{n - 1}"] if n else None) for n in range(length)]


def _layers(depth: int, width: int) -> Iterator[dict[str, Any]]:
    before: list[str] = []
    for level in range(depth):
        names = [f"l{level}-{n}" for n in range(width)]
        yield from (_task(name, before) for name in names)
        before = names


WORKLOADS: dict[str, Callable[[], Workload]] = {"fan": fan, "chains": chains, "latency": latency, "layers": layers}
