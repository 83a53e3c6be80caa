"""From a request to a plan."""

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import INLINE_LIMIT
from contracts.planner import CreateProject, ProjectPlanned
from contracts.work import Demand, ProtocolConfig, Retry, Task
from services.planner.complexity import TERMS, complexity
from services.planner.findings import Refused
from services.planner.planning import MOST_SCHEDULED, Rules, check, make_plan
from services.planner.projections import Workforce
from tests.planner.wishes import NOON, own, rules, task, wish, workforce

RULES = rules()


def planned(
    request: CreateProject, rules: Rules = RULES, everybody: Workforce | None = None, template: str = ""
) -> ProjectPlanned:
    template = template or (request.type or "" if request.tasks is None else "")
    return make_plan(request, template, rules, everybody or Workforce(), title="A title", at=NOON)


def told(request: CreateProject, rules: Rules = RULES) -> list[tuple[str, str]]:
    return [(finding.code, finding.pointer) for finding in check(request, rules)]


def size(message: ProjectPlanned) -> int:
    return len(message.model_dump_json(exclude_defaults=True))


def test_the_seeds_request_becomes_the_templates_plan() -> None:
    event = planned(wish())
    plan = event.plan

    assert (event.title, event.type, event.approved) == ("A title", "web_application", True)
    assert event.description == "E-commerce platform with user management"
    assert event.requirements == {"expected_users": 10000, "performance_level": "high"}
    assert (plan.template, plan.template_hash) == ("web_application", RULES.catalog.hashes["web_application"])
    assert plan.phases == ("analysis", "design", "frontend", "backend", "integration", "testing")
    assert plan.sync_points == ("requirements_complete", "schema_ready", "api_complete")
    assert plan.critical_path[0] == "write-requirements"
    assert plan.critical_path[-1] == "run-tests"
    assert [slack.task for slack in plan.schedule] == [task.id for task in plan.tasks]
    assert {"load", "latency", "late"} <= {risk.id for risk in plan.risks}
    assert plan.total_work == pytest.approx(sum(task.estimate for task in plan.tasks))
    assert plan.demands.slots == len(plan.tasks)


def test_more_users_and_more_performance_take_longer_and_hold_more() -> None:
    small, large = planned(wish(requirements={})).plan, planned(wish()).plan

    assert large.lower_bound > small.lower_bound
    assert large.demands.cpu > small.demands.cpu
    assert large.complexity.score > small.complexity.score


def test_own_tasks_are_taken_as_they_are() -> None:
    tasks = (task("a", phase="x", estimate=2), task("b", "a", phase="y", estimate=3, provides="ready"))

    plan = planned(own(*tasks)).plan

    assert plan.tasks == tasks
    assert (plan.template, plan.template_hash) == ("", "")
    assert (plan.phases, plan.sync_points) == (("x", "y"), ("ready",))
    assert (plan.lower_bound, plan.critical_path) == (5, ("a", "b"))


def test_a_manual_start_waits_for_approval() -> None:
    assert planned(wish(start="manual")).approved is False


def test_no_schedule_is_shorter_than_critical_path_or_work_by_slots() -> None:
    tasks = [task(f"t{n}", estimate=2) for n in range(10)]

    assert planned(own(*tasks)).plan.lower_bound == 2
    assert planned(own(*tasks), everybody=workforce(a=(("backend",), 4))).plan.lower_bound == 5
    assert planned(own(*tasks), everybody=workforce(a=(("backend",), 100))).plan.lower_bound == 2
    assert planned(own(*tasks), everybody=workforce(a=(("frontend",), 1))).plan.lower_bound == 2


def test_a_task_of_two_slots_is_twice_the_work_for_them() -> None:
    request = own(task("a", estimate=4, demands=Demand(slots=2)), task("b", estimate=4))

    assert planned(request, everybody=workforce(a=(("backend",), 2))).plan.lower_bound == 6


# Protocols, retries


