"""A coordination protocol that somebody else wrote, installed beside Nexus."""

from pathlib import Path

import pytest

from nexus.agent import AgentHost
from nexus.client import Refused
from nexus.embedded import embedded
from services.agents.simulated import SimulatedAgent
from services.coordinator.domain.protocols import PROTOCOLS
from shared.settings import Settings

pytestmark = pytest.mark.system

MODULE = '''
class Backwards:
    """One task at a time, the last of the plan first."""

    def startable(self, outlook, candidates):
        tasks = list(outlook.index.tasks)
        if any(outlook.status(task) in ("requested", "running", "retrying") for task in tasks):
            return []
        return [task for task in reversed(tasks) if outlook.startable(task)][:1]

    def reroute(self, outlook, task, routes):
        return None

    def stops(self, outlook, task):
        return False

    def points_of_failure(self, outlook, task):
        return []
'''


def install(folder: Path) -> None:
    """Lay a distribution out as an installer would."""
    (folder / "backwards.py").write_text(MODULE)
    info = folder / "backwards-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nexus.protocols]\nbackwards = backwards:Backwards\n")


async def test_a_project_follows_a_protocol_that_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings.load({}, environ={}, data=tmp_path / "data", sync="1m")
    tasks = [{"id": name, "capability": "pretend"} for name in ("first", "second", "third")]

    try:
        async with (
            embedded(settings, services=("planner", "resource_manager", "coordinator")) as system,
            system.client() as client,
            AgentHost([SimulatedAgent("actor", ["pretend"], slots=3, time_scale=0)], nc=client.nc),
        ):
            outcome = await client.create_project(tasks=tasks, protocol={"type": "backwards"})
            view = await client.wait(str(outcome.result["project"]), timeout=30)
            with pytest.raises(Refused, match="sideways"):
                await client.create_project(tasks=tasks, protocol={"type": "sideways"})
    finally:
        PROTOCOLS.pop("backwards", None)

    began = sorted((task.attempts[0].started_at, name) for name, task in view.tasks.items())
    assert view.status == "completed"
    assert [name for _, name in began] == ["third", "second", "first"]
