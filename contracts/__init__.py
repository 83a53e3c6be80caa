"""The published language of Nexus: every message that crosses a service boundary, and nothing else."""
