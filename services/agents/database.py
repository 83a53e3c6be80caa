"""The database agent: designs the schema."""

from pathlib import Path

from nexus.agent import Agent
from services.agents.workshop import Workshop

KINDS = ("schema",)


def database(output: Path) -> Agent:
    """Return the agent; it writes below `output`."""
    agent, workshop = Agent("database", slots=2), Workshop(output, KINDS)
    agent.task("database")(workshop.make)
    agent.compensate("database")(workshop.unmake)
    return agent
