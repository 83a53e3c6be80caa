"""`nexus bench`: what a task costs here."""

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(bench)


def bench(
    workloads: Annotated[
        list[str] | None, typer.Argument(help="fan, chains, latency, layers, replay; all if none.")
    ] = None,
    sync: Annotated[
        list[str] | None, typer.Option(help="always, or a duration such as 1s; may be given twice.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Counted runs of each workload.")] = 3,
    events: Annotated[int, typer.Option(min=1000, help="Length of the log that is replayed.")] = 200_000,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="File for the numbers as JSON.")] = None,
) -> None:
    """Measure throughput, latency, CPU and memory, beside what the machine itself can do."""
    from nexus.bench import bench as measure
    from nexus.bench.run import SYNCS
    from nexus.cli.errors import Mistake

    try:
        measure(workloads or (), syncs=sync or SYNCS, runs=runs, events=events, to=to)
    except ValueError as error:
        raise Mistake(str(error)) from error
