"""What may happen to a project in planning."""

from typing import Any

import pytest

from contracts.base import Event
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
from contracts.work import Plan
from services.planner.domain import IdTaken, NotPlannable, NotPlanned, Project
from tests.planner.wishes import NOON, task

REQUEST = CreateProject(description="A shop")
CREATED = ProjectCreated(at=NOON, request=REQUEST, title="A shop")
ANALYSED = ProjectAnalysed(at=NOON, analyst="rules", template="web_application", reasons=("why",), findings={"a": 1})
PLAN = Plan(tasks=(task("a"),))
PLANNED = ProjectPlanned(at=NOON, plan=PLAN)
WAITING = ProjectPlanned(at=NOON, plan=PLAN, approved=False)
APPROVED = PlanApproved(at=NOON)
PROBLEMS = (Problem(pointer="/type", message="there is none"),)
REFUSED = ProjectRefused(at=NOON, code="unknown_template", message="No.", problems=PROBLEMS)


def project(*history: Event) -> Project:
    one = Project("shop-1")
    for event in history:
        one.apply(event)
    return one


def analyse(one: Project) -> None:
    one.note_analysis(analyst="rules", template="web_application", reasons=["why"], findings={"a": 1}, at=NOON)


def refuse(one: Project) -> None:
    one.refuse(code="unknown_template", message="No.", problems=PROBLEMS, at=NOON)


def test_a_project_is_created_analysed_and_planned() -> None:
    one = project()

    one.create(REQUEST, "A shop", NOON)
    analyse(one)
    one.accept_plan(PLANNED)

    assert one.collect_events() == [CREATED, ANALYSED, PLANNED]
    assert (one.stage, one.title, one.template, one.approved) == ("planned", "A shop", "web_application", True)


def test_a_project_of_its_own_tasks_needs_no_analysis() -> None:
    one = project(CREATED)

    one.accept_plan(PLANNED)

    assert one.collect_events() == [PLANNED]


def test_an_id_is_given_once() -> None:
    with pytest.raises(IdTaken):
        project(CREATED).create(REQUEST, "Another", NOON)


@pytest.mark.parametrize("history", [[CREATED, ANALYSED], [CREATED, PLANNED], [CREATED, REFUSED]])
def test_the_first_analysis_counts(history: list[Event]) -> None:
    one = project(*history)

    analyse(one)

    assert one.collect_events() == []


@pytest.mark.parametrize("history", [[CREATED, PLANNED], [CREATED, ANALYSED, REFUSED], [CREATED, WAITING, APPROVED]])
def test_what_is_settled_stays_settled(history: list[Event]) -> None:
    one = project(*history)

    one.accept_plan(PLANNED)
    refuse(one)

    assert one.collect_events() == []


@pytest.mark.parametrize("history", [[CREATED], [CREATED, ANALYSED]])
def test_a_project_that_cannot_be_planned_is_refused(history: list[Event]) -> None:
    one = project(*history)

    refuse(one)

    assert one.collect_events() == [REFUSED]
    assert (one.stage, one.reason) == ("refused", "No.")


def test_a_plan_that_waits_is_approved_once() -> None:
    one = project(CREATED, WAITING)

    one.approve(NOON)
    one.approve(NOON)

    assert one.collect_events() == [APPROVED]


def test_a_plan_that_needs_no_approval_is_not_approved_again() -> None:
    one = project(CREATED, PLANNED, PlanRevised(at=NOON, plan=PLAN))

    one.approve(NOON)

    assert one.collect_events() == []


@pytest.mark.parametrize(
    ("history", "refusal"),
    [([CREATED], NotPlanned), ([CREATED, ANALYSED], NotPlanned), ([CREATED, REFUSED], NotPlannable)],
)
def test_what_has_no_plan_cannot_be_approved(history: list[Event], refusal: Any) -> None:
    with pytest.raises(refusal):
        project(*history).approve(NOON)
