"""Who may import whom. The table is the architecture; change it in a commit of its own."""

import ast
import sys
from dataclasses import dataclass
from fnmatch import fnmatch

import pytest

from tests.architecture.reading import BESIDE, OURS, imports, modules, tree, within

STANDARD = tuple(sys.stdlib_module_names)
PURE = (
    *("__future__", "abc", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions"),
    *("functools", "graphlib", "heapq", "itertools", "math", "numbers", "operator", "re", "statistics", "string"),
    *("types", "typing", "uuid", "zlib"),
)
# what in there asks the clock or throws dice, and what does so wherever it is called
IMPURE_NAMES = ("uuid.uuid1", "uuid.uuid4", "random", "time", "secrets")
IMPURE_CALLS = ("now", "today", "utcnow", "uuid1", "uuid4", "open", "print", "input")
TEST_ONLY = ("shared.memory", "shared.recorder")
FRAME = ("shared.settings", "shared.readiness", "shared.logs")
CLIENT = tuple(f"nexus.{name}" for name in ("agents_view", "client", "connection", "history", "project_list", "view"))
READERS = tuple(
    f"shared.{name}" for name in ("deadletters", "eventlog", "projection", "records", "snapshots", "streams")
)
COMPOSERS = ("nexus/embedded.py", "nexus/embedded/*", "nexus/cli.py", "nexus/cli/*")


@dataclass(frozen=True)
class Rule:
    """What modules that match may import: of ours, and of others (None: whatever is installed)."""

    pattern: str
    ours: tuple[str, ...]
    others: tuple[str, ...] | None = None


RULES = (  # the first that matches counts; `*` crosses folders, {service} is the folder's name
    Rule("contracts/*", ("contracts",), (*STANDARD, "pydantic", "pydantic_core", "yaml")),
    Rule("shared/domain.py", ("contracts.base",), PURE),
    Rule(
        "shared/*", ("shared", *(f"contracts.{name}" for name in ("base", "envelope", "outcomes", "unread")))
    ),  # what has no domain
    # the reference agents are written with nothing but the public agent kit; their app is the frame around them
    Rule("services/agents/app.py", ("services.agents", "contracts", "nexus.agent", *FRAME)),
    Rule("services/agents/*", ("services.agents", "contracts", "nexus.agent")),
    # the gateway stands at the edge: it asks and reads as any program would, through the client
    Rule(
        "services/gateway/*",
        (
            "services.gateway",
            "contracts",
            *CLIENT,
            *FRAME,
            *READERS,
            "shared.loops",
            "shared.metrics",
            "shared.telemetry",
        ),
    ),
    Rule("services/*/domain.py", ("contracts", "shared.domain"), PURE),
    Rule("services/*/domain/*", ("services.{service}.domain", "contracts", "shared.domain"), PURE),
    Rule("services/*", ("services.{service}", "contracts", "shared")),
    *(Rule(composer, ("nexus", "contracts", "shared", "services")) for composer in COMPOSERS),
    Rule("nexus/bench/*", ("nexus", "contracts", "shared", "services")),  # what measures may look inside
    Rule("nexus/*", ("nexus", "contracts", "shared")),
)


def violations(module: str, code: ast.Module) -> list[str]:
    """Return what this code, standing where `module` says, must not import."""
    rule = next(rule for rule in RULES if fnmatch(module, rule.pattern))
    service = module.split("/")[1]
    ours = tuple(name.format(service=service) for name in rule.ours)
    return [name for name in imports(code) if not _allowed(name, module, ours, rule.others)]


def _allowed(name: str, module: str, ours: tuple[str, ...], others: tuple[str, ...] | None) -> bool:
    if name.startswith("."):
        return False  # a relative import hides how far it reaches
    if within(name, BESIDE):
        return False
    if not within(name, OURS):
        return others is None or (within(name, others) and not (others is PURE and within(name, IMPURE_NAMES)))
    if within(name, TEST_ONLY):
        return module.startswith("shared/")
    if name.startswith("services.") and "app" in name.split(".")[2:]:
        return any(fnmatch(module, pattern) for pattern in COMPOSERS)  # a composition root is nobody's library
    return within(name, ours)


def is_pure(module: str) -> bool:
    return next(rule for rule in RULES if fnmatch(module, rule.pattern)).others is PURE


def impurities(code: ast.Module) -> list[str]:
    """Return the calls that ask the clock, throw dice, or reach outside, and every wait."""
    called = [node.func for node in ast.walk(code) if isinstance(node, ast.Call)]
    names = [func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called]
    waits = [type(node).__name__ for node in ast.walk(code) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    return [name for name in names if name in IMPURE_CALLS] + waits


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    assert violations(module, tree(module)) == []


@pytest.mark.parametrize("module", [module for module in modules() if is_pure(module)])
def test_a_domain_is_pure(module: str) -> None:
    assert impurities(tree(module)) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("contracts/planner.py", "import shared.domain"),
        ("contracts/planner.py", "import nats"),
        ("contracts/planner.py", "from services.planner import domain"),
        ("shared/domain.py", "import random"),
        ("shared/domain.py", "from uuid import uuid4"),
        ("shared/domain.py", "from shared.eventlog import EventLog"),
        ("shared/eventlog.py", "from contracts.planner import CreateProject"),
        ("shared/eventlog.py", "from nexus.server import free_port"),
        ("shared/service.py", "import services.planner"),
        ("shared/service.py", "from tests.conftest import server"),
        ("services/planner/handlers.py", "from services.coordinator.domain import Execution"),
        ("services/planner/handlers.py", "from services import coordinator"),
        ("services/planner/handlers.py", "from services.planner.app import create"),
        ("services/planner/handlers.py", "from services.planner import app"),
        ("services/planner/handlers.py", "from shared.memory import MemoryLog"),
        ("services/planner/handlers.py", "from nexus.client import Client"),
        ("services/planner/handlers.py", "from .domain import Project"),
        ("services/gateway/api.py", "from nexus.embedded import System"),
        ("services/gateway/api.py", "from services.coordinator.domain import Execution"),
        ("services/planner/domain.py", "import asyncio"),
        ("services/planner/domain.py", "import time"),
        ("services/planner/domain.py", "from shared.repository import Repository"),
        ("services/coordinator/domain/execution.py", "from services.coordinator.policies import start"),
        ("services/coordinator/domain/execution.py", "import pydantic"),
        ("services/agents/backend.py", "from shared.eventlog import EventLog"),
        ("services/agents/backend.py", "from nexus.client import Client"),
        ("services/gateway/reading.py", "from services.planner.catalog import Catalog"),
        ("services/gateway/reading.py", "from shared.repository import Repository"),
        ("services/gateway/reading.py", "from nexus.embedded import Overview"),
        ("nexus/client.py", "from services.planner.domain import Project"),
        ("nexus/client.py", "if True:\n    def late():\n        import services.planner.domain"),
        ("nexus/embedded.py", "from shared.recorder import JetStreamRecorder"),
    ],
)
def test_the_table_would_notice(module: str, line: str) -> None:
    assert violations(module, ast.parse(line)) != []


@pytest.mark.parametrize(
    "line",
    ["datetime.now(UTC)", "date.today()", "uuid4()", "open('x')", "async def wait(): ...", "async def w(): await it"],
)
def test_impurity_would_be_noticed(line: str) -> None:
    assert impurities(ast.parse(line)) != []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nexus/embedded.py", "from services.planner.app import create"),
        ("nexus/cli/main.py", "from services.planner.app import create"),
        ("services/agents/backend.py", "from nexus.agent import Agent"),
        ("services/gateway/api.py", "from nexus.client import Client"),
        ("services/planner/handlers.py", "from services.planner.domain import Project"),
        ("services/planner/domain.py", "from contracts.planner import ProjectCreated"),
    ],
)
def test_the_table_lets_pass_what_it_should(module: str, line: str) -> None:
    assert violations(module, ast.parse(line)) == []
