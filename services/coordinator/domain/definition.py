"""What a kept coordination protocol is."""

from dataclasses import dataclass, field
from datetime import datetime

from contracts.coordinator import ProtocolDefined, ProtocolRetired
from contracts.work import ProtocolConfig
from services.coordinator.domain.protocols import protocol
from shared.domain import Aggregate, DomainError


class RetiredProtocol(DomainError):
    """The protocol may not be used any more."""

    code = "retired_protocol"


@dataclass
class ProtocolDefinition(Aggregate):
    """A protocol configuration that projects may use."""

    TOPIC = "coordinator.protocol"

    config: ProtocolConfig = field(default_factory=ProtocolConfig)
    name: str = ""
    retired: bool = False

    def define(self, config: ProtocolConfig, name: str, now: datetime) -> None:
        """Keep `config`; a type that nobody provides is refused."""
        protocol(config.type)
        if not self.version:
            self.record(ProtocolDefined(at=now, config=config, name=name))

    def retire(self, now: datetime) -> None:
        """Let no further project use it."""
        if not self.retired:
            self.record(ProtocolRetired(at=now))

    def usable(self) -> ProtocolConfig:
        """Return the configuration, unless it was retired."""
        if self.retired:
            raise RetiredProtocol(f"protocol {self.id} was retired; define another one")
        return self.config

    def apply_protocol_defined(self, event: ProtocolDefined) -> None:
        self.config, self.name = event.config, event.name

    def apply_protocol_retired(self, event: ProtocolRetired) -> None:
        self.retired = True
