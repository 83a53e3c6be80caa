"""Logs: one line each; for people on a terminal, JSON everywhere else."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

QUIET = ("nats", "faststream", "httpx", "httpcore", "opentelemetry", "asyncio", "urllib3")

embedded: ContextVar[bool] = ContextVar("embedded", default=False)
"""Set where a service runs inside somebody's program, who then decides about logs."""


class Line(logging.Formatter):
    """A line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def setup(level: str) -> None:
    """Log to stderr, unless somebody has said already where logs go."""
    root = logging.getLogger()
    if root.handlers or embedded.get():
        return
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    else:
        handler.setFormatter(Line())
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