def test_the_requests_protocol_counts_and_what_it_leaves_out_comes_from_the_settings() -> None:
    given = ProtocolConfig(type="event_driven", sync_points=("paid",), timeout_minutes=5)

    protocol = planned(own(task("a", waits_for=("shipped",)), protocol=given)).plan.protocol

    assert (protocol.type, protocol.timeout_minutes, protocol.sync_timeout) == ("event_driven", 5, 300)
    assert protocol.sync_points == ("paid", "shipped")


def test_without_one_the_settings_decide() -> None:
    coordination = {"default_protocol": "synchronous", "sync_timeout": 7}
    chosen = rules(
        {"orchestrator": {"coordination": coordination}, "agents": {"orchestrator": {"coordination_timeout": 120}}}
    )

    for request in (own(task("a")), wish()):
        protocol = planned(request, chosen).plan.protocol
        assert (protocol.type, protocol.timeout_minutes, protocol.sync_timeout) == ("synchronous", 2, 7)


def test_the_seeds_protocol_is_taken_as_written() -> None:
    seed = {
        "agents": ["analyst", "database", "frontend", "backend"],
        "type": "event_driven",
        "sync_points": ["requirements_complete", "schema_ready", "api_complete"],
        "timeout_minutes": 60,
    }

    protocol = planned(wish(protocol=seed)).plan.protocol

    assert protocol.model_dump(include=set(seed), mode="json") == seed


def test_an_unknown_protocol_is_refused() -> None:
    (finding,) = check(wish(protocol={"type": "event_drivn"}), RULES)

    known = "asynchronous, event_driven, synchronous; did you mean event_driven?"
    assert (finding.code, finding.pointer) == ("unknown_protocol", "/protocol/type")
    assert finding.message == f"there is no protocol 'event_drivn', only {known}"


@pytest.mark.parametrize(("attempts", "expected"), [(0, 1), (1, 1), (3, 3), (7, 7)])
def test_tasks_that_say_nothing_are_tried_as_often_as_the_settings_say(attempts: int, expected: int) -> None:
    chosen = rules({"orchestrator": {"coordination": {"retry_attempts": attempts}}})
    request = own(task("a"), task("b", retry=Retry(attempts=5, initial=9)))

    usual, special = planned(request, chosen).plan.tasks

    assert usual.retry == Retry(attempts=expected)
    assert special.retry == Retry(attempts=5, initial=9)


# Refusals


def test_everything_wrong_with_own_tasks_is_told_at_once() -> None:
    request = own(
        task("a", "b"),
        task("b", "a"),
        task("c"),
        task("c", "nobody", demands=Demand(cpu=101)),
        protocol=ProtocolConfig(type="chaos"),
    )

    assert sorted(told(request)) == [
        ("cycle", "/tasks/0/depends_on/0"),
        ("duplicate_task", "/tasks/3/id"),
        ("never_schedulable", "/tasks/3/demands/cpu"),
        ("unknown_dependency", "/tasks/3/depends_on/0"),
        ("unknown_protocol", "/protocol/type"),
    ]
    with pytest.raises(Refused) as caught:
        planned(request)
    assert caught.value.code == "invalid"
    assert len(caught.value.problems) == len(told(request))


def test_one_kind_of_fault_gives_its_code() -> None:
    with pytest.raises(Refused) as caught:
        planned(own(task("a", "a")))

    assert caught.value.code == "cycle"
    assert str(caught.value) == "/tasks/0/depends_on/0: the tasks wait for each other: a → a"


def test_an_empty_list_of_tasks_is_refused() -> None:
    assert told(own()) == [("no_tasks", "/tasks")]


def test_a_request_that_says_nothing_is_refused() -> None:
    assert told(CreateProject()) == [("no_template", "")]
    assert told(CreateProject(description="something")) == []


def test_an_unknown_template_and_a_misfit_are_told_before_anything_is_kept() -> None:
    assert told(wish(type="web")) == [("unknown_template", "/type")]
    assert told(wish(technologies={"backend": "cobol"})) == [("unsupported_technology", "/technologies/backend")]


