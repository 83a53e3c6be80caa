"""What people ask for, in the tests of the planner."""

from datetime import UTC, datetime
from typing import Any

from contracts.planner import CreateProject
from contracts.resource_manager import AgentJoined
from contracts.work import Task
from services.planner.circumstances import rules_of
from services.planner.planning import Rules
from services.planner.projections import Workforce
from shared.settings import Settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

SHOP: dict[str, Any] = {
    "type": "web_application",
    "description": "E-commerce platform with user management",
    "technologies": {"frontend": "react", "backend": "fastapi", "database": "postgresql"},
    "requirements": {"expected_users": 10000, "performance_level": "high"},
}
"""The seed's own example."""


def wish(**changes: Any) -> CreateProject:
    return CreateProject.model_validate(SHOP | changes)


def own(*tasks: Task, **more: Any) -> CreateProject:
    return CreateProject(tasks=tasks, **more)


def task(name: str, *depends_on: str, capability: str = "backend", **more: Any) -> Task:
    return Task(id=name, depends_on=depends_on, capability=capability, **more)


def rules(config: dict[str, Any] | None = None) -> Rules:
    return rules_of(Settings.load(config or {}, environ={}))


def workforce(**agents: tuple[tuple[str, ...], int]) -> Workforce:
    """Agents by name, with what they can do and their slots."""
    everybody = Workforce()
    for name, (capabilities, slots) in agents.items():
        everybody.apply(AgentJoined(at=NOON, agent=name, instance="1", capabilities=capabilities, slots=slots))
    return everybody
