"""Writes the golden logs anew: `python -m tests.contracts.make_golden`. Do so only to add one: old ones must stay.

Each is a whole log, as a running system wrote it, with what today's code made of it.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from nexus.agent import Agent, AgentHost, Job, TaskFailed
from nexus.client import Client
from nexus.embedded import embedded
from shared.eventlog import EventLog
from shared.records import Logged
from shared.settings import Settings
from tests.contracts.golden import FOLDER, states

ROLLED_BACK = [
    {"id": "book-flight", "capability": "travel", "compensate": True},
    {"id": "book-hotel", "capability": "travel", "compensate": True, "depends_on": ["book-flight"]},
    {"id": "pay", "capability": "fails", "depends_on": ["book-hotel"], "retry": {"attempts": 2, "initial": 0.05}},
]
SIGNALLED = [
    {"id": "draft", "capability": "travel", "provides": "drafted"},
    {"id": "publish", "capability": "fails", "waits_for": ["approved"], "retry": {"attempts": 1}},
    {"id": "apologise", "capability": "travel", "waits_for": ["publish_failed"], "depends_on": ["draft"]},
]


async def main() -> None:
    """Run three projects and keep the log."""
    FOLDER.mkdir(exist_ok=True)
    target = FOLDER / sys.argv[1]
    if target.exists():
        sys.exit(f"{target.name} exists: a golden log is never written again")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({}, environ={}, data=Path(folder) / "data", demo_output=Path(folder) / "out")
        async with embedded(settings) as system, system.client() as client, AgentHost([_agent()], nc=client.nc):
            await _run(client, type="api_service", description="An API for a blog")
            await _run(client, title="trip", tasks=ROLLED_BACK, protocol={"type": "synchronous"})
            await _run(client, title="letter", tasks=SIGNALLED, protocol={"type": "event_driven"}, signal="approved")
            log = [event async for portion in EventLog(client.nc, "coordinator").replay() for event in portion]
    lines = [json.dumps(_plain(event)) for event in log]
    text = "\n".join([json.dumps({"states": states(log)}), *lines]) + "\n"
    target.write_text(text.replace(folder, "/srv/nexus"))


async def _run(client: Client, *, signal: str = "", **request: Any) -> None:
    outcome = await client.create_project(**request)
    project = str(outcome.result["project"])
    if signal:
        await client.signal(project, signal, {"by": "the editor"})
    await client.wait(project, timeout=60)


def _agent() -> Agent:
    agent = Agent("traveller", ["travel", "fails"])

    @agent.task("travel")
    async def travel(job: Job) -> dict[str, Any]:
        return {"booked": job.task}

    @agent.compensate("travel")
    async def undo(_job: Job) -> None:
        return None

    @agent.task("fails")
    async def fail(_job: Job) -> None:
        raise TaskFailed("declined", code="declined")

    return agent


def _plain(event: Logged) -> dict[str, Any]:
    return {
        "sequence": event.id,
        "subject": event.subject,
        "topic": event.topic,
        "version": event.originator_version,
        "message": json.loads(event.state),
    }


if __name__ == "__main__":
    asyncio.run(main())
