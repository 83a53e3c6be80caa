"""What is deployed: the server's configuration is tried on a real server, the other files are read."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
import yaml
from nats.aio.client import Client as Nats
from pydantic import SecretStr

from contracts.planner import CreateProject
from deploy.permissions import CONF, SERVICES, conf
from nexus.client import Client
from nexus.nats_binary import find_binary
from nexus.ports import free_port
from services.agents.app import create as agents
from services.coordinator.app import create as coordinator
from services.metrics.app import create as metrics
from services.planner.app import create as planner
from services.resource_manager.app import create as resource_manager
from shared.service import running
from shared.settings import Settings
from shared.streams import provision

ROOT = CONF.parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
USERS = ("setup", *SERVICES, "gateway", "agents")


@dataclass
class Server:
    """A server with the deployed configuration."""

    url: str
    output: Path

    def settings(self, user: str) -> Settings:
        """The settings of one user's process."""
        chosen = Settings.load({}, environ={}, nats_url=self.url, nats_user=user, demo_output=self.output)
        return chosen.model_copy(update={"nats_password": SecretStr(f"pw-{user}")})

    async def connect(self, user: str, **options: Any) -> Nats:
        """Connect as one user."""
        return await nats.connect(
            self.url, user=user, password=f"pw-{user}", inbox_prefix=f"_INBOX.{user}", allow_reconnect=False, **options
        )


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    port = free_port()
    text = CONF.read_text().replace("0.0.0.0:4222", f"127.0.0.1:{port}").replace("0.0.0.0:8222", "127.0.0.1:-1")
    config = tmp_path / "nats.conf"
    config.write_text(text.replace('"/data"', f'"{tmp_path / "data"}"'))
    passwords = {f"NEXUS_{user.upper()}_PASSWORD": f"pw-{user}" for user in USERS}
    process = await asyncio.create_subprocess_exec(
        find_binary(), "-c", config, env=os.environ | passwords, stderr=subprocess.DEVNULL
    )
    try:
        found = Server(f"nats://127.0.0.1:{port}", tmp_path / "output")
        async with asyncio.timeout(5):
            while True:
                try:
                    setup = await found.connect("setup")
                    break
                except OSError:
                    await asyncio.sleep(0.02)
        await provision(setup)
        await setup.close()
        yield found
    finally:
        process.terminate()
        await process.wait()


async def refused(server: Server, user: str, subject: str) -> bool:
    """Whether the server keeps this user from publishing there."""
    errors: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        await errors.put(str(error))

    nc = await server.connect(user, error_cb=note)
    try:
        await nc.publish(subject, b"{}")
        await nc.flush()
        await asyncio.sleep(0.05)
        return not errors.empty() and "permissions violation" in (await errors.get()).lower()
    finally:
        await nc.close()


@pytest.mark.nats
@pytest.mark.parametrize("user", sorted(SERVICES))
async def test_a_service_states_its_own_facts_and_nobody_elses(server: Server, user: str) -> None:
    found = {other: await refused(server, user, f"nexus.events.{other}.x.y") for other in SERVICES}

    assert found == {other: other != user for other in SERVICES}


@pytest.mark.nats
@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("planner", "nexus.tasks.database"),
        ("planner", "nexus.commands.coordinator.cancel_project"),
        ("planner", "$JS.API.STREAM.DELETE.NEXUS_EVENTS"),
        ("coordinator", "nexus.snapshots.planner.x"),
        ("coordinator", "$JS.API.STREAM.UPDATE.NEXUS_EVENTS"),
        ("metrics", "$JS.API.CONSUMER.MSG.NEXT.NEXUS_INBOX.planner-commands"),
        ("resource_manager", "nexus.timers.coordinator.x"),
        ("gateway", "nexus.events.planner.x.y"),
        ("agents", "nexus.commands.planner.create_project"),
        ("agents", "nexus.events.coordinator.x.tasks_settled"),
    ],
)
async def test_what_is_none_of_its_business_is_refused(server: Server, user: str, subject: str) -> None:
    assert await refused(server, user, subject)


@pytest.mark.nats
async def test_nobody_reads_the_answers_of_others(server: Server) -> None:
    errors: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        await errors.put(str(error))

    nc = await server.connect("planner", error_cb=note)
    await nc.subscribe("_INBOX.>")
    await nc.flush()

    assert "permissions violation" in (await asyncio.wait_for(errors.get(), 2)).lower()
    await nc.close()


@pytest.mark.system
async def test_a_project_completes_with_every_service_under_its_own_user(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    services = {
        "planner": planner,
        "resource_manager": resource_manager,
        "coordinator": coordinator,
        "metrics": metrics,
        "agents": agents,
    }
    request = CreateProject(type="api_service", description="An API for a blog", requirements={"expected_users": 10})
    async with AsyncExitStack() as stack:
        for user, create in services.items():
            await stack.enter_async_context(running(create, server.settings(user)))
        client = await stack.enter_async_context(Client.connect(settings=server.settings("gateway")))

        outcome = await client.create_project(**request.model_dump(exclude_defaults=True))
        view = await client.wait(outcome.result["project"], timeout=60)

    assert view.status == "completed"
    assert not [record.getMessage() for record in caplog.records if "ermissions" in record.getMessage()]


def test_the_configuration_is_what_the_table_says() -> None:
    assert CONF.read_text() == conf(), "run `python deploy/permissions.py`"


def test_compose_runs_each_service_as_its_own_user() -> None:
    services = COMPOSE["services"]

    for name in (*SERVICES, "gateway", "agents"):
        assert services[name]["command"][2] == f"services.{name}.app:create"
        assert (ROOT / f"services/{name}/app.py").exists()
        assert services[name]["environment"]["NEXUS_NATS_USER"] == name
        assert services[name]["environment"]["NEXUS_NATS_PASSWORD"] == f"${{NEXUS_{name.upper()}_PASSWORD:?}}"


def test_every_variable_of_compose_is_explained_and_given_to_the_server() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    explained = set(re.findall(r"^(\w+)=", (ROOT / "deploy/env.example").read_text(), re.MULTILINE))
    wanted = set(re.findall(r"\$(NEXUS_\w+)", CONF.read_text()))

    assert asked == explained
    assert wanted <= set(COMPOSE["services"]["nats"]["environment"])


def test_settings_understand_what_compose_says() -> None:
    for name, service in COMPOSE["services"].items():
        environment = {key: value for key, value in (service.get("environment") or {}).items() if key != "<<"}
        if service.get("image") == "nexus:local":
            assert Settings.load({}, environ=environment).nats_url == "nats://nats:4222", name


def test_the_image_holds_what_is_installed_and_its_files_exist() -> None:
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]]
    ignored = (ROOT / ".dockerignore").read_text().split()

    assert {"contracts", "shared", "services", "nexus"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists() or name == "README.md"
        assert f"!{name}" in ignored


def test_prometheus_reads_every_service() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
    targets = {
        target.split(":")[0]
        for job in config["scrape_configs"]
        for s in job["static_configs"]
        for target in s["targets"]
    }

    assert targets == {*SERVICES, "gateway", "agents"}
