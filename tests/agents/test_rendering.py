"""What the reference agents produce is a real project: it runs, and its own tests pass and notice what is broken."""

import ast
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.agents.analysis import analyse
from services.agents.brief import ProjectContext, Unsupported
from services.agents.rendering import KINDS, UnsafePath, informed, kinds, render, write
from services.agents.verifying import CannotTest, run_tests

SEED: dict[str, Any] = {
    "type": "web_application",
    "description": "E-commerce platform with user management",
    "technologies": {"frontend": "react", "backend": "fastapi", "database": "postgresql"},
    "requirements": {"expected_users": 10_000, "performance_level": "high"},
}
ENTITIES = {
    "author": {"name": "text", "born_on": "date?"},
    "book": {"title": "text", "author": "author", "pages": "integer", "price": "money", "site": "url?"},
    "loan": {
        "owner": "reader",
        "read": "owner",
        "fields": {"reader": "user", "book": "book", "returned": {"type": "boolean", "default": False}},
    },
}
REQUESTS: dict[str, dict[str, Any]] = {
    "web application": SEED,
    "API service": {"type": "api_service", "description": "A library", "requirements": {"entities": ENTITIES}},
    "mobile app": {"type": "mobile_app", "description": "Booking of rooms and halls"},
}


def context(**changes: Any) -> ProjectContext:
    return ProjectContext.of("shop-7f3k", SEED | changes)


def whole(request: ProjectContext) -> dict[str, str]:
    return {path: text for kind in kinds(request) for path, text in render(kind, request).items()}


def produced(folder: Path, request: ProjectContext) -> Path:
    write(folder, whole(request))
    return folder


# The result is real


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
def test_a_produced_project_passes_its_own_tests_and_the_linter(name: str, tmp_path: Path) -> None:
    project = produced(tmp_path, ProjectContext.of("p-1", REQUESTS[name]))

    report = run_tests(project)

    assert report.ok, report.output
    assert report.passed > 80
    for command in (["check"], ["format", "--check"]):
        checked = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache"],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_a_produced_back_end_serves(tmp_path: Path) -> None:
    project = produced(tmp_path, context())

    with served(project) as url:
        account = {"email": "ann@example.com", "name": "Ann", "password": "correct horse battery"}
        token = httpx.post(f"{url}/api/auth/register", json=account).json()["token"]
        me = httpx.get(f"{url}/api/auth/me", headers={"Authorization": f"Bearer {token}"}).json()
        documented = httpx.get(f"{url}/openapi.json").json()["paths"]

    assert me["email"] == "ann@example.com"
    assert set(documented) == set(json.loads((project / "docs/openapi.json").read_text())["paths"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "right", "wrong", "noticed_by"),
    [
        ("backend/app/shop.py", "SET stock = stock - :quantity", "SET stock = stock", "test_orders.py"),
        ("backend/app/asking.py", "user.id == owner_id or", "True or", "test_reviews.py"),
        ("backend/app/models.py", "    price_cents: int = Field", "    price: int = Field", "test_contract.py"),
        ("backend/app/routers/users.py", "import Db, Staff", "import Db, Member as Staff", "test_contract.py"),
        ("db/migrations/0001_tables.sql", "sku VARCHAR(40)", "code VARCHAR(40)", "test_schema.py"),
        ("backend/app/routers/cart.py", '@router.get("",', '@router.get("/all",', "test_contract.py"),
        ("frontend/src/pages/Cart.jsx", "api.getCart()", "api.readCart()", "test_frontend.py"),
        ("frontend/src/api/operations.json", "/api/cart/items", "/api/basket/items", "test_frontend.py"),
    ],
)
def test_the_produced_tests_notice_what_is_broken(
    file: str, right: str, wrong: str, noticed_by: str, tmp_path: Path
) -> None:
    project = produced(tmp_path, context())
    for other in (project / "tests").glob("test_*.py"):
        if other.name != noticed_by:
            other.unlink()
    text = (project / file).read_text()
    assert right in text
    (project / file).write_text(text.replace(right, wrong))

    report = run_tests(project)

    assert report.failed > 0
    assert not report.ok


