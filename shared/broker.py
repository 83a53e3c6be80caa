"""The connection of a service: FastStream's broker, told to come back whatever happens."""

import logging
from collections.abc import Awaitable, Callable

from faststream.nats import NatsBroker
from faststream.nats.security import NatsCredentials, NatsSecurity, NatsToken, NatsUserPassword

from shared.settings import Settings, SettingsError

RECONNECT_EVERY = 0.2
PENDING_SIZE = 16 * 1024 * 1024
"""Bytes that may wait to be sent while the server is away."""
GRACE = 10.0
"""Seconds that a stop waits for what is in hand."""

log = logging.getLogger(__name__)


class Broker(NatsBroker):
    """A broker that can also be stopped while its server is away."""

    async def stop(self, *_: object) -> None:
        """Say goodbye in good order where there is somebody to say it to."""
        nc = self._connection
        if nc is not None and not nc.is_connected:
            await nc.close()
            self._connection = None
        await super().stop()


def broker_for(name: str, settings: Settings, reconnected: Callable[[], Awaitable[None]]) -> Broker:
    """Return the broker of a service; it connects when it is started."""
    if not settings.nats_url:
        raise SettingsError(["nats_url: no server is named: set NEXUS_NATS_URL, or let `nexus up` start everything"])

    async def note(error: Exception) -> None:
        log.warning("%s: connection: %s", name, str(error) or type(error).__name__)

    return Broker(
        settings.nats_url,
        name=f"nexus-{name}",
        security=_security(settings),
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_EVERY,  # type: ignore[arg-type]  # seconds; a fraction is understood
        ping_interval=10,
        max_outstanding_pings=3,
        pending_size=PENDING_SIZE,
        inbox_prefix=settings.inbox or "_INBOX",
        graceful_timeout=GRACE,
        error_cb=note,
        reconnected_cb=reconnected,
        logger=None,
        apply_types=False,
    )


def _security(settings: Settings) -> NatsSecurity | None:
    if settings.nats_creds:
        return NatsCredentials(str(settings.nats_creds))
    if settings.nats_token:
        return NatsToken(settings.nats_token.get_secret_value())
    if settings.nats_user and settings.nats_password:
        return NatsUserPassword(settings.nats_user, settings.nats_password.get_secret_value())
    return None
