"""The house's rules about names and sizes, and that the names of our packages are ours."""

import ast
import re
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from contracts.base import COMMANDS, EVENTS, Event
from tests.architecture.reading import OURS, ROOT, modules, tree

NOWHERE = re.compile(r"(^|_)(utils?|helpers?|commons?|managers?|misc|base)$")  # names that say nothing
FILE_LIMIT, FUNCTION_LIMIT = 400, 40
IRREGULAR = ("Lost", "Left", "Sent", "Begun", "Run", "Made", "Built", "Met", "Read", "Put", "Cut")
PARTICLES = ("Back", "Up", "Down", "In", "Out", "Over")
TESTS = [module for module in modules("tests") if Path(module).name.startswith("test_")]

for _module in modules("contracts"):
    import_module(_module.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))


@pytest.mark.parametrize("package", OURS)
def test_the_names_of_our_packages_are_ours(package: str) -> None:
    file = import_module(package).__file__

    assert file is not None
    assert Path(file).parent.parent == ROOT  # exactly: an environment inside the repository is no part of it
    assert set(packages_distributions().get(package, [])) <= {"nexus-orchestrator"}


def empty_names(paths: Iterable[str]) -> list[str]:
    parts = {part for path in paths for part in path.removesuffix(".py").split("/")}
    return sorted(part for part in parts - {"resource_manager"} if NOWHERE.search(part))


def test_every_file_and_folder_has_a_name_that_says_what_is_in_it() -> None:
    paths = [module for module in modules(*OURS, "tests") if module != "contracts/base.py"]

    assert empty_names(paths) == []
    assert empty_names(["shared/utils.py", "services/planner/task_manager.py", "shared/common/x.py"]) == [
        "common",
        "task_manager",
        "utils",
    ]


def too_long(module: str, code: ast.Module, lines: int) -> list[str]:
    found = [f"{module} has {lines} lines"] if lines > FILE_LIMIT else []
    functions = [node for node in ast.walk(code) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return found + [f"{each.name} has {length(each)} lines" for each in functions if length(each) > FUNCTION_LIMIT]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function from its name to its end, its docstring apart."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


@pytest.mark.parametrize("module", modules())
def test_files_fit_on_a_few_screens_and_functions_on_half_a_screen(module: str) -> None:
    assert too_long(module, tree(module), len((ROOT / module).read_text().splitlines())) == []


def test_what_is_too_long_would_be_noticed() -> None:
    function = "def long():\n" + "    pass\n" * FUNCTION_LIMIT

    assert too_long("x.py", ast.parse(function), 41) == ["long has 41 lines"]
    assert too_long("x.py", ast.parse("pass"), 401) == ["x.py has 401 lines"]


@pytest.mark.parametrize("module", TESTS)
def test_a_test_is_named_as_a_sentence(module: str) -> None:
    assert [name for name in own_tests(tree(module)) if not is_sentence(name)] == []


def own_tests(code: ast.Module) -> Iterable[str]:
    """Yield the names of tests, except those that a library's suite gives to a class that inherits it."""
    scopes: list[ast.Module | ast.ClassDef] = [code]
    scopes += [node for node in code.body if isinstance(node, ast.ClassDef) and not node.bases]
    for node in (node for scope in scopes for node in scope.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def is_sentence(name: str) -> bool:
    return len(name.removeprefix("test_").split("_")) >= 3


def test_a_name_that_is_no_sentence_would_be_noticed() -> None:
    assert not is_sentence("test_repository")
    assert not is_sentence("test_append_2")
    assert list(own_tests(ast.parse("def test_x(): ...\nclass T:\n  async def test_y(self): ..."))) == [
        "test_x",
        "test_y",
    ]


def test_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def concrete(cls: type[Event]) -> Iterable[type[Event]]:
    for child in cls.__subclasses__():
        if child.__module__.startswith("contracts."):
            if not child.__subclasses__():
                yield child
            yield from concrete(child)


def test_every_event_has_a_topic_of_its_own_that_says_its_name() -> None:
    events = list(concrete(Event))

    assert events
    for event in events:
        assert "TOPIC" in vars(event), f"{event.__name__} has no TOPIC"  # an import path must never reach the log
        service = event.__module__.rpartition(".")[2]
        assert re.fullmatch(rf"{service}\.[a-z_]+\.{snake(event.__name__)}", event.TOPIC), event.TOPIC


@pytest.mark.parametrize("topic", sorted(EVENTS))
def test_an_event_is_a_fact_in_the_past_tense(topic: str) -> None:
    assert is_past_tense(EVENTS[topic].__name__)


def is_past_tense(name: str) -> bool:
    *_, verb, particle = ("", *re.findall(r"[A-Z][a-z]*", name))
    words = (verb, particle) if particle in PARTICLES else (particle,)
    return any(word.endswith("ed") or word in IRREGULAR for word in words)


def test_an_event_that_is_no_fact_would_be_noticed() -> None:
    assert not is_past_tense("AssignAgentEvent")
    assert not is_past_tense("TaskUpdate")
    assert not is_past_tense("AgentAssignedEvent")


@pytest.mark.parametrize("subject", sorted(COMMANDS))
def test_a_command_is_a_wish_addressed_to_the_service_whose_contract_it_is(subject: str) -> None:
    command = COMMANDS[subject]
    service = command.__module__.rpartition(".")[2]

    assert subject == f"nexus.commands.{service}.{snake(command.__name__)}"
    assert not is_past_tense(command.__name__)
    assert not command.__name__.endswith("Command")
