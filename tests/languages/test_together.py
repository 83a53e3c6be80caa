"""Two languages in one project: neither knows of the other, and Nexus knows of neither."""

import pytest

from nexus.embedded import System
from tests.languages.program import running
from tests.languages.suite import is_done_by, is_one_trace, is_told_truly, story_of
from tests.languages.toolchains import go_program, javascript_program
from tests.languages.witness import Witness

pytestmark = [pytest.mark.languages, pytest.mark.nats, pytest.mark.system]


async def test_an_agent_in_javascript_does_what_a_client_in_go_asks_for(system: System, witness: Witness) -> None:
    async with (
        running(javascript_program(), system, "agent") as agent,
        running(go_program(), system, "project") as client,
    ):
        await client.end()
        await agent.stop()

    began, story = await story_of(client, witness)
    is_told_truly(story, client)
    is_one_trace(story, began["traceparent"])
    is_done_by(story, witness, "js-writer", "JavaScript", "hello from Go")
    taken = [line["taken"] for line in agent.lines if "taken" in line]
    assert taken == [f"{began['project']}.draft.1", f"{began['project']}.print.1"]
