"""Runs the benchmark: each workload some times on a fresh system, the machine's own limit beside it."""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from nexus.bench.limits import Limit, limit
from nexus.bench.measure import Measured, event_size, measure, middle
from nexus.bench.replay import Replayed, replay
from nexus.bench.report import as_json, show
from nexus.bench.system import system
from nexus.bench.workloads import WORKLOADS, Workload

SYNCS = ("1s", "always")


def bench(
    names: Sequence[str] = (),
    *,
    syncs: Sequence[str] = SYNCS,
    runs: int = 3,
    events: int = 200_000,
    to: Path | None = None,
) -> None:
    """Measure the named workloads (all, if none is named), print a table, and write JSON to `to`."""
    known = [*WORKLOADS, "replay"]
    for name in names:
        if name not in known:
            raise ValueError(f"there is no workload {name!r}; there are: {', '.join(known)}")
    console = Console() if Console().is_terminal else Console(width=160)
    chosen = names or known
    rows, replayed = asyncio.run(_all(console, chosen, syncs, runs, events))
    show(console, rows, replayed)
    if to:
        to.write_text(json.dumps(as_json(rows, replayed), indent=2) + "\n")


async def _all(
    console: Console, names: Sequence[str], syncs: Sequence[str], runs: int, events: int
) -> tuple[list[tuple[Measured, Limit]], Replayed | None]:
    rows = []
    for sync in syncs:
        for name in names:
            if name in WORKLOADS:
                console.print(f"{name}, sync {sync} …", style="dim")
                rows.append(await _workload(WORKLOADS[name](), sync, runs))
    if "replay" not in names:
        return rows, None
    console.print(f"replay of {events:,} events …", style="dim")
    with tempfile.TemporaryDirectory(prefix="nexus-bench-") as folder:
        return rows, await replay(Path(folder) / "data", events)


async def _workload(workload: Workload, sync: str, runs: int) -> tuple[Measured, Limit]:
    """One warm-up, then the counted runs on the same system."""
    with tempfile.TemporaryDirectory(prefix="nexus-bench-") as folder:
        async with system(Path(folder) / "data", sync) as running:
            await measure(running, workload, sync)
            measured = [await measure(running, workload, sync) for _ in range(runs)]
            return middle(measured), await limit(running.nc, size=await event_size(running))
