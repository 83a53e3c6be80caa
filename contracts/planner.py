"""What the planner is told and what it states: projects and their plans."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from contracts.base import Command, Event, Token
from contracts.outcomes import Problem
from contracts.work import Fields, Plan, ProtocolConfig, Task


class CreateProject(Command):
    """Describe a project; the planner plans it, and unless `start` is manual it is carried out at once."""

    SUBJECT: ClassVar[str] = "nexus.commands.planner.create_project"

    type: str | None = None
    """Template id (`web_application`, `api_service`, `mobile_app`, …); None lets the description decide."""
    title: str = ""
    description: str = ""
    technologies: dict[str, str] = Field(default_factory=dict)
    """Role to technology: `{"frontend": "react"}`."""
    requirements: Fields = Field(default_factory=dict)
    """What the template's schema knows: `expected_users` (count), `performance_level`, …"""
    tasks: tuple[Task, ...] | None = None
    """The project's own task graph; then no template is used."""
    protocol: ProtocolConfig | None = None
    priority: int = Field(3, ge=1, le=5)
    """1 is the most urgent."""
    start: Literal["auto", "manual"] = "auto"
    """`manual` waits for approve_plan or execute_project."""


class ApprovePlan(Command):
    """Let a project whose plan waits for approval begin."""

    SUBJECT: ClassVar[str] = "nexus.commands.planner.approve_plan"

    project: Token


class ProjectEvent(Event):
    """A fact about a project as the planner sees it."""


class ProjectCreated(ProjectEvent):
    """Somebody described a project."""

    TOPIC: ClassVar[str] = "planner.project.project_created"

    request: CreateProject
    title: str = ""


class ProjectAnalysed(ProjectEvent):
    """What the analysis outside any decision found; replay reads it here and never asks a model again."""

    TOPIC: ClassVar[str] = "planner.project.project_analysed"

    analyst: str
    """Who analysed: `rules`, or the model's name."""
    template: str = ""
    reasons: tuple[str, ...] = ()
    """Why this template."""
    findings: dict[str, Any] = Field(default_factory=dict)


class ProjectPlanned(ProjectEvent):
    """The project has a plan."""

    TOPIC: ClassVar[str] = "planner.project.project_planned"

    title: str = ""
    description: str = ""
    technologies: dict[str, str] = Field(default_factory=dict)
    requirements: Fields = Field(default_factory=dict)
    type: str = ""
    priority: int = 3
    plan: Plan
    approved: bool = True
    """False: waits for approve_plan or execute_project."""


class PlanApproved(ProjectEvent):
    """Somebody let the project begin."""

    TOPIC: ClassVar[str] = "planner.project.plan_approved"


class PlanRevised(ProjectEvent):
    """The plan was replaced before the project began."""

    TOPIC: ClassVar[str] = "planner.project.plan_revised"

    plan: Plan
    reason: str = ""


class ProjectRefused(ProjectEvent):
    """The project cannot be planned."""

    TOPIC: ClassVar[str] = "planner.project.project_refused"

    code: str
    message: str
    problems: tuple[Problem, ...] = ()
