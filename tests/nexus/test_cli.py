"""The command line: what it prints, for people and for programs, and how it ends."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nexus.cli import output, session
from nexus.cli.entry import hoisted, run
from nexus.ports import free_port
from nexus.supervisor import plain
from nexus.system_folder import running_system
from shared.settings import Settings

OK, FAILED, USAGE, NO_CONNECTION = 0, 1, 2, 3
OWN_TASKS = """
title: By hand
tasks:
  - {id: ask, capability: analysis, input: {artifact: requirements}}
  - {id: wait, capability: analysis, depends_on: [ask], waits_for: [approved], input: {artifact: architecture}}
"""
HOPELESS = """
title: Hopeless
tasks:
  - {id: only, capability: testing, input: {artifact: horoscope}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NEXUS_NATS_URL", "NEXUS_DATA", "NEXUS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEXUS_SYNC", "1m")
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> "Said":
    return Said(capsys)


class Said:
    """Runs verbs, and keeps what the last one said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.code, self.out, self.err = -1, "", ""

    def by(self, *arguments: str) -> int:
        """Run a verb; return its exit code."""
        self.code = run(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        return self.code

    def objects(self, *arguments: str) -> list[Any]:
        """Run a verb with --json; return what it printed, an object a line."""
        assert self.by(*arguments, "--json") == OK, self.err
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self) -> str:
        """Return the one line that says what is wrong."""
        (line,) = self.err.splitlines()
        assert line.startswith("nexus: ")
        return line


def nexus(*arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nexus", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_options_for_every_verb_may_stand_anywhere() -> None:
    assert hoisted(["agents", "list", "--data", "d", "--json"]) == ["--data", "d", "agents", "list", "--json"]
    assert hoisted(["up", "--config=c", "--", "--data"]) == ["--config=c", "up", "--", "--data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["horoscope"], "No such command 'horoscope'"),
        (["project", "show"], "Missing argument 'project'"),
        (["run"], "say what to do: a file, or --type"),
        (["run", "nothing.yaml"], "nothing.yaml: cannot be read: No such file"),
        (["run", "list.yaml"], "must hold a request as keys and values, not list"),
        (["run", "broken.yaml"], "is neither YAML nor JSON"),
        (["run", "typo.yaml"], "unknown key 'descripton'; did you mean description?"),
        (["run", "deep.yaml"], "tasks.0: unknown key 'capabilty'; did you mean capability?"),
        (["run", "--type", "web_application", "--require", "many"], "--require takes NAME=VALUE, not 'many'"),
        (["project", "signal", "p", "s", "--payload", "[]"], "must be a JSON object, not list"),
        (["dead", "redrive"], "name one letter"),
        (["import", "wfcommons", "list.yaml"], "is not JSON"),
        (["--config", "typo.yaml", "status"], "descripton: unknown key"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(arguments: list[str], message: str, folder: Path, said: Said) -> None:
    (folder / "list.yaml").write_text("- 1")
    (folder / "broken.yaml").write_text("{")
    (folder / "typo.yaml").write_text("descripton: A shop")
    (folder / "deep.yaml").write_text("tasks: [{id: a, capabilty: analysis}]")

    assert said.by(*arguments) == USAGE

    assert message in said.err
    assert said.err.startswith("nexus: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("verb", ["project list", "agents list", "events tail", "dead list", "status"])
def test_where_nothing_ever_ran_there_is_nothing_to_read(verb: str, said: Said) -> None:
    assert said.by(*verb.split()) == NO_CONNECTION

    assert "start " in said.error()
    assert "nexus up" in said.error()


def test_a_server_that_is_not_there_is_named(said: Said) -> None:
    url = f"nats://127.0.0.1:{free_port()}"

    assert said.by("project", "list", "--server", url) == NO_CONNECTION

    assert said.error() == f"nexus: no nats-server can be used at {url}: nothing answers there"


def test_a_password_in_an_address_is_not_repeated(said: Said) -> None:
    port = free_port()

    assert said.by("project", "list", "--server", f"nats://ada:lovelace@127.0.0.1:{port}") == NO_CONNECTION

    assert said.error() == f"nexus: no nats-server can be used at nats://127.0.0.1:{port}: nothing answers there"


def test_a_folder_that_cannot_be_made_is_named(folder: Path, said: Said) -> None:
    (folder / "file").write_text("")

    assert said.by("run", "--type", "api_service", "--no-tty", "--data", "file/data") == FAILED
    assert "the data folder" in said.error()
    assert "cannot be used: Not a directory" in said.error()
    assert said.by("doctor", "--data", "file/data") == FAILED
    assert "choose another folder with --data" in said.out


def test_what_others_wrote_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "not a command [type=missing, input_value={}]"

    output.table(["status", "reason"], [(output.badge("failed", " (2.)"), reason)], title="A [/b] shop")

    shown = capsys.readouterr().out
    assert "A [/b] shop" in shown
    assert "failed (2.)" in shown
    assert reason in shown


def test_what_nobody_expected_is_written_down_for_this_user_alone(
    folder: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Settings:
        raise KeyError("horoscope")

    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(session, "settings", broken)

    assert said.by("status") == FAILED

    (log,) = folder.glob("nexus-error-*.log")
    assert said.error() == f"nexus: unexpected KeyError: 'horoscope' (the details are in {log})"
    assert "in broken" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_settings_are_validated(folder: Path, said: Said) -> None:
    (folder / "good.yaml").write_text("nexus: {max_agents: 3}\nnats_password: secret")
    (folder / "bad.yaml").write_text("nexus: {max_agent: 3}\nhost: [1]")

    assert said.by("validate-config", "good.yaml") == OK
    (valid,) = said.objects("validate-config", "good.yaml")
    assert valid["settings"]["nexus"]["max_agents"] == 3
    assert "secret" not in said.out
    assert said.by("validate-config", "bad.yaml") == USAGE
    assert "did you mean max_agents?" in said.err
    assert said.by("validate-config", "bad.yaml", "--json") == USAGE
    assert len(json.loads(said.out)["problems"]) == 2


def test_a_service_is_given_secrets_as_they_are() -> None:
    settings = Settings.load({"nats_password": "open sesame"}, environ={})

    assert Settings.model_validate(plain(settings)) == settings


@pytest.mark.nats
def test_the_doctor_finds_nothing_wrong_here(said: Said) -> None:
    checks = {one["check"]: one["well"] for one in said.objects("doctor")}

    assert set(checks) == {"python", "nats-server", "settings", "data folder", "disk", "ports", "system"}
    assert all(checks.values())


@pytest.mark.nats
@pytest.mark.system
def test_a_project_that_fails_ends_with_code_one(folder: Path, said: Said) -> None:
    (folder / "hopeless.yaml").write_text(HOPELESS)

    assert said.by("run", "hopeless.yaml", "--no-tty") == FAILED
    assert "✘ Hopeless failed: 1 of 1 tasks failed: only" in said.out
    assert said.by("run", "--type", "web_applicaton", "--no-tty") == FAILED
    assert "there is no template 'web_applicaton'" in said.error()
    assert said.by("run", "hopeless.yaml", "--no-wait") == NO_CONNECTION
    assert "--no-wait needs a running system" in said.error()

    (project,) = said.objects("project", "list", "--status", "failed")
    assert said.by("project", "wait", project["id"]) == FAILED
    assert said.by("project", "pause", project["id"]) == FAILED, "it has ended"
    assert said.by("project", "show", "nobody") == FAILED
    assert said.error() == "nexus: there is no project nobody"


@pytest.mark.nats
@pytest.mark.system
def test_a_system_in_the_background_is_steered_from_the_command_line(folder: Path, said: Said) -> None:
    (folder / "own.yaml").write_text(OWN_TASKS)
    (folder / "protocol.yaml").write_text("type: event_driven\nsync_points: [approved]")
    up = nexus("up", "--detach", "--json")
    try:
        assert up.returncode == OK, up.stderr
        pids = json.loads(up.stdout)["pids"]
        assert {"planner", "resource_manager", "coordinator", "agents", "nats"} <= set(pids)
        assert said.by("up") == FAILED
        assert "runs on" in said.error()

        steer(said)
        look(said)
    finally:
        down = nexus("down")
    assert (down.returncode, down.stdout) == (OK, "Stopped.\n"), down.stderr
    assert running_system(folder / ".nexus") is None
    assert said.by("down") == OK
    assert said.by("project", "list") == OK, "the log can be read while nothing runs"
    assert "By hand" in said.out
    assert said.by("project", "import", "story.jsonl", "--data", "elsewhere") == OK
    assert said.by("project", "list", "--data", "elsewhere") == OK
    assert "By hand" in said.out


def steer(said: Said) -> None:
    assert said.by("protocol", "define", "protocol.yaml") == OK
    protocol = said.out.strip()
    (created,) = said.objects("run", "own.yaml", "--manual")
    project = created["project"]
    assert said.by("project", "wait", project, "--timeout", "0.2") == FAILED
    assert "has not ended within 0.20 s" in said.error()
    assert said.by("project", "execute", project, "--protocol", protocol) == OK
    assert said.by("project", "pause", project) == OK
    assert said.objects("project", "show", project)[0]["status"] == "paused"
    assert said.by("project", "resume", project) == OK
    assert said.by("project", "signal", project, "approved", "--payload", '{"by": "me"}') == OK
    assert said.by("project", "wait", project, "--timeout", "30") == OK
    assert said.by("project", "resume", project) == FAILED
    assert said.by("protocol", "retire", protocol) == OK
    assert said.by("agents", "drain", "frontend") == OK


def look(said: Said) -> None:
    (project,) = said.objects("project", "list")
    name = project["id"]
    assert (project["status"], project["title"]) == ("completed", "By hand")
    history = said.objects("project", "history", name)
    assert [one["event"] for one in history][:2] == ["project_created", "project_planned"]
    assert {one["actor"] for one in history if one["event"] == "project_created"} == {"cli"}
    planned = history[1]["sequence"]
    assert said.objects("project", "show", name, "--at", str(planned))[0]["status"] == "planned"
    changed = {one["path"] for one in said.objects("project", "diff", name, str(planned), str(history[-1]["sequence"]))}
    assert {"/status", "/tasks/ask/status"} <= changed
    assert [row["task"] for row in said.objects("project", "trace", name)] == ["ask", "wait"]
    (plan,) = said.objects("project", "plan", name)
    assert plan["critical_path"] == ["ask", "wait"]
    tail = said.objects("events", "tail", "--project", name, "--no-follow")
    assert [one["sequence"] for one in tail] == [one["sequence"] for one in history]
    assert said.by("project", "export", name, "-o", "story.jsonl") == OK
    assert len(Path("story.jsonl").read_text().splitlines()) == len(history) + 1
    assert said.by("project", "replay", "story.jsonl") == OK
    assert f"{len(history)} events, the same state" in said.out
    Path("other.jsonl").write_text(Path("story.jsonl").read_text().replace('"status":"completed"', '"status":"failed"'))
    assert said.by("project", "replay", "other.jsonl") == FAILED
    assert said.out == '/status: "failed" → "completed"\n'
    assert said.by("project", "import", "story.jsonl") == FAILED
    assert "is in this log already" in said.error()
    for verb in (["show", name], ["plan", name], ["history", name], ["trace", name], ["list"]):
        assert said.by("project", *verb) == OK
        assert "By hand" in said.out or "ask" in said.out
    status = said.objects("status")[0]
    assert (status["ready"], status["projects"], status["dead_letters"]) == (True, {"completed": 1}, 0)
    assert said.objects("dead", "list") == []
    agents = {one["name"]: one["status"] for one in said.objects("agents", "list")}
    assert agents["frontend"] == "draining"
    assert all(one["well"] for one in said.objects("doctor"))
