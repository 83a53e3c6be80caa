"""The gateway as one of the system's processes."""

from pathlib import Path

import httpx
import pytest

from nexus.embedded import SERVICES, embedded
from shared.settings import Settings

pytestmark = [pytest.mark.nats, pytest.mark.system]


async def test_a_whole_system_has_one(tmp_path: Path) -> None:
    settings = Settings.load({}, environ={}, data=tmp_path / "nexus", sync="1m")
    assert "gateway" in SERVICES

    async with (
        embedded(settings, services=("gateway",), in_process=False) as system,
        httpx.AsyncClient(base_url=system.urls["gateway"]) as http,
    ):
        assert (await http.get("/readyz")).json()["ready"]
        await system.kill("gateway")
        await system.host.restart("gateway")
        assert (await http.get("/v1/projects")).json() == {"projects": [], "total": 0, "next": None}
