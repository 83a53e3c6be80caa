"""Which nats-server is new enough."""

import re

MINIMUM = (2, 12)  # message schedules (timers) and atomic batches (the log)


class ServerTooOld(RuntimeError):
    """The nats-server lacks what Nexus builds on."""


def check_version(version: str) -> None:
    """Raise `ServerTooOld` unless this is the version of a nats-server that Nexus can use."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < MINIMUM:
        least = ".".join(map(str, MINIMUM))
        raise ServerTooOld(
            f"nats-server {version or '(unknown version)'} is too old: Nexus needs {least} or newer, "
            "for message schedules and atomic batches"
        )
