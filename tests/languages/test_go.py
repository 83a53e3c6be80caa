"""A program in Go that shares no code with Nexus."""

from collections.abc import Sequence

import pytest

from nexus.embedded import System
from tests.languages.suite import does_it_all, drops_what_it_has_and_what_is_withdrawn
from tests.languages.toolchains import go_program
from tests.languages.witness import Witness

pytestmark = [pytest.mark.languages, pytest.mark.nats, pytest.mark.system]


@pytest.fixture(scope="module")
def program() -> Sequence[str]:
    return go_program()


async def test_a_program_in_go_is_client_and_agent_with_nothing_but_nats(
    program: Sequence[str], system: System, witness: Witness
) -> None:
    await does_it_all(program, system, witness, agent="go-writer", language="Go")


async def test_an_agent_in_go_drops_what_it_has_already_and_what_is_withdrawn(
    program: Sequence[str], system: System, witness: Witness
) -> None:
    await drops_what_it_has_and_what_is_withdrawn(program, system, witness)
