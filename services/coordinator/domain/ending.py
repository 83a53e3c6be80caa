"""How an execution ends: completed, failed, or undone step by step."""

from dataclasses import dataclass
from datetime import datetime

from contracts.coordinator import (
    CapacityRequested,
    CompensationStarted,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionRolledBack,
)
from services.coordinator.domain.settling import Settling
from services.coordinator.domain.state import SATISFIED, Status


@dataclass
class Ending(Settling):
    """The part of an execution that brings it to its end."""

    def undoable(self) -> list[str]:
        """Tasks to undo, the latest first."""
        done = [
            task
            for task, state in self.tasks.items()
            if state.status is Status.DONE and self.index.tasks[task].compensate
        ]
        place = {task: n for n, task in enumerate(self.index.topological)}
        return sorted(done, key=lambda task: (self.tasks[task].since, place[task]), reverse=True)

    def compensate(self, reason: str, now: datetime) -> None:
        """Withdraw what runs and begin to undo what is done."""
        tasks = self.undoable()
        begun = [self.tasks[task].lease for task in self.active if self.tasks[task].status is Status.RUNNING]
        asked = [self.request_id(task) for task in self.active if self.tasks[task].status is Status.REQUESTED]
        self.record(
            CompensationStarted(
                at=now,
                tasks=tuple(tasks),
                reason=reason,
                requested=(self.request(tasks[0]),),
                released=(*begun, *asked),
            )
        )

    def _go_on_undoing(self, now: datetime) -> None:
        if self.undoing or self.active:
            if self.undoing and not self.active and not self.paused:
                self.record(CapacityRequested(at=now, requested=(self.request(self.undoing[0]),)))
            return
        by = {status: tuple(t for t, s in self.tasks.items() if s.status is status) for status in Status}
        self.record(
            ExecutionRolledBack(
                at=now,
                seconds=self.seconds(now),
                reason=self.stopping,
                undone=by[Status.UNDONE],
                not_undone=by[Status.NOT_UNDONE],
            )
        )

    def _conclude(self, now: datetime) -> bool:
        if self.stopping:
            if any(self.tasks[task].status is Status.RUNNING for task in self.active):
                return False
            if self.undoable():
                self.compensate(self.stopping, now)
            else:
                self._fail(self.stopping, now)
            return True
        if set(self.open_tasks()) - self.unneeded():
            return False
        failed = self._failed()
        if needed := [task for task in failed if not self._dispensable(task)]:
            self._fail(f"{len(needed)} of {len(self.tasks)} tasks failed: {', '.join(needed[:5])}", now)
        else:
            self.record(ExecutionCompleted(at=now, seconds=self.seconds(now), degraded=tuple(failed)))
        return True

    def unneeded(self) -> set[str]:
        """Waiting tasks of a path that was for a failure which can no longer happen."""
        unused = [
            task
            for point, waiters in self.index.waiters.items()
            if point.endswith("_failed") and self._cannot_fail(point.removesuffix("_failed"))
            for task in waiters
            if self.tasks[task].status is Status.WAITING
        ]
        return {*unused, *self.index.behind(unused)} if unused else set()

    def _cannot_fail(self, task: str) -> bool:
        return task in self.tasks and self.tasks[task].status in SATISFIED

    def _failed(self) -> list[str]:
        return [task for task, state in self.tasks.items() if state.status in (Status.FAILED, Status.BLOCKED)]

    def _dispensable(self, task: str) -> bool:
        """Whether the project completes without the task: it is optional, or another path took over from it."""
        if self.index.tasks[task].optional or f"{task}_failed" in self.points:
            return True
        earlier = [e for e in self.index.tasks[task].depends_on if self.tasks[e].status not in SATISFIED]
        return self.tasks[task].status is Status.BLOCKED and bool(earlier) and all(map(self._dispensable, earlier))

    def _fail(self, reason: str, now: datetime) -> None:
        failed = tuple(t for t, s in self.tasks.items() if s.status is Status.FAILED)
        blocked = tuple(t for t, s in self.tasks.items() if s.status is Status.BLOCKED)
        self.record(ExecutionFailed(at=now, seconds=self.seconds(now), reason=reason, failed=failed, blocked=blocked))
