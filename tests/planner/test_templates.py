"""The template files, and what settings may change about them."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from services.agents import analyst, backend, database, frontend, tester
from services.agents.brief import ProjectContext
from services.agents.rendering import kinds
from services.planner.catalog import FOLDER, Catalog, read, shares
from services.planner.template import Template, content_hash, schema
from shared.settings import Settings, SettingsError
from tests.planner.wishes import wish

TEMPLATES = Catalog.load().templates
REFERENCE = {
    "analysis": analyst.KINDS,
    "database": database.KINDS,
    "backend": backend.KINDS,
    "frontend": frontend.KINDS,
    "testing": tester.KINDS,
}


def catalog(**overrides: Any) -> Catalog:
    return Catalog.load(Settings.load({"orchestrator": {"templates": overrides}}, environ={}))


def mistakes(**overrides: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        catalog(**overrides)
    return caught.value.problems


def changed(template: Template, **changes: Any) -> dict[str, Any]:
    return template.model_dump(mode="json") | changes


def test_there_is_one_for_each_kind_of_the_seed() -> None:
    assert sorted(TEMPLATES) == ["api_service", "mobile_app", "web_application"]


def test_the_schema_beside_them_is_the_models() -> None:
    text = (FOLDER / "template.schema.json").read_text(encoding="utf-8")

    command = "python -m services.planner.template > services/planner/templates/template.schema.json"
    assert text == schema(), f"write it again: {command}"


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_each_task_asks_for_something_that_the_reference_agent_makes(template: Template) -> None:
    for task in template.tasks:
        assert set(task.input) == {"artifact"}
        assert task.input["artifact"] in REFERENCE[task.capability]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_all_that_belongs_to_such_a_project_is_made_once_and_its_tests_are_run_last(template: Template) -> None:
    made = [task.input["artifact"] for task in template.tasks]
    wanted = kinds(ProjectContext(project="p", type=template.id))

    assert sorted(made) == sorted([*wanted, "verification"])
    assert (template.tasks[-1].capability, made[-1]) == ("testing", "verification")


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_the_last_task_comes_after_all_others(template: Template) -> None:
    by_id = {task.id: task for task in template.tasks}
    reached, left = set(), [template.tasks[-1].id]
    while left:
        name = left.pop()
        reached.add(name)
        left += by_id[name].depends_on

    assert reached == set(by_id)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_its_parameters_are_a_json_schema_whose_defaults_are_valid(template: Template) -> None:
    Draft202012Validator.check_schema(template.parameters)
    properties = template.parameters["properties"]
    defaults = {name: found["default"] for name, found in properties.items() if "default" in found}

    assert not list(Draft202012Validator(template.parameters).iter_errors(defaults))
    assert set(template.scaling.performance) == set(properties["performance_level"]["enum"])


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_all_its_tasks_together_hold_its_default_resources(template: Template) -> None:
    held = shares(template).values()

    assert sum(demand.cpu for demand in held) == pytest.approx(template.default_resources.cpu)
    assert sum(demand.memory for demand in held) == pytest.approx(template.default_resources.memory)


def test_the_web_application_has_the_phases_and_sync_points_of_the_seed() -> None:
    web = TEMPLATES["web_application"]

    assert [phase.id for phase in web.phases] == ["analysis", "design", "frontend", "backend", "integration", "testing"]
    assert web.sync_points == ("requirements_complete", "schema_ready", "api_complete")


def test_the_hash_is_that_of_the_content() -> None:
    web = TEMPLATES["web_application"]
    again = Template.model_validate(dict(reversed(web.model_dump(mode="json").items())))

    assert content_hash(again) == content_hash(web) == Catalog.load().hashes["web_application"]
    assert content_hash(web.model_copy(update={"title": "Another"})) != content_hash(web)
    assert len(content_hash(web)) == 64


def test_settings_are_part_of_the_hash() -> None:
    assert catalog(web_application={"default_resources": {"cpu": 30}}).hashes != Catalog.load().hashes


def test_default_resources_are_spread_over_the_tasks_by_their_shares() -> None:
    changed = catalog(web_application={"default_resources": {"cpu": 32, "memory": 70}}).templates["web_application"]
    usual, held = shares(TEMPLATES["web_application"]), shares(changed)

    assert sum(demand.cpu for demand in held.values()) == pytest.approx(32)
    assert sum(demand.memory for demand in held.values()) == pytest.approx(70)
    assert held["build-backend"].cpu == pytest.approx(usual["build-backend"].cpu / 2)


def test_slower_agents_scale_all_estimates() -> None:
    slow = catalog(api_service={"estimate_scale": 60}).templates["api_service"]

    for task, usual in zip(slow.tasks, TEMPLATES["api_service"].tasks, strict=True):
        assert (task.estimate, task.pessimistic) == (usual.estimate * 60, usual.pessimistic * 60)


def test_without_a_phase_those_behind_it_depend_on_those_before_it() -> None:
    phases = ["analysis", "design", "backend", "testing"]
    web = catalog(web_application={"phases": phases}).templates["web_application"]
    depends_on = {task.id: task.depends_on for task in web.tasks}

    assert [phase.id for phase in web.phases] == phases
    assert {"build-frontend", "integrate"}.isdisjoint(depends_on)
    assert set(depends_on["run-tests"]) == {"design-architecture", "design-api", "build-backend", "write-tests"}
    assert "contract-drift" in {risk.id for risk in web.risks}


def test_nobody_waits_for_a_sync_point_of_a_phase_left_out() -> None:
    web = catalog(web_application={"phases": ["analysis", "design", "integration"]}).templates["web_application"]

    assert web.sync_points == ("requirements_complete", "schema_ready")
    assert all(not task.waits_for for task in web.tasks)


def test_phases_may_be_ordered_as_the_dependencies_allow() -> None:
    phases = ["analysis", "design", "backend", "frontend", "integration", "testing"]

    assert [p.id for p in catalog(web_application={"phases": phases}).templates["web_application"].phases] == phases


def test_settings_that_contradict_the_templates_are_told_all_at_once() -> None:
    found = mistakes(
        web_aplication={}, web_application={"phases": ["design", "analysis", "testin"]}, mobile_app={"phases": []}
    )

    known = "api_service, mobile_app, web_application; did you mean web_application?"
    assert found[0] == f"orchestrator.templates.web_aplication: there is no template of this name, only {known}"
    assert found[1] == (
        "orchestrator.templates.web_application.phases: there is no phase 'testin', "
        "only analysis, design, frontend, backend, integration, testing; did you mean testing?"
    )
    assert found[2].endswith(
        "design-architecture (design) depends on write-requirements (analysis), so analysis must come before design"
    )
    assert found[-1] == "orchestrator.templates.mobile_app.phases: no task is left"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"sync_points": ["requirements_complete"]}, "its sync points are"),
        ({"risks": [{"id": "r", "title": "", "probability": 1, "impact": 1, "mitigation": "", "tasks": ["x"]}]}, "x"),
        ({"phases": [{"id": "analysis", "title": "Analysis"}]}, "unknown phase design"),
    ],
)
def test_a_template_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Template.model_validate(changed(TEMPLATES["web_application"], **changes))


def test_a_task_that_is_done_sooner_at_worst_than_usually_is_refused() -> None:
    tasks = changed(TEMPLATES["api_service"])["tasks"]
    tasks[0]["pessimistic"] = 0

    with pytest.raises(ValidationError, match="pessimistic"):
        Template.model_validate(changed(TEMPLATES["api_service"], tasks=tasks))


def test_every_file_is_read_without_the_settings() -> None:
    assert {read(path).id for path in FOLDER.glob("*.yaml")} == set(TEMPLATES)
    assert wish().type in TEMPLATES
