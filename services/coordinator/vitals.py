"""What agents say about the attempts they have in hand, as far as this process has heard it."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from contracts.agents import Beat
from contracts.coordinator import Dispatch

Attempt = tuple[str, str, int]
"""Project, task, number of the attempt."""

NOTHING: dict[str, datetime] = {}


class Vitals:
    """Signs of life by attempt, and which assignments an agent seems never to have received.

    What could not be heard is held against nobody: after a start or a lost connection every silence counts anew.
    """

    def __init__(self, now: datetime) -> None:
        self._since = now
        self._heard: dict[str, dict[str, datetime]] = {}
        self._given: dict[str, dict[Attempt, tuple[Dispatch, int]]] = defaultdict(dict)
        self._strange: dict[str, set[Attempt]] = {}

    def heard(self, project: str, tasks: Iterable[str]) -> dict[str, datetime]:
        """Return since when nobody has spoken of these tasks of a project."""
        known, since = self._heard.get(project, NOTHING), self._since
        return {task: max(known.get(task, since), since) for task in tasks}

    def excuse(self, now: datetime) -> None:
        """Count nobody's silence until now: it could not have been heard."""
        self._since = now

    def gave(self, project: str, dispatches: Iterable[Dispatch]) -> None:
        """Note that attempts were given to agents."""
        for dispatch in dispatches:
            self._given[dispatch.agent][project, dispatch.task, dispatch.attempt] = dispatch, 0

    def took_back(self, project: str, agent: str, task: str, attempt: int) -> None:
        """Note that an attempt is over."""
        self._given[agent].pop((project, task, attempt), None)

    def forget(self, project: str) -> None:
        """A project is over."""
        self._heard.pop(project, None)
        for given in self._given.values():
            for attempt in [attempt for attempt in given if attempt[0] == project]:
                del given[attempt]

    def beat(self, beat: Beat, now: datetime) -> list[tuple[str, Dispatch]]:
        """Take a sign of life; return attempts that two beats in a row did not mention: they must be sent again."""
        running = {(r.project, r.task, r.attempt) for r in beat.running}
        for project, task, _ in (
            running & self._given[beat.agent].keys()
        ):  # an attempt given up says nothing of the next
            self._heard.setdefault(project, {})[task] = now
        return self._missing(beat.agent, running)

    def strangers(self, beat: Beat) -> set[Attempt]:
        """Return attempts that two beats in a row mention and nobody gave: perhaps they were taken back, unheard."""
        running = {(r.project, r.task, r.attempt) for r in beat.running} - self._given[beat.agent].keys()
        before = self._strange.pop(beat.agent, set())
        if running:
            self._strange[beat.agent] = running
        return running & before

    def _missing(self, agent: str, running: set[Attempt]) -> list[tuple[str, Dispatch]]:
        missing = []
        given = self._given[agent]
        for attempt, (dispatch, unseen) in list(given.items()):
            if attempt in running:
                given[attempt] = dispatch, 0
            elif unseen >= 2:
                given[attempt] = dispatch, 0
                missing.append((attempt[0], dispatch))
            else:
                given[attempt] = dispatch, unseen + 1
        return missing
