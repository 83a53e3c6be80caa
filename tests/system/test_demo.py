"""`nexus demo`: a whole project, from a request to tests that ran, on a machine where nothing runs yet."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nexus.cli.requests import DEMO
from nexus.system_folder import running_system

pytestmark = [pytest.mark.nats, pytest.mark.system, pytest.mark.slow]

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def nexus(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
    command = [sys.executable, "-m", "nexus", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_it_is_the_request_of_the_seed() -> None:
    assert {name: DEMO[name] for name in ("type", "description", "technologies", "requirements")} == {
        "type": "web_application",
        "description": "E-commerce platform with user management",
        "technologies": {"frontend": "react", "backend": "fastapi", "database": "postgresql"},
        "requirements": {"expected_users": 10000, "performance_level": "high"},
    }


def test_a_whole_project_is_done_and_can_be_looked_at_afterwards(tmp_path: Path) -> None:
    done = nexus(tmp_path, "demo", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    *events, last = [json.loads(line) for line in done.stdout.splitlines()]
    summary = last["summary"]
    assert (events[0]["event"], events[-1]["event"]) == ("project_created", "execution_completed")
    assert (summary["status"], summary["reason"]) == ("completed", "")
    assert summary["lower_bound"] > 0
    output = Path(summary["output"])
    assert output == tmp_path / "nexus-output" / summary["project"]
    for produced in ("README.md", "requirements.json", "db/schema.sql", "backend/app/main.py", "frontend", "tests"):
        assert (output / produced).exists(), produced
    assert running_system(tmp_path / ".nexus") is None, "it stops what it has started"

    history = nexus(tmp_path, "project", "history", summary["project"], "--json")
    told = [json.loads(line)["sequence"] for line in history.stdout.splitlines()]
    assert told[: len(events)] == [event["sequence"] for event in events]
    (run_tests,) = [
        settled["output"]
        for event in events
        if event["event"] == "tasks_settled"
        for settled in event["data"]["results"]
        if settled["task"] == "run-tests"
    ]
    assert "passed" in json.dumps(run_tests), "the produced tests ran"


def test_in_a_pipe_it_tells_lines_and_what_to_try_next(tmp_path: Path) -> None:
    done = nexus(tmp_path, "demo")

    assert done.returncode == 0, done.stdout + done.stderr
    assert not ESCAPES.search(done.stdout)
    assert "project_planned: " in done.stdout
    assert re.search(r"took .* the plan's lower bound is ", done.stdout)
    assert re.search(r"files +\./nexus-output/\S+ \(\d+ files\)", done.stdout)
    commands = re.findall(r"nexus (project \w+ \S+(?: --at \d+)?) ", done.stdout)
    assert [command.split()[1] for command in commands] == ["history", "show", "trace"]
    for command in commands:
        tried = nexus(tmp_path, *command.split())
        assert tried.returncode == 0, tried.stderr
        assert "write-requirements" in tried.stdout


def test_on_a_terminal_it_draws_the_plan_while_it_is_carried_out(tmp_path: Path) -> None:
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "130", "LINES": "45"}
    command = [sys.executable, "-m", "nexus", "demo"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=child, stdout=child, stderr=child)
    os.close(child)
    seen = b""
    while True:
        try:
            seen += os.read(parent, 65536)
        except OSError:  # the terminal is closed: the program has ended
            break
    os.close(parent)

    screen = ESCAPES.sub("", seen.decode())
    assert process.wait(30) == 0, screen[-2000:]
    assert "★ critical path" in screen
    assert "▶ run-tests ★" in screen, "it takes seconds, so it is always seen"
    assert "✔ run-tests ★" in screen
    for title in ("phases", "agents", "held", "sync points", "events"):
        assert title in screen
    assert "E-commerce platform completed" in screen.replace("\r", "")
