"""The analyst: writes down who wants what, and decides on the parts and how they talk to each other."""

from pathlib import Path

from nexus.agent import Agent
from services.agents.workshop import Workshop

KINDS = ("requirements", "architecture")


def analyst(output: Path) -> Agent:
    """Return the agent; it writes below `output`."""
    agent, workshop = Agent("analyst", slots=2), Workshop(output, KINDS)
    agent.task("analysis")(workshop.make)
    agent.compensate("analysis")(workshop.unmake)
    return agent
