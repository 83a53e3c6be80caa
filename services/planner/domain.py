"""What a project is to the planner: described, analysed, planned or refused, approved.

DomainError
├── IdTaken       another command made a project of that id
├── NotPlannable  the project was refused, so there is no plan to approve
└── NotPlanned    … (NotYet) there is no plan so far
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from contracts.outcomes import Problem
from contracts.planner import (
    CreateProject,
    PlanApproved,
    PlanRevised,
    ProjectAnalysed,
    ProjectCreated,
    ProjectPlanned,
    ProjectRefused,
)
from shared.domain import Aggregate, DomainError, NotYet

Stage = Literal["blank", "created", "analysed", "planned", "refused"]


class IdTaken(DomainError):
    """Another command made a project of that id."""

    code = "id_taken"


class NotPlannable(DomainError):
    """The project was refused, so there is no plan to approve."""

    code = "not_plannable"


class NotPlanned(NotYet):
    """There is no plan so far."""

    code = "not_planned"


@dataclass
class Project(Aggregate):
    """A wish on its way to a plan. What becomes of the plan is the coordinator's."""

    TOPIC: ClassVar[str] = "planner.project"
    FOLD: ClassVar[int] = 1
    KEY_IS_PROJECT: ClassVar[bool] = True

    stage: Stage = "blank"
    title: str = ""
    template: str = ""
    """What the analysis found; asked once and never again."""
    approved: bool = False
    reason: str = ""
    """Why it was refused."""

    # Decisions: refuse, keep silent, or state one fact.

    def create(self, request: CreateProject, title: str, at: datetime) -> None:
        """Begin with what somebody asked for."""
        if self.stage != "blank":
            raise IdTaken(f"{self.id} is another project")
        self.record(ProjectCreated(at=at, request=request, title=title))

    def note_analysis(
        self, *, analyst: str, template: str, reasons: Sequence[str], findings: dict[str, Any], at: datetime
    ) -> None:
        """Keep what an analyst found; the first one counts."""
        if self.stage == "created":
            reasons = tuple(reasons)
            fact = ProjectAnalysed(at=at, analyst=analyst, template=template, reasons=reasons, findings=findings)
            self.record(fact)

    def accept_plan(self, planned: ProjectPlanned) -> None:
        """Take a plan; the first one counts."""
        if self.stage in ("created", "analysed"):
            self.record(planned)

    def refuse(self, *, code: str, message: str, problems: Sequence[Problem], at: datetime) -> None:
        """Give up on a project that cannot be planned."""
        if self.stage in ("created", "analysed"):
            self.record(ProjectRefused(at=at, code=code, message=message, problems=tuple(problems)))

    def approve(self, at: datetime) -> None:
        """Let the plan be carried out."""
        if self.stage == "refused":
            raise NotPlannable(f"{self.id} was refused: {self.reason}")
        if self.stage != "planned":
            raise NotPlanned(f"{self.id} has no plan yet")
        if not self.approved:
            self.record(PlanApproved(at=at))

    # Facts: past tense, never refuse, only move state.

    def apply_project_created(self, event: ProjectCreated) -> None:
        self.stage, self.title = "created", event.title

    def apply_project_analysed(self, event: ProjectAnalysed) -> None:
        self.stage, self.template = "analysed", event.template

    def apply_project_planned(self, event: ProjectPlanned) -> None:
        self.stage, self.approved = "planned", event.approved

    def apply_plan_approved(self, _event: PlanApproved) -> None:
        self.approved = True

    def apply_plan_revised(self, _event: PlanRevised) -> None:
        """Nothing that is decided here depends on what the plan says."""

    def apply_project_refused(self, event: ProjectRefused) -> None:
        self.stage, self.reason = "refused", event.message