@contextmanager
def served(project: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app.main:app", f"--port={port}", "--log-level=warning"]
    env = os.environ | {"DATABASE_URL": f"sqlite:///{project}/local.db"}
    with subprocess.Popen(command, cwd=project / "backend", env=env) as process:
        try:
            yield answering(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def answering(url: str) -> str:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return url
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


# Running the tests


def test_tests_that_hang_are_stopped(tmp_path: Path) -> None:
    tiny_project(tmp_path, "import time\ndef test_slow():\n    time.sleep(60)\n")

    report = run_tests(tmp_path, timeout=1.0)

    assert (report.passed, report.failed) == (0, 1)
    assert "longer than 1 s" in report.output


def test_failures_errors_and_skips_are_told_apart(tmp_path: Path) -> None:
    tiny_project(
        tmp_path,
        "import pytest\ndef test_good(): pass\ndef test_bad(): assert 0\ndef test_broken(missing): pass\n"
        "def test_skipped(): pytest.skip('because')\n",
    )

    report = run_tests(tmp_path)

    assert (report.passed, report.failed, report.skipped) == (1, 2, 1)
    assert "test_bad" in report.output


def test_no_tests_or_broken_ones_are_no_success(tmp_path: Path) -> None:
    tiny_project(tmp_path, "")
    assert not run_tests(tmp_path).ok

    tiny_project(tmp_path, "this is no Python")
    assert run_tests(tmp_path).failed > 0

    tiny_project(tmp_path, "import pytest\ndef test_it(): pytest.skip('not today')\n")
    assert not run_tests(tmp_path).ok


def test_our_environment_does_not_decide_about_their_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("DATABASE_URL", "nonsense:")
    tiny_project(tmp_path, "import os\ndef test_clean():\n    assert 'DATABASE_URL' not in os.environ\n")

    assert run_tests(tmp_path).ok


def test_a_folder_without_tests_can_not_be_tested(tmp_path: Path) -> None:
    with pytest.raises(CannotTest, match="no folder tests"):
        run_tests(tmp_path)


def tiny_project(folder: Path, tests: str) -> None:
    write(folder, {"pyproject.toml": "[tool.pytest.ini_options]\n", "tests/test_it.py": tests})


# Rendering


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_request_gives_the_same_files(name: str) -> None:
    request = ProjectContext.of("p-1", REQUESTS[name])

    assert whole(request) == whole(ProjectContext.of("p-1", REQUESTS[name]))


def test_no_two_kinds_write_the_same_file() -> None:
    for asked in REQUESTS.values():
        request = ProjectContext.of("p-1", asked)
        paths = [path for kind in kinds(request) for path in render(kind, request)]

        assert sorted(paths) == sorted(set(paths))


def test_each_kind_of_each_type_gives_files() -> None:
    for asked in REQUESTS.values():
        request = ProjectContext.of("p-1", asked)

        assert all(render(kind, request) for kind in kinds(request))


@pytest.mark.parametrize(("type_", "has", "lacks"), [
    ("web_application", "frontend/src/App.jsx", "mobile/App.jsx"),
    ("api_service", "backend/app/main.py", "frontend/src/App.jsx"),
    ("mobile_app", "mobile/App.jsx", "frontend/src/App.jsx"),
])  # fmt: skip
def test_each_type_has_its_own_client(type_: str, has: str, lacks: str) -> None:
    files = whole(ProjectContext.of("p-1", {"type": type_, "description": "shop"}))

    assert has in files
    assert lacks not in files


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Unsupported, match="requirements, architecture"):
        render("poetry", context())


def test_every_blueprint_is_of_a_kind() -> None:
    blueprints = Path(__file__).parents[2] / "services" / "agents" / "blueprints"

    assert {path.name for path in blueprints.iterdir() if path.is_dir()} == {*KINDS, "domains"}


def test_a_web_application_may_go_without_a_front_end() -> None:
    request = context(technologies={"frontend": "none"})

    assert "frontend" not in kinds(request)
    assert render("frontend", request) == {}


def test_the_load_decides_about_workers_pools_and_indexes() -> None:
    small = context(requirements={"expected_users": 100, "performance_level": "low"})
    large = context(requirements={"expected_users": 500_000, "performance_level": "very_high"})

    assert "db/migrations/0002_postgresql.pg.sql" not in render("schema", small)
    assert "gin_trgm_ops" in render("schema", large)["db/migrations/0002_postgresql.pg.sql"]
    assert '"--workers", "1"' in render("backend", small)["backend/Dockerfile"]
    assert '"--workers", "16"' in render("backend", large)["backend/Dockerfile"]


# Hostile and strange input


@given(title=st.text(max_size=100), description=st.text(max_size=300))
@example(title='"""; import os #', description="*/ --> {{ 7 * 7 }} {% raw %} ${x} \\")
@example(title="'); DROP TABLE users; --", description="</script><b>|a|b|\n# heading\n```")
@example(title="", description="")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_a_person_writes_breaks_a_file(title: str, description: str) -> None:
    entity = {"description": description, "fields": {"name": {"type": "text", "unique": True, "example": description}}}
    request = ProjectContext(
        project="p-1", title=title, description=description, requirements={"entities": {"thing": entity}}
    )

    files = whole(request)

    for path, text in files.items():
        match path.rpartition(".")[2]:
            case "py":
                ast.parse(text)
            case "json":
                json.loads(text)
            case "html":
                assert text.count("<script") == 1
    text = files["db/migrations/0001_tables.sql"].replace("GENERATED BY DEFAULT AS IDENTITY", "")
    connection = sqlite3.connect(":memory:")
    connection.executescript(text)
    connection.close()
    assert json.loads(files["requirements.json"])["description"] == description


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/passwd", "a/../../b", "a/../b", "", ".", "a\\..\\b", "C:/x", "a\0b"],
)
def test_nothing_is_written_outside_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafePath):
        write(tmp_path / "project", {"good": "yes", name: "no"})

    assert not (tmp_path / "project").exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project" / "docs").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UnsafePath):
        write(tmp_path / "project", {"docs/new/readme.md": "no"})

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.txt": "before"})

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path, {"a.txt": "after"})

    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    [path] = write(tmp_path, {"a/b.txt": "text\n"})
    os.utime(path, (1, 1))

    assert write(tmp_path, {"a/b.txt": "text\n"}) == [path]
    assert path.stat().st_mtime == 1


