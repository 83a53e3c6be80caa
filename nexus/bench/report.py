"""The benchmark's report: a table for people, JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from nexus.bench.limits import Limit
from nexus.bench.measure import Measured
from nexus.bench.replay import Replayed


def as_json(rows: Sequence[tuple[Measured, Limit]], replayed: Replayed | None) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "workloads": [{**asdict(row), "tasks_per_second": row.rate, "limit": asdict(limit)} for row, limit in rows],
        "replay": asdict(replayed) if replayed else None,
    }


def show(console: Console, rows: Sequence[tuple[Measured, Limit]], replayed: Replayed | None) -> None:
    """Print tables."""
    if rows:
        console.print(_rates(rows))
        console.print(_costs(rows))
    if replayed:
        what = f"{replayed.events:,} events of {replayed.aggregates:,} aggregates folded in {replayed.seconds:.1f} s"
        console.print(
            f"replay: {what} = {replayed.rate:,.0f} events/s; reading alone {replayed.read_rate:,.0f} events/s"
        )


def _rates(rows: Sequence[tuple[Measured, Limit]]) -> Table:
    table = Table(title="Throughput and latency (median of the runs)")
    for name in ("workload", "sync"):
        table.add_column(name)
    for name in ("tasks", "tasks/s", "hop p50 ms", "hop p99 ms", "appends/task", "raw publish/s", "raw consume/s"):
        table.add_column(name, justify="right")
    for row, limit in rows:
        table.add_row(
            row.workload,
            row.sync,
            f"{row.tasks:,}",
            f"{row.rate:,.0f}",
            f"{row.hop_p50:.1f}",
            f"{row.hop_p99:.1f}",
            f"{row.appends:.2f}",
            f"{limit.publish:,.0f}",
            f"{limit.consume:,.0f}",
        )
    return table


def _costs(rows: Sequence[tuple[Measured, Limit]]) -> Table:
    names = sorted({name for row, _ in rows for name in row.cpu})
    table = Table(title="CPU seconds per 1,000 tasks, and peak memory in MiB, by process")
    table.add_column("workload")
    table.add_column("sync")
    for name in names:
        table.add_column(name, justify="right")
    for row, _ in rows:
        cells = [f"{row.cpu.get(name, 0):.2f} / {row.memory.get(name, 0):.0f}" for name in names]
        table.add_row(row.workload, row.sync, *cells)
    return table
