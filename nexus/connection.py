"""Reaching the messaging system: one way in for clients and agents, with an error that says what to do."""

import asyncio
import logging
import re
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from nexus.server_folder import running
from shared.settings import Settings

TRY = 3  # seconds for one attempt to connect
PAUSE = 0.5
RECONNECT_EVERY = 0.25

log = logging.getLogger(__name__)


class CannotConnect(ConnectionError):
    """No usable server could be reached; the text says which and why."""


class NotAllowed(CannotConnect):
    """The server does not know our credentials."""


def shown(url: str) -> str:
    """Return an address as others may read it: without the credentials that may stand in it."""
    return re.sub(r"//[^/@,]*@", "//", url)


def located(url: str | None, settings: Settings) -> Settings:
    """Return settings that name a server: `url`, the configured one, or the one that `nexus up` runs here."""
    if url:
        return settings.model_copy(update={"nats_url": url})
    if settings.nats_url:
        return settings
    if access := running(settings.data):
        return access.applied(settings)
    raise CannotConnect(
        f"no server is named, and none runs on the folder {settings.data}: "
        "start one with `nexus up`, or name one with NEXUS_NATS_URL"
    )


async def connect(
    url: str | None = None, settings: Settings | None = None, *, name: str = "nexus", patience: float = 5.0
) -> Client:
    """Connect, trying for `patience` seconds; once connected, come back whenever the server does."""
    known = settings or Settings.load()
    deadline = asyncio.get_running_loop().time() + patience
    told = ""
    while True:
        try:
            found = located(url, known)
            return await _connect(found.nats_url or "", found.nats_options(), name)
        except NotAllowed:
            raise
        except CannotConnect as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            if str(error) != told:
                told = str(error)
                log.info("%s; trying again", told)
            await asyncio.sleep(PAUSE)


async def _connect(url: str, options: dict[str, Any], name: str) -> Client:
    nc = Client()
    try:
        # With limits, a first attempt ends with its reason instead of being repeated in silence.
        await nc.connect(
            url,
            name=name,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=TRY,
            error_cb=_note,
            ping_interval=10,
            max_outstanding_pings=3,
            **options,
        )
    except (NatsError, OSError, TimeoutError) as error:
        await nc.close()
        if "authorization" in f"{error!r}".lower():
            raise NotAllowed(
                f"the nats-server at {shown(url)} does not accept our credentials: "
                "NEXUS_NATS_USER and NEXUS_NATS_PASSWORD, NEXUS_NATS_TOKEN, or NEXUS_NATS_CREDS"
            ) from error
        raise CannotConnect(f"no nats-server can be used at {shown(url)}: {_reason(error)}") from error
    nc.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1, "reconnect_time_wait": RECONNECT_EVERY}
    return nc


def _reason(error: Exception) -> str:
    if isinstance(error, NoServersError | ConnectionRefusedError):
        return "nothing answers there"
    return str(error) or type(error).__name__


async def _note(error: Exception) -> None:
    log.debug("connection: %r", error)
