"""Projects on paper: where they stand, what is planned, what ran when."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.text import Text

from nexus.cli import output
from nexus.cli.live import SIGNS
from nexus.cli.output import STATUS
from nexus.cli.telling import clock, seconds
from nexus.history import Entry, view_of
from nexus.view import ProjectView
from nexus.waits import waits
from shared.settings import Settings

CHART = 48
"""Columns of the chart of attempts."""


def state(view: ProjectView) -> None:
    """Show where a project stands, and what each open task waits for."""
    screen = output.console()
    screen.print(f"[bold]{escape(view.title or view.id)}[/]  {view.id}  {output.coloured(view.status)}", end="")
    screen.print(f": {view.reason}" if view.reason else "", markup=False)
    facts = [view.type or "own tasks", f"{view.protocol.type} protocol", f"priority {view.priority}"]
    facts += [f"{view.progress:.0%} done", f"as of #{view.sequence}{f' {output.day(view.at)}' if view.at else ''}"]
    screen.print("  " + " · ".join(facts), style="dim")
    if view.seconds:
        screen.print(f"  took {seconds(view.seconds)}", style="dim")
    for problem in view.problems:
        screen.print(f"  {problem.pointer or '/'}: {problem.message}", markup=False)
    if view.tasks:
        output.table(["", "task", "status", "agent", "took>", "waits for"], (_row(view, name) for name in view.tasks))
    for point in view.points.values():
        by = f" by {point.by}" if point.by else ""
        screen.print(f"  sync point {point.name}: {output.coloured(point.status)}{escape(by)}")
    for lease in view.leases.values():
        screen.print(f"  holds {lease.id} on {lease.agent} until {clock(lease.until)}", style="dim", markup=False)


def _row(view: ProjectView, name: str) -> Sequence[object]:
    task = view.tasks[name]
    said = "; ".join(str(wait) for wait in waits(view, name))
    if task.error and task.status in ("failed", "retrying"):
        said = f"{said}; {task.error.message}".removeprefix("; ")
    again = f" ({task.attempt}.)" if task.attempt > 1 else ""
    took = seconds(task.seconds) if task.status == "done" else ""
    return SIGNS.get(task.status, "?"), name, output.badge(task.status, again), task.agent, took, said


def plan(view: ProjectView) -> None:
    """Show a plan: tasks with their place in the schedule, sync points, risks, complexity."""
    found = view.plan
    assert found is not None
    slack = {one.task: one for one in found.schedule}
    critical = set(found.critical_path)

    def rows() -> Iterable[Sequence[str]]:
        for task in found.tasks:
            place = slack.get(task.id)
            yield (
                "★" if task.id in critical else "",
                task.id,
                task.phase,
                task.capability,
                seconds(task.estimate),
                f"{place.earliest:.2f}" if place else "",
                f"{place.slack:.2f}" if place else "",
                f"{task.demands.cpu:g}/{task.demands.memory:g}",
                ", ".join((*task.depends_on, *(f"⚑ {point}" for point in task.waits_for))),
            )

    columns = ["", "task", "phase", "capability", "estimate>", "earliest>", "slack>", "cpu/mem>", "after"]
    output.table(columns, rows(), title=f"{view.title or view.id}: {len(found.tasks)} tasks, ★ is the critical path")
    screen = output.console()
    screen.print(f"\nat best {seconds(found.lower_bound)}, {seconds(found.total_work)} of work in all")
    terms = ", ".join(f"{name} {value:g}" for name, value in found.complexity.terms.items())
    screen.print(f"complexity {found.complexity.score:g} of 100{f' ({terms})' if terms else ''}")
    if found.template:
        screen.print(f"from template {found.template}, sha256 {found.template_hash[:12]}", style="dim")
    if found.sync_points:
        screen.print(f"sync points: {', '.join(found.sync_points)}")
    for risk in sorted(found.risks, key=lambda one: -one.probability * one.impact):
        screen.print(f"risk {risk.probability:.0%}, {seconds(risk.impact)}: {risk.title}", markup=False)
        if risk.mitigation:
            screen.print(f"    → {risk.mitigation}", style="dim", markup=False)


def attempts(project: str, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return every attempt with its beginning and end, in the order in which they began."""
    view = view_of(project, entries)
    begun = view.started_at
    found = [
        {
            "task": task.id,
            "attempt": attempt.number,
            "kind": attempt.kind,
            "agent": attempt.agent,
            "status": attempt.status,
            "start": (attempt.started_at - begun).total_seconds() if begun else 0.0,
            "end": ((attempt.ended_at or datetime.now(UTC)) - begun).total_seconds() if begun else 0.0,
            "worked": task.seconds if attempt.status == "done" else None,
            "message": attempt.message,
        }
        for task in view.tasks.values()
        for attempt in task.attempts
    ]
    return sorted(found, key=lambda row: (row["start"], row["task"]))


def trace(project: str, entries: Sequence[Entry], settings: Settings) -> None:
    """Draw when each attempt ran, and say where the trace of the project can be seen."""
    rows = attempts(project, entries)
    span = max((row["end"] for row in rows), default=0.0) or 1.0
    screen = output.console()
    width = max((len(row["task"]) for row in rows), default=0)
    for row in rows:
        left = round(row["start"] / span * CHART)
        long = max(1, round((row["end"] - row["start"]) / span * CHART))
        bar = Text(f"{row['task']:{width}} ")
        bar.append(" " * min(left, CHART - 1))
        bar.append("█" * min(long, CHART - min(left, CHART - 1)), STATUS.get(row["status"], ""))
        bar.append(" " * max(0, CHART + 1 - left - long))
        again = f" attempt {row['attempt']}" if row["attempt"] > 1 else ""
        bar.append(f"{seconds(row['end'] - row['start'])} {row['agent']} {row['status']}{again}", "dim")
        screen.print(bar, no_wrap=True, crop=False)
    screen.print(f"\n{seconds(span)} from the first to the last; {len(entries)} events", style="dim")
    screen.print(_where(entries, settings), style="dim", markup=False)


def _where(entries: Sequence[Entry], settings: Settings) -> str:
    traces = {entry.traceparent.split("-")[1]: None for entry in entries if entry.traceparent}
    if traces:
        to = settings.otlp_endpoint or "the configured endpoint"
        return f"trace {', '.join(traces)}, sent to {to}: look for it in Jaeger (…:16686/trace/<id>)"
    return (
        "no spans were sent: set NEXUS_OTLP_ENDPOINT (such as http://localhost:4318) before a run, and see it in Jaeger"
    )
