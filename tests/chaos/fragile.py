"""Services that die at the worst moment: right after a fact was stored, before anything that follows from it was done.

Each kind of fact kills its service once; which ones have, is noted in the data folder.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.coordinator.app import create as create_coordinator
from services.planner.app import create as create_planner
from services.resource_manager.app import create as create_resource_manager
from shared.eventlog import EventLog
from shared.records import Record
from shared.settings import Settings

DIED = "died"
"""Folder with an empty file for each kind of fact that killed its service."""
SPARED = frozenset({"lease_renewed", "scaling_advised", "capacity_changed"})
"""Nothing follows from these."""

append = EventLog.append


def _deadly(died: Path) -> Any:
    died.mkdir(exist_ok=True)

    async def append_and_die(log: EventLog, records: Sequence[Record], *, seen: Mapping[str, int]) -> int:
        end = await append(log, records, seen=seen)
        for record in records:
            name = record.topic.rpartition(".")[2]
            if name not in SPARED and not (died / name).exists():
                (died / name).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return end

    return append_and_die


def _fragile(settings: Settings) -> None:
    EventLog.append = _deadly(settings.data / DIED)  # type: ignore[method-assign]


def planner(settings: Settings) -> Any:
    """Build a planner that dies easily."""
    _fragile(settings)
    return create_planner(settings)


def resource_manager(settings: Settings) -> Any:
    """Build a resource manager that dies easily."""
    _fragile(settings)
    return create_resource_manager(settings)


def coordinator(settings: Settings) -> Any:
    """Build a coordinator that dies easily."""
    _fragile(settings)
    return create_coordinator(settings)


FRAGILE = {name: f"tests.chaos.fragile:{name}" for name in ("planner", "resource_manager", "coordinator")}
