"""The numbers as programs and people want them. Keys are those that the orchestrator's users know. Pure."""

from datetime import datetime
from typing import Any

from services.metrics.performance import ENDINGS, RESOURCES, Performance


def report(view: Performance, position: int, now: datetime) -> dict[str, Any]:
    """Return everything; utilisations are percent of what there is, times are seconds."""
    return {
        "position": position,
        "projects": _projects(view),
        "tasks": _tasks(view, now),
        "resources": _resources(view),
        "queue": _queue(view, now),
        "agents": _agents(view),
        "coordination": _coordination(view),
    }


def _projects(view: Performance) -> dict[str, Any]:
    over = sum(view.ended.values())
    return {
        "total": view.created,
        "planned": view.planned,
        "refused": view.refused,
        "active": len(view.active),
        "paused": sum(project.paused for project in view.active.values()),
        **{ending: view.ended[ending] for ending in ENDINGS},
        "success_rate": _share(view.ended["completed"], over),
        "completion_rate": _share(over, over + len(view.active)),
        "average_seconds": view.project_seconds.mean,
        "p50_seconds": view.project_seconds.quantile(0.5),
        "p95_seconds": view.project_seconds.quantile(0.95),
    }


def _tasks(view: Performance, now: datetime) -> dict[str, Any]:
    attempts = sum(count for status, count in view.settled.items() if status != "late")
    return {
        "attempts": attempts,
        **{status: view.settled[status] for status in ("done", "failed", "lost", "timed_out", "late")},
        "retried": view.retried,
        "success_rate": _share(view.settled["done"], attempts),
        "average_seconds": view.task_seconds.mean,
        "p50_seconds": view.task_seconds.quantile(0.5),
        "p95_seconds": view.task_seconds.quantile(0.95),
        "per_second": view.trends.rate("tasks_done", now),
    }


def _resources(view: Performance) -> dict[str, Any]:
    limits = view.limits()
    found: dict[str, Any] = {}
    for name in (*RESOURCES, "slots"):
        held, limit = view.held.get(name, 0.0), limits[name]
        found[f"{name}_utilization"] = round(100 * held / limit, 2) if limit else 0.0
        found[f"{name}_held"] = held
        found[f"{name}_limit"] = limit
    return found | {"leases": len(view.leases), "leases_expired": view.expired}


def _queue(view: Performance, now: datetime) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for waiting in view.queue.values():
        reasons[waiting.reason] = reasons.get(waiting.reason, 0) + 1
    oldest = min((waiting.since for waiting in view.queue.values()), default=None)
    return {
        "length": len(view.queue),
        "oldest_seconds": max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        "reasons": reasons,
    }


def _agents(view: Performance) -> dict[str, Any]:
    busy = view.busy()
    return {name: _agent(view, name, busy[name]) for name in sorted({*view.agents, *view.work})}


def _agent(view: Performance, name: str, busy: int) -> dict[str, Any]:
    slots, work = view.agents.get(name, 0), view.work.get(name)
    done, failed, seconds = (work.done, work.failed, work.seconds) if work else (0, 0, 0.0)
    return {
        "present": name in view.agents,
        "slots": slots,
        "busy": busy,
        "load": round(100 * busy / slots, 2) if slots else 0.0,
        "done": done,
        "failed": failed,
        "success_rate": _share(done, done + failed),
        "average_seconds": seconds / (done + failed) if done + failed else None,
    }


def _coordination(view: Performance) -> dict[str, Any]:
    running: dict[str, int] = {}
    for project in view.active.values():
        running[project.protocol] = running.get(project.protocol, 0) + 1
    return {
        "active_protocols": len(view.protocols),
        "active_coordinations": len(view.active),
        "by_type": running,
        "sync_points_reached": view.points_reached,
        "sync_points_missed": view.points_missed,
        "signals": view.signals,
        "agents_lost": view.lost,
    }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
