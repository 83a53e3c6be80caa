"""`nexus bench`: what a task costs, beside what the machine itself can do, measured in the same run."""

from nexus.bench.run import bench

__all__ = ["bench"]
