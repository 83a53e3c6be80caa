"""What a user writes about Nexus, and what Nexus says when it can't be meant."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from shared.settings import Settings, SettingsError

# The two configurations of the first request, verbatim.
BASIC = """\
agents:
  orchestrator:
    model: "qwen2.5-coder:7b"
    max_concurrent_projects: 5
    resource_optimization: true
    coordination_timeout: 3600  # seconds

nexus:
  demo_output: "/home/ubuntu/nexus/demo"
  max_agents: 10
  resource_limits:
    cpu: 100
    memory: 100
    disk: 1000
"""
ADVANCED = """\
orchestrator:
  templates:
    web_application:
      phases: ["analysis", "design", "frontend", "backend", "integration", "testing"]
      default_resources:
        cpu: 60
        memory: 70
    
  coordination:
    default_protocol: "asynchronous"
    sync_timeout: 300
    retry_attempts: 3
  
  optimization:
    enable_auto_scaling: true
    resource_rebalancing: true
    performance_tuning: true
"""  # noqa: W293 - as printed


def load(config: Any = None, environ: dict[str, str] | None = None, **flags: Any) -> Settings:
    return Settings.load({} if config is None else config, environ=environ or {}, **flags)


def problems(config: Any = None, environ: dict[str, str] | None = None, **flags: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(config, environ, **flags)
    return caught.value.problems


def test_the_basic_configuration_loads_as_printed(tmp_path: Path) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_text(BASIC)

    settings = load(file)

    assert settings.agents.orchestrator.model == "qwen2.5-coder:7b"
    assert settings.agents.orchestrator.max_concurrent_projects == 5
    assert settings.agents.orchestrator.resource_optimization is True
    assert settings.agents.orchestrator.coordination_timeout == 3600
    assert settings.nexus.demo_output == Path("/home/ubuntu/nexus/demo")
    assert settings.nexus.max_agents == 10
    assert settings.nexus.resource_limits.model_dump() == {"cpu": 100, "memory": 100, "disk": 1000, "network": None}


def test_the_advanced_configuration_loads_as_printed(tmp_path: Path) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_text(ADVANCED)

    settings = load(str(file)).orchestrator

    web = settings.templates["web_application"]
    assert web.phases == ("analysis", "design", "frontend", "backend", "integration", "testing")
    assert web.default_resources.model_dump(exclude_none=True) == {"cpu": 60, "memory": 70}
    assert settings.coordination.model_dump() == {
        "default_protocol": "asynchronous",
        "sync_timeout": 300,
        "retry_attempts": 3,
    }
    assert settings.optimization.enable_auto_scaling
    assert settings.optimization.resource_rebalancing
    assert settings.optimization.performance_tuning


def test_a_file_a_dict_and_a_model_of_the_same_content_are_the_same(tmp_path: Path) -> None:
    content = yaml.safe_load(BASIC)
    file = tmp_path / "nexus.yaml"
    file.write_text(BASIC)

    class Orchestrator(BaseModel):
        agents: dict[str, Any]
        nexus: dict[str, Any]

    assert load(file) == load(content) == load(Orchestrator(**content))


def test_an_output_folder_that_nobody_may_make_is_no_error_until_it_is_used() -> None:
    assert load({"nexus": {"demo_output": "/proc/none"}}).nexus.demo_output == Path("/proc/none")


def test_results_go_to_a_folder_beside_the_user_unless_told_otherwise() -> None:
    assert load().nexus.demo_output == Path("nexus-output")


def test_the_file_in_the_working_directory_is_read_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nexus.yaml").write_text("nexus: {max_agents: 3}")
    (tmp_path / "other.yaml").write_text("nexus: {max_agents: 4}")
    monkeypatch.chdir(tmp_path)

    assert Settings.load(environ={}).nexus.max_agents == 3
    assert Settings.load(environ={"NEXUS_CONFIG": "other.yaml"}).nexus.max_agents == 4
    assert Settings.load("nexus.yaml", environ={"NEXUS_CONFIG": "other.yaml"}).nexus.max_agents == 3


def test_flags_win_over_the_environment_over_the_file_over_defaults() -> None:
    file = {"nexus": {"max_agents": 2, "demo_output": "file"}, "log_level": "error", "host": "0.0.0.0"}
    environ = {"NEXUS_MAX_AGENTS": "3", "NEXUS_DEMO_OUTPUT": "environment", "NEXUS_LOG_LEVEL": "WARNING"}

    settings = load(file, environ, demo_output="flag", log_level=None)

    assert settings.host == "0.0.0.0"
    assert settings.nexus.max_agents == 3
    assert settings.log_level == "warning"
    assert settings.nexus.demo_output == Path("flag")
    assert settings.agent_beat == 2


def test_the_environment_reaches_every_depth_and_leaves_the_rest_of_a_section_alone() -> None:
    environ = {
        "NEXUS_PORTS__GATEWAY": "8080",
        "NEXUS_AGENTS__ORCHESTRATOR__MODEL": "llama",
        "NEXUS_RESOURCE_LIMITS__CPU": "50",
        "NEXUS_ORCHESTRATOR__TEMPLATES": '{"web": {"phases": ["one"]}}',
    }

    settings = load(yaml.safe_load(BASIC), environ)

    assert settings.ports.gateway == 8080
    assert settings.agents.orchestrator.model == "llama"
    assert settings.agents.orchestrator.max_concurrent_projects == 5
    assert (settings.nexus.resource_limits.cpu, settings.nexus.resource_limits.disk) == (50, 1000)
    assert settings.orchestrator.templates["web"].phases == ("one",)


def test_an_empty_variable_says_nothing() -> None:
    assert load(environ={"NEXUS_NATS_URL": "", "NEXUS_MAX_AGENTS": ""}) == load()


def test_traces_go_where_the_standard_variable_says_unless_ours_says_more() -> None:
    standard = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://standard"}

    assert load().otlp_endpoint is None
    assert load(environ=standard).otlp_endpoint == "http://standard"
    assert load(environ={**standard, "NEXUS_OTLP_ENDPOINT": "http://ours"}).otlp_endpoint == "http://ours"


def test_an_empty_section_is_all_defaults(tmp_path: Path) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_text("nexus:\norchestrator:\n  coordination:\n")

    assert load(file) == load()


def test_an_unknown_key_comes_with_a_guess_of_what_was_meant() -> None:
    assert problems({"agents": {"orchestrator": {"max_concurent_projects": 5}}}) == (
        "agents.orchestrator.max_concurent_projects: unknown key, did you mean max_concurrent_projects?",
    )


def test_a_key_in_the_wrong_place_is_told_its_right_place() -> None:
    assert problems({"max_agents": 5}) == ("max_agents: unknown key, did you mean nexus.max_agents?",)
    assert problems({"nexus": {"nats_url": "x"}}) == ("nexus.nats_url: unknown key, did you mean nats_url?",)


def test_a_key_like_nothing_else_is_told_what_is_known() -> None:
    (problem,) = problems({"nexus": {"colour": "blue"}})

    assert problem == "nexus.colour: unknown key; known here: demo_output, max_agents, resource_limits"


def test_a_key_below_a_template_is_guessed_too() -> None:
    templates = {"web": {"default_resources": {"cpus": 1}}}

    assert problems({"orchestrator": {"templates": templates}}) == (
        "orchestrator.templates.web.default_resources.cpus: unknown key, did you mean cpu?",
    )


def test_an_unknown_variable_is_an_error_in_the_words_of_the_environment() -> None:
    assert problems(environ={"NEXUS_NATS_ULR": "x"}) == (
        "NEXUS_NATS_ULR: unknown variable, did you mean NEXUS_NATS_URL?",
    )
    assert problems(environ={"NEXUS_DEMO_OUPUT": "x"}) == (
        "NEXUS_DEMO_OUPUT: unknown variable, did you mean NEXUS_DEMO_OUTPUT?",
    )
    assert problems(environ={"NEXUS_MAX_AGENT": "3"}) == (
        "NEXUS_MAX_AGENT: unknown variable, did you mean NEXUS_MAX_AGENTS?",
    )


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_text("nexus: {max_agents: many}\nsync: sometimes\nfoo: 1\n")

    found = problems(file, {"NEXUS_PORTS__GATEWAY": "70000"}, log_level="loud")

    assert len(found) == 5
    assert f"nexus.max_agents: input should be a valid integer, not 'many' ({file})" in found
    assert "NEXUS_PORTS__GATEWAY: input should be less than or equal to 65535, not '70000'" in found
    assert f'sync: must be "always" or a duration such as "1s" or "200ms", not \'sometimes\' ({file})' in found
    assert any(problem.startswith("log_level: ") for problem in found)


def test_a_lease_must_outlive_the_beats_after_which_an_agent_is_lost() -> None:
    (problem,) = problems({"lease_term": 6, "agent_beat": 2})

    assert "longer than three beats" in problem


def test_secrets_are_never_printed() -> None:
    (problem,) = problems({"nats_password": ["hunter2"]})
    settings = load({"nats_password": "hunter2", "gateway_token": "hunter2"})

    assert "hunter2" not in problem
    assert "hunter2" not in repr(settings)
    assert settings.nats_options() == {"password": "hunter2"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("a: [", "is not YAML"), ("- a\n- b\n", "must hold keys and values, not list"), ("\x00", "is not YAML")],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_text(content)

    (problem,) = problems(file)

    assert problem.startswith(f"{file}: {complaint}")


def test_a_file_that_was_named_must_exist() -> None:
    assert problems("none.yaml") == ("none.yaml: cannot be read: No such file or directory",)


def test_an_empty_file_is_no_configuration_at_all(tmp_path: Path) -> None:
    file = tmp_path / "nexus.yaml"
    file.touch()

    assert load(file) == load()


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError):
        load().host = "0.0.0.0"  # type: ignore[misc] # that is what is tested
