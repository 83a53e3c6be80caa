"""Which nats-server is new enough."""

import re

MINIMUM = (2, 12, 1)  # message schedules for timers; atomic batches for the log, which 2.12.0 refuses to de-duplicate


class ServerTooOld(RuntimeError):
    """The nats-server lacks what Nexus builds on."""


def check_version(version: str) -> None:
    """Raise `ServerTooOld` unless this is the version of a nats-server that Nexus can use."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if not found or tuple(map(int, found.groups())) < MINIMUM:
        least = ".".join(map(str, MINIMUM))
        raise ServerTooOld(
            f"nats-server {version or '(unknown version)'} is too old: Nexus needs {least} or newer, "
            "for message schedules and atomic batches"
        )
