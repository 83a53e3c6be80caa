"""Golden logs, and what folding one comes to."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from contracts.base import event_class
from services.coordinator.domain import Execution, ProtocolDefinition
from services.metrics.performance import Performance
from services.planner.domain import Project
from services.resource_manager.domain import Pool
from shared.domain import Aggregate
from shared.mapper import EventMapper
from shared.records import Logged

FOLDER = Path(__file__).with_name("golden_logs")
AGGREGATES: dict[str, type[Aggregate]] = {kind.TOPIC: kind for kind in (Project, Execution, ProtocolDefinition, Pool)}


def read(path: Path) -> tuple[dict[str, Any], list[Logged]]:
    """Return the states that a golden log led to when it was written, and its events."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    return json.loads(head)["states"], [_logged(json.loads(line)) for line in lines]


def states(log: Iterable[Logged]) -> dict[str, Any]:
    """Fold a whole log with today's code; return what can be seen of it from outside."""
    aggregates, view, mapper = dict[str, Aggregate](), Performance(), EventMapper()
    for logged in log:
        event = mapper.to_event(logged)
        view.apply(logged.key, event)
        kind = AGGREGATES.get(logged.topic.rpartition(".")[0])
        if kind is not None:
            name = f"{kind.__name__} {logged.key}"
            aggregates.setdefault(name, kind(logged.key)).apply(event)
    found = {name: _seen(aggregate) for name, aggregate in sorted(aggregates.items())}
    found["Performance"] = {"ended": view.ended, "settled": view.settled, "leases": len(view.leases)}
    plain: dict[str, Any] = json.loads(json.dumps(to_jsonable_python(found)))
    return plain


def _seen(aggregate: Aggregate) -> dict[str, Any]:
    match aggregate:
        case Execution():
            tasks = {task: [state.status, state.attempt, state.output] for task, state in aggregate.tasks.items()}
            return {"status": aggregate.status, "points": aggregate.points, "tasks": tasks, "leases": aggregate.leases}
        case Pool():
            return {
                "version": aggregate.version,
                "agents": sorted(aggregate.agents),
                "leases": sorted(aggregate.leases),
            }
        case _:
            return {"version": aggregate.version}


def _logged(line: dict[str, Any]) -> Logged:
    headers = {"Nexus-Topic": line["topic"], "Nexus-Version": str(line["version"])}
    assert event_class(line["topic"])
    return Logged.of(line["subject"], headers, json.dumps(line["message"]).encode(), line["sequence"])
