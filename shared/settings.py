"""Every setting of a Nexus process, read once at its start: defaults, file, environment, flags; the later wins."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from shared.sources import Layer, SettingsError, env_layer, explain, file_layer, flag_layer, merge

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]

__all__ = ["Settings", "SettingsError"]


class Section(BaseModel):
    """A part of the settings: frozen, and closed to keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value  # YAML's `nexus:` with nothing below it


class OrchestratorAgent(Section):
    """How many projects run at once, and how long they may coordinate."""

    model: str | None = None
    """The language model that analyses requests; none: templates alone."""
    max_concurrent_projects: Positive = 5
    resource_optimization: bool = True
    coordination_timeout: Seconds = 3600
    """Seconds that a coordination may take before it is given up."""


class Agents(Section):
    """Settings of named agents."""

    orchestrator: OrchestratorAgent = OrchestratorAgent()


class ResourceLimits(Section):
    """How much of each resource all running tasks may hold together, in the units of `contracts.work.Demand`."""

    cpu: Amount | None = 100
    memory: Amount | None = 100
    disk: Amount | None = 1000
    network: Amount | None = None
    """None is no limit."""


class Resources(Section):
    """What a whole project of a template holds if all its tasks run at once; each task has its share of it.

    None leaves it as the template says.
    """

    cpu: Amount | None = None
    memory: Amount | None = None
    disk: Amount | None = None
    network: Amount | None = None


class Nexus(Section):
    """Where results go, and how much the system may use."""

    demo_output: Path = Path("nexus-output")
    """Folder for produced files; made when the first one is written, not before."""
    max_agents: Positive = 10
    resource_limits: ResourceLimits = ResourceLimits()


class TemplateOverrides(Section):
    """What a user changes about a project template."""

    phases: tuple[str, ...] | None = None
    """Only these phases, in this order."""
    default_resources: Resources = Resources()
    estimate_scale: Annotated[float, Field(gt=0)] = 1
    """Multiplies the template's seconds, which are those of the reference agents: larger for slower agents."""


class Coordination(Section):
    """Defaults of coordination where a project states none."""

    default_protocol: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "asynchronous"
    """`synchronous`, `asynchronous`, `event_driven`, or the name of a plug-in."""
    sync_timeout: Seconds = 300
    """Seconds to wait at a sync point."""
    retry_attempts: Annotated[int, Field(ge=0)] = 3
    """How often a task is attempted that says nothing itself, the first time included; 0 and 1 are once."""


class Optimization(Section):
    """What the system may improve by itself."""

    enable_auto_scaling: bool = True
    resource_rebalancing: bool = True
    performance_tuning: bool = True


class Planning(Section):
    """What the planner takes for granted, and what it refuses."""

    strict_capabilities: bool = True
    """Refuse tasks that need a capability which no agent ever offered; off: they wait until one does."""
    capabilities: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], ...] = ()
    """Capabilities that count as known although no agent has offered them yet."""
    capability_wait: Annotated[float, Field(ge=0, le=30)] = 5
    """Seconds that an agent may come later than the first request for it, before that is refused."""


class Orchestrator(Section):
    """Templates, planning, coordination and optimisation."""

    templates: dict[str, TemplateOverrides] = {}
    planning: Planning = Planning()
    coordination: Coordination = Coordination()
    optimization: Optimization = Optimization()


class Ports(Section):
    """Where each service listens; 0 takes a free port."""

    planner: Port = 0
    resource_manager: Port = 0
    coordinator: Port = 0
    metrics: Port = 0
    gateway: Port = 0
    nats: Port = 0


class Settings(Section):
    """Every setting of a Nexus process."""

    agents: Agents = Agents()
    nexus: Nexus = Nexus()
    orchestrator: Orchestrator = Orchestrator()

    nats_url: str | None = None
    """The server to use; none: an embedded one, on the folder `data`."""
    nats_user: str | None = None
    nats_password: SecretStr | None = None
    nats_token: SecretStr | None = None
    nats_creds: Path | None = None
    data: Path = Path(".nexus")
    """Folder of the embedded server: its log, its credentials, its address."""
    sync: str = "always"
    """When the embedded server syncs to disk: with every write, or this often ("1s")."""
    max_payload: Annotated[int, Field(ge=64 * 1024, le=64 * 1024**2)] = 1024**2
    """Largest message that the embedded server takes, in bytes."""
    host: str = "127.0.0.1"
    ports: Ports = Ports()
    gateway_token: SecretStr | None = None
    otlp_endpoint: str | None = None
    """Where traces go; none: nothing is traced. OTEL_EXPORTER_OTLP_ENDPOINT says it too."""
    agent_beat: Seconds = 2
    """Seconds between the heartbeats of an agent; three missed ones and it is lost."""
    lease_term: Seconds = 15
    """Seconds that capacity stays leased without a sign of life."""
    lease_carry: Amount = 5
    """Seconds for which a project may hand a lease on to its next task without asking again; 0: never."""
    snapshot_every: Positive = 500
    """Events of an aggregate between two snapshots."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("sync")
    @classmethod
    def _sync_is_a_duration(cls, value: str) -> str:
        if not re.fullmatch(r"always|[1-9]\d*(ms|s|m)", value):
            raise ValueError('must be "always" or a duration such as "1s" or "200ms"')
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _lease_outlives_lost_beats(self) -> Self:
        if self.lease_term <= 3 * self.agent_beat:
            raise ValueError(f"lease_term ({self.lease_term:g} s) must be longer than three beats of an agent")
        return self

    @classmethod
    def load(
        cls,
        config: Path | str | Mapping[str, Any] | BaseModel | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> Self:
        """Read all sources; raise one `SettingsError` that lists everything wrong with them."""
        if isinstance(config, cls) and not overrides:
            return config
        layers: list[Layer] = [file_layer(config, environ), env_layer(cls, environ), flag_layer(cls, overrides)]
        values, origins = merge(layers)
        problems = [problem for layer in layers for problem in layer.problems]
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            problems += explain(error, cls, origins)
        if problems:
            raise SettingsError(problems)
        return settings

    @property
    def inbox(self) -> str:
        """Where answers arrive: a place per user, so that permissions can keep others from reading them."""
        return f"_INBOX.{self.nats_user}" if self.nats_user else ""

    def nats_options(self) -> dict[str, Any]:
        """Return what `nats.connect` and `NatsBroker` need to know about credentials."""
        options = {
            "user": self.nats_user,
            "password": self.nats_password and self.nats_password.get_secret_value(),
            "token": self.nats_token and self.nats_token.get_secret_value(),
            "user_credentials": self.nats_creds and str(self.nats_creds),
            "inbox_prefix": self.inbox,
        }
        return {name: value for name, value in options.items() if value}
