"""What the coordinator decides: executions, protocols. Pure."""

from services.coordinator.domain.definition import ProtocolDefinition
from services.coordinator.domain.execution import Execution

__all__ = ["Execution", "ProtocolDefinition"]
