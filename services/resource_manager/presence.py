"""Who is alive, as far as this process has heard: an agent that missed three signs of life is not.

What is not known is not held against an agent. After a start, a lost connection or a pause of this very process,
everybody has three intervals to be heard of again. Pure: the time comes as an argument, in seconds of any clock that
never goes back.
"""

from collections.abc import Mapping
from datetime import datetime

MISSED = 3
SLACK = 0.25
"""Part of an interval by which a sign of life may be late without being missed."""


class Presence:
    """When each agent was last heard of."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._heard: dict[str, float] = {}
        self._when: dict[str, datetime] = {}

    def heard(self, agent: str, now: float, when: datetime) -> None:
        """Note a sign of life."""
        self._heard[agent], self._when[agent] = now, when

    def forget(self, agent: str) -> None:
        """Note that an agent is gone."""
        self._heard.pop(agent, None)
        self._when.pop(agent, None)

    def begin_again(self, now: float) -> None:
        """Count nobody's silence until now: we could not have heard."""
        self._since = now

    def silent(self, intervals: Mapping[str, float], now: float) -> dict[str, datetime | None]:
        """Return who counts as lost, and when it was last heard; `intervals` are those between its signs of life."""
        return {
            agent: self._when.get(agent)
            for agent, interval in intervals.items()
            if now - max(self._since, self._heard.get(agent, self._since)) > (MISSED + SLACK) * interval
        }