# Finding out what is wanted


@pytest.mark.parametrize(
    ("description", "domain", "said"),
    [
        ("E-commerce platform with user management", "ecommerce", "'e-commerce'"),
        ("A blog where authors publish articles and comments", "blog", "'comment'"),
        ("Kanban boards for tickets", "tracker", "'kanban'"),
        ("Hotel room reservations", "booking", "'hotel'"),
        ("Something else entirely", "generic", "no word"),
    ],
)
def test_the_domain_is_found_by_words_and_says_so(description: str, domain: str, said: str) -> None:
    analysis = analyse(context(description=description))

    assert analysis.domain == domain
    assert said in analysis.reasons[0]


def test_entities_of_the_request_come_before_words_of_the_description() -> None:
    analysis = analyse(context(requirements={"entities": ["plant", "bed"]}))

    assert {"plant", "bed"} < set(analysis.by_name)
    assert "product" not in analysis.by_name


def test_what_a_person_changed_in_the_requirements_reaches_every_part(tmp_path: Path) -> None:
    request = context()
    write(tmp_path, render("requirements", request))
    file = tmp_path / "requirements.json"
    analysis = json.loads(file.read_text())
    product = next(entity for entity in analysis["entities"] if entity["name"] == "product")
    product["attributes"].append({"name": "colour", "type": "text", "example": "blue"})
    file.write_text(json.dumps(analysis))

    changed = informed(request, tmp_path)

    assert "colour VARCHAR(200) NOT NULL" in render("schema", changed)["db/schema.sql"]
    assert "    colour: str" in render("backend", changed)["backend/app/models.py"]
    assert '"colour"' in render("frontend", changed)["frontend/src/entities.js"]
    assert '"colour"' in render("tests", changed)["tests/builders.py"]


