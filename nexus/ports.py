"""Free ports that stay free: outside the range from which systems take the ports of client connections."""

import random
import socket

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)  # a client that reconnects without pause would otherwise take its server's port one day


class PortInUse(RuntimeError):
    """Another program listens on the port."""


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server may listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed connections don't count
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str = LOOPBACK) -> int:
    """Return a port on which nobody listens."""
    for _ in range(100):
        if port_is_free(port := random.choice(PORTS), host):
            return port
    raise PortInUse(f"no free port between {PORTS.start} and {PORTS.stop} on {host}")
