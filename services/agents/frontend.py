"""The frontend agent: builds what people see."""

from pathlib import Path

from nexus.agent import Agent
from services.agents.workshop import Workshop

KINDS = ("frontend", "mobile")


def frontend(output: Path) -> Agent:
    """Return the agent; it writes below `output`."""
    agent, workshop = Agent("frontend", slots=2), Workshop(output, KINDS)
    agent.task("frontend")(workshop.make)
    agent.compensate("frontend")(workshop.unmake)
    return agent