def test_without_an_analyst_the_request_itself_is_analysed(tmp_path: Path) -> None:
    assert informed(context(), tmp_path) == context()


def test_a_broken_requirements_file_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.json": '{"project": 1}'})

    with pytest.raises(Unsupported, match=r"requirements\.json can't be used"):
        informed(context(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"technologies": {"backend": "flask"}}, "backend with 'flask'; they can with fastapi"),
        ({"technologies": {"frontend": "vue"}}, "frontend with 'vue'; they can with react, none"),
        ({"technologies": {"database": "mongodb"}}, "database with 'mongodb'; they can with postgresql"),
        ({"type": "mobile_app", "technologies": {"mobile": "flutter"}}, "they can with react_native"),
        ({"requirements": {"performance_level": "warp"}}, "performance_level is 'warp'; known are low, standard"),
        ({"requirements": {"expected_users": 0}}, "expected_users is 0"),
        ({"requirements": {"expected_users": True}}, "expected_users is True"),
        ({"requirements": {"domain": "banking"}}, "known are ecommerce, blog"),
        ({"requirements": {"entities": "book"}}, "must be a list of names"),
        ({"requirements": {"entities": ["user"]}}, "every application has that already"),
        ({"requirements": {"entities": ["class"]}}, "reserved word"),
        ({"requirements": {"entities": ["Robert'); --"]}}, "is no name"),
        ({"requirements": {"entities": {"book": {"order": "text"}}}}, "can't name a column"),
        ({"requirements": {"entities": {"book": {"title": "varchar"}}}}, "'varchar' is no type"),
        ({"requirements": {"entities": {"book": "title"}}}, "fields as a mapping"),
        ({"requirements": {"entities": {"book": {"a": "page_"}}}}, "is no type"),
        ({"requirements": {"entities": {"book": {"a": {"type": "integer", "default": "x"}}}}}, "'x' is no integer"),
        ({"requirements": {"entities": {"book": {"a": {"type": "date", "example": "x"}}}}}, "'x' is no date"),
        ({"requirements": {"entities": {"book": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}}}}, "at most 1"),
        ({"requirements": {"entities": {"hen": {"egg": "egg"}, "egg": {"hen": "hen"}}}}, "in a circle"),
        ({"requirements": {"entities": [f"thing{n}" for n in range(41)]}}, "at most 40"),
        ({"type": "mobile_app", "requirements": {"platforms": ["symbian"]}}, "known are ios, android"),
    ],
)
def test_what_can_not_be_done_is_refused_in_words(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Unsupported) as refused:
        analyse(context(**changes))

    assert said in str(refused.value)


@pytest.mark.parametrize("wish", ["React", "react.js", "React 19", "ReactJS"])
def test_a_technology_is_known_by_its_other_names(wish: str) -> None:
    assert analyse(context(technologies={"frontend": wish})).technologies["frontend"] == "react"


def test_what_was_not_said_or_not_used_is_an_assumption_in_writing() -> None:
    analysis = analyse(context(requirements={"colour": "blue"}, technologies={"cache": "redis"}))

    said = " ".join(analysis.assumptions)
    assert "1,000 are assumed" in said
    assert "redis" in said
    assert "colour = 'blue'" in said


def test_more_users_never_mean_less_of_anything() -> None:
    loads = [
        analyse(context(requirements={"expected_users": users, "performance_level": "high"})).capacity
        for users in (1, 100, 5_000, 10_000, 1_000_000, 1_000_000_000)
    ]

    for less, more in pairwise(loads):
        assert less.concurrent_users <= more.concurrent_users
        assert less.requests_per_second <= more.requests_per_second
        assert less.workers <= more.workers
