"""What an agent is sent: work, and the news that work is no longer wanted. Pure but for the message ids."""

from uuid import uuid4

from pydantic_core import to_json

from contracts.agents import Assignment, Withdrawal
from contracts.base import INLINE_LIMIT
from contracts.coordinator import Dispatch
from contracts.envelope import CloudEvent
from services.coordinator.domain import Execution

Outgoing = tuple[str, CloudEvent]
"""Subject and message."""


def assignment(execution: Execution, dispatch: Dispatch, traceparent: str | None) -> Outgoing:
    """Return the message that gives an attempt to its agent."""
    task, state = execution.index.tasks[dispatch.task], execution.tasks[dispatch.task]
    outputs = {earlier: execution.tasks[earlier].output for earlier in task.depends_on}
    work = Assignment.model_construct(
        project=execution.id,
        task=task.id,
        attempt=dispatch.attempt,
        lease=dispatch.lease,
        epoch=dispatch.epoch,
        capability=state.capability or task.capability,
        kind=dispatch.kind,
        title=task.title,
        input=task.input,
        project_input=execution.brief,
        upstream={earlier: output for earlier, output in outputs.items() if output},
        output=state.output if dispatch.kind == "compensate" else {},
        run_seconds=task.clocks.run,
        estimate=task.estimate,
    )
    return _message(dispatch.agent, Assignment.TYPE, execution.id, task.id, _fitting(work), traceparent)


def withdrawal(project: str, task: str, attempt: int, agent: str, reason: str, traceparent: str | None) -> Outgoing:
    """Return the message that takes an attempt back."""
    news = Withdrawal(project=project, task=task, attempt=attempt, reason=reason)
    return _message(agent, Withdrawal.TYPE, project, task, news.model_dump(), traceparent)


def _fitting(work: Assignment) -> dict[str, object]:
    """Earlier outputs that are too large together are left to be read from the log; small ones stay."""
    data = work.model_dump(exclude_defaults=True)
    upstream = data.get("upstream")
    if upstream and len(to_json(upstream)) > INLINE_LIMIT:
        data["upstream"] = {name: {"omitted": "read it from the project's history"} for name in upstream}
    return data


def _message(
    agent: str, kind: str, project: str, task: str, data: dict[str, object], traceparent: str | None
) -> Outgoing:
    event = CloudEvent(
        id=uuid4().hex,
        type=kind,
        source="nexus/coordinator",
        subject=task,
        data=data,
        project=project,
        correlationid=project,
        traceparent=traceparent,
    )
    return f"nexus.tasks.{agent}", event
