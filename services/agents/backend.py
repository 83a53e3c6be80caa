"""The backend agent: fixes the API, builds the service, puts the parts together."""

from pathlib import Path

from nexus.agent import Agent
from services.agents.workshop import Workshop

KINDS = ("backend", "api_contract", "readme", "deployment")


def backend(output: Path) -> Agent:
    """Return the agent; it writes below `output`."""
    agent, workshop = Agent("backend", slots=2), Workshop(output, KINDS)
    agent.task("backend")(workshop.make)
    agent.compensate("backend")(workshop.unmake)
    return agent