def test_a_template_that_needs_more_than_the_pool_has_says_which_settings_to_change() -> None:
    chosen = rules({"nexus": {"resource_limits": {"cpu": 10, "memory": 100, "disk": 1000}}})

    findings = list(check(wish(), chosen))

    assert {(finding.code, finding.pointer) for finding in findings} == {("never_schedulable", "")}
    assert findings[0].message == (
        "build-frontend needs 13 cpu, and the pool has 10 in all: it could never run; set "
        "orchestrator.templates.web_application.default_resources lower or nexus.resource_limits higher"
    )


def test_so_does_a_template_that_an_analyst_chose() -> None:
    chosen = rules({"nexus": {"resource_limits": {"cpu": 10}}})

    with pytest.raises(Refused, match="default_resources lower"):
        planned(CreateProject(description="x"), chosen, template="web_application")


def test_a_template_that_an_analyst_made_up_is_refused() -> None:
    with pytest.raises(Refused, match="there is no template 'spaceship'"):
        planned(CreateProject(description="x"), template="spaceship")


# Size


def fan(size: int, **more: Any) -> list[Task]:
    names = [f"task-{n:04}" for n in range(size)]
    return [*(task(name, estimate=0.0, **more) for name in names), task("join", *names)]


def test_a_thousand_tasks_and_a_join_fit_into_one_message() -> None:
    plan = planned(own(*fan(1000, title="A piece of work")))

    assert size(plan) < INLINE_LIMIT
    assert plan.plan.schedule == ()
    assert plan.plan.critical_path


def test_up_to_some_hundred_tasks_the_plan_has_a_schedule() -> None:
    assert len(planned(own(*fan(MOST_SCHEDULED - 1))).plan.schedule) == MOST_SCHEDULED


def test_what_is_too_large_for_a_message_is_refused() -> None:
    assert told(own(*fan(1000, title="x" * 200))) == [("too_large", "")]
    assert told(own(task("a", input={"text": "x" * INLINE_LIMIT}))) == [("too_large", "")]


def test_a_plan_that_outgrows_a_message_is_refused() -> None:
    names = [f"{n:04}{'x' * 100}" for n in range(750)]
    chain = [task(name, *names[max(0, n - 1) : n]) for n, name in enumerate(names)]

    assert told(own(*chain)) == []
    with pytest.raises(Refused) as caught:
        planned(own(*chain))
    assert caught.value.code == "too_large"


# Complexity


def test_complexity_has_its_terms_and_they_make_the_score() -> None:
    found = planned(own(task("a"), technologies={"backend": "cobol"}, requirements={"expected_users": 1000})).plan

    assert found.complexity.terms.keys() == TERMS.keys()
    assert found.complexity.terms["unknown_technologies"] == 10
    assert found.complexity.terms["users"] == 7.5
    assert found.complexity.score == pytest.approx(sum(found.complexity.terms.values()))


@pytest.mark.parametrize("users", ["many", -3, 0, inf, None, True])
def test_own_tasks_may_come_with_any_requirements(users: object) -> None:
    assert planned(own(task("a"), requirements={"expected_users": users})).plan.complexity.terms["users"] == 0


@given(
    st.fixed_dictionaries(
        {
            "tasks": st.integers(1, 10_000),
            "width": st.integers(1, 10_000),
            "depth": st.integers(1, 10_000),
            "critical_path": st.floats(0, 1e9),
            "unknown_technologies": st.integers(0, 100),
            "users": st.floats(0, 1e12),
        }
    ),
    st.sampled_from(sorted(TERMS)),
)
def test_complexity_is_0_to_100_and_more_of_anything_never_makes_it_less(amounts: dict[str, Any], term: str) -> None:
    score = complexity(**amounts).score

    assert 0 <= score <= 100
    assert complexity(**(amounts | {term: amounts[term] * 2 + 1})).score >= score
