"""The command line: `nexus …`."""

from nexus.cli.entry import main

__all__ = ["main"]
