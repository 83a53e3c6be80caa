"""Commands that make no sense: each is answered with what is wrong, and what somebody may have meant is kept."""

from typing import Any

import pytest
from nats.js.errors import APIError, NoStreamResponseError
from pydantic_core import to_json

from contracts.base import INLINE_LIMIT
from contracts.planner import CreateProject
from nexus.client import PayloadTooLarge, Refused
from services.planner.naming import project_id
from tests.bad_input.conftest import Outsider

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

CREATE = "nexus.commands.planner.create_project"
PAUSE = "nexus.commands.coordinator.pause_project"


def task(name: str, *after: str, **more: object) -> dict[str, object]:
    return {"id": name, "capability": "work", "depends_on": after, **more}


async def test_what_is_no_json(outsider: Outsider) -> None:
    outcome = await outsider.told(CREATE, b'{"title": "half')

    letter = await outsider.letter(CREATE)
    assert (outcome.status, outcome.code) == ("refused", "malformed")
    assert "not JSON" in outcome.message
    assert (letter.code, letter.payload) == ("malformed", b'{"title": "half')


async def test_wrong_types_one_problem_for_each(outsider: Outsider) -> None:
    outcome = await outsider.told(CREATE, b'{"title": 5, "priority": "high", "tasks": [{"id": "a b"}]}')

    assert (outcome.status, outcome.code) == ("refused", "invalid")
    found = {problem.pointer for problem in outcome.problems}
    assert found == {"/title", "/priority", "/tasks/0/id", "/tasks/0/capability"}
    assert (await outsider.letter(CREATE)).code == "invalid"


async def test_a_missing_field(outsider: Outsider) -> None:
    outcome = await outsider.told(PAUSE, b"{}")

    assert (outcome.code, [problem.pointer for problem in outcome.problems]) == ("invalid", ["/project"])
    assert (await outsider.letter(PAUSE)).code == "invalid"


@pytest.mark.parametrize(
    ("subject", "hint"),
    [
        ("nexus.commands.planner.create_projekt", "did you mean create_project?"),
        ("nexus.commands.coordinator.pause_projects", "did you mean pause_project?"),
        ("nexus.commands.resource_manager.dance", "it knows drain_agent, set_capacity"),
        ("nexus.commands.metrics.anything", "it knows none"),
    ],
)
async def test_an_unknown_command_is_refused_and_kept(outsider: Outsider, subject: str, hint: str) -> None:
    outcome = await outsider.told(subject, b"{}")

    assert (outcome.status, outcome.code) == ("refused", "unknown_command")
    assert hint in outcome.message
    letter = await outsider.letter(subject)
    assert (letter.code, hint in letter.reason) == ("unknown_command", True)


async def test_a_service_that_does_not_exist_is_the_publishers_error(outsider: Outsider) -> None:
    with pytest.raises(NoStreamResponseError):
        await outsider.publish("nexus.commands.plannner.create_project", b"{}")


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"tasks": [task("a", "b"), task("b", "a")]}, "cycle", "the tasks wait for each other"),
        ({"tasks": [task("a", "nobody")]}, "unknown_dependency", "nobody"),
        ({"tasks": [task("a"), task("a")]}, "duplicate_task", "a"),
        ({"tasks": []}, "no_tasks", "at least one task"),
        ({"tasks": [{"id": "a", "capability": "wrok"}]}, "unknown_capability", "wrok"),
        ({"tasks": [task("a", demands={"cpu": 51})]}, "never_schedulable", "could never run"),
        ({"tasks": [task("a", demands={"slots": 5})]}, "never_schedulable", "larger than every agent"),
        ({"type": "web_aplication"}, "unknown_template", "web_application"),
        ({"tasks": [task("a")], "protocol": {"type": "anarchic"}}, "unknown_protocol", "anarchic"),
    ],
)
async def test_a_project_that_cannot_be(outsider: Outsider, request_: dict[str, Any], code: str, words: str) -> None:
    before = len(await outsider.client.projects())

    with pytest.raises(Refused) as refused:
        await outsider.client.create_project(title="impossible", **request_)

    assert refused.value.code == code
    assert words in str(refused.value)
    assert refused.value.problems[0].pointer.startswith(("/tasks", "/type", "/protocol"))
    assert len(await outsider.client.projects()) == before
    assert await outsider.no_letter(), "a refusal is an answer; there is nothing to keep"


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "execute", "approve"])
async def test_a_project_that_nobody_described(outsider: Outsider, verb: str) -> None:
    with pytest.raises(Refused, match="there is no project nowhere-abc") as refused:
        await getattr(outsider.client, verb)("nowhere-abc")

    assert refused.value.code == "unknown_project"


async def test_a_project_that_waits_to_be_started_cannot_be_paused(outsider: Outsider) -> None:
    project = await outsider.project(start="manual")

    with pytest.raises(Refused, match="approve its plan or execute it first"):
        await outsider.client.pause(project)

    await outsider.client.approve(project)
    assert (await outsider.client.wait(project, 10)).status == "completed"


async def test_a_protocol_that_nobody_defined(outsider: Outsider) -> None:
    project = await outsider.project(start="manual")

    with pytest.raises(Refused, match="there is no protocol mine"):
        await outsider.client.execute(project, "mine")


async def test_too_large_is_refused_by_client_and_by_server(outsider: Outsider) -> None:
    large = {"id": "a", "capability": "work", "input": {"text": "x" * INLINE_LIMIT}}
    with pytest.raises(PayloadTooLarge, match="object store"):
        await outsider.client.create_project(title="large", tasks=[large])
    with pytest.raises(APIError, match="message size exceeds"):
        await outsider.publish(CREATE, to_json({"title": "large", "tasks": [large], "description": "y" * 20_000}))


async def test_what_came_too_early_can_be_sent_again_when_the_cause_is_cured(outsider: Outsider) -> None:
    waiting = [task("a", waits_for=["go"])]
    wanted = CreateProject.model_validate({"title": "late", "tasks": waiting, "protocol": {"type": "event_driven"}})
    project = project_id(wanted, "command-of-late")
    await outsider.publish(f"nexus.signals.{project}.go", b'{"by": "an early bird"}')
    letter = await outsider.letter(f"nexus.signals.{project}.go")
    assert (letter.code, letter.reason) == ("not_planned", f"project {project} is not being carried out")

    await outsider.client.command(wanted, "command-of-late")
    await outsider.started(project)
    assert (await outsider.client.project(project)).tasks["a"].status == "waiting"
    await outsider.client.redrive(letter.sequence)

    view = await outsider.client.wait(project, 10)
    assert (view.status, view.signals) == ("completed", {"go": {"by": "an early bird"}})
    assert letter.sequence not in [one.sequence for one in await outsider.client.dead_letters()]


async def test_a_signal_that_is_no_json_starts_nothing(outsider: Outsider) -> None:
    project = await outsider.project({"id": "a", "waits_for": ["go"]}, protocol={"type": "event_driven"})
    await outsider.started(project)

    await outsider.publish(f"nexus.signals.{project}.go", b"go!")

    assert (await outsider.letter(f"nexus.signals.{project}.go")).code == "malformed"
    assert (await outsider.client.project(project)).tasks["a"].status == "waiting"
    await outsider.client.signal(project, "go")
    assert (await outsider.client.wait(project, 10)).status == "completed"


async def test_after_all_that_it_works_as_before(outsider: Outsider) -> None:
    project = await outsider.project({"id": "a"}, {"id": "b", "depends_on": ["a"]})

    assert (await outsider.client.wait(project, 10)).status == "completed"
