"""What the tests of other languages share: a system without agents of its own, and somebody who listens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexus.embedded import CORE, System, embedded
from shared.settings import Settings
from tests.languages.witness import Witness
from tests.languages.witness import witness as listening

pytest.register_assert_rewrite("tests.languages.suite")


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    settings = Settings.load({}, environ={}, data=tmp_path / "nexus", sync="1m")
    async with embedded(settings, services=CORE) as running:
        yield running


@pytest.fixture
async def witness(system: System) -> AsyncIterator[Witness]:
    async with listening(system) as heard:
        yield heard
