"""Refusals that time may cure are held back for a while: a command may have overtaken what it needs."""

from collections.abc import Callable
from time import monotonic


class Patience:
    """How long a refusal is held back that time may cure: from the first time that its command arrived here."""

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._since: dict[str, float] = {}

    def over(self, command: str) -> bool:
        """Tell whether this command has waited long enough."""
        now = self._clock()
        while self._since and now - next(iter(self._since.values())) > 60 + self._seconds:
            del self._since[next(iter(self._since))]
        return now - self._since.setdefault(command, now) >= self._seconds
