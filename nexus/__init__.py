"""Nexus: what users import. Names load when they are first asked for, so that `import nexus` stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what checkers and editors see
    from nexus.agent import Agent, Job, TaskFailed, run_agents
    from nexus.client import Client, OutcomeUnknown, Refused
    from nexus.embedded import System
    from nexus.orchestrator import EnhancedOrchestratorAgent
    from nexus.server import EmbeddedServer, embedded_server
    from shared.settings import Settings, SettingsError

# name: the module that defines it
EXPORTS: dict[str, str] = {
    "Agent": "nexus.agent",
    "Client": "nexus.client",
    "EmbeddedServer": "nexus.server",
    "EnhancedOrchestratorAgent": "nexus.orchestrator",
    "Job": "nexus.agent",
    "OutcomeUnknown": "nexus.client",
    "Refused": "nexus.client",
    "Settings": "shared.settings",
    "SettingsError": "shared.settings",
    "System": "nexus.embedded",
    "TaskFailed": "nexus.agent",
    "embedded_server": "nexus.server",
    "run_agents": "nexus.agent",
}

__all__ = [
    "Agent",
    "Client",
    "EmbeddedServer",
    "EnhancedOrchestratorAgent",
    "Job",
    "OutcomeUnknown",
    "Refused",
    "Settings",
    "SettingsError",
    "System",
    "TaskFailed",
    "embedded_server",
    "run_agents",
]


def __getattr__(name: str) -> Any:
    if name not in EXPORTS:
        raise AttributeError(f"module 'nexus' has no attribute {name!r}")
    return getattr(import_module(EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
