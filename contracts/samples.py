"""One sample of every message, from one story: the shop that the golden examples tell of."""

from datetime import UTC, datetime, timedelta

from contracts import agents, coordinator, metrics, planner, resource_manager, work
from contracts.base import Command, Event, Message
from contracts.outcomes import Outcome, Problem

AT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
SHOP = "shop-7f3k9c"
SCHEMA, API = "design-schema", "build-api"
LEASE = f"{SHOP}.{SCHEMA}.1"

_demand = work.Demand(cpu=10, memory=15, disk=2)
_schema = work.Task(
    id=SCHEMA,
    capability="database",
    title="Design the database schema",
    phase="design",
    demands=_demand,
    estimate=0.4,
    pessimistic=1.0,
    provides="schema_ready",
    compensate=True,
    input={"artifact": "schema"},
)
_api = work.Task(
    id=API, capability="backend", phase="backend", depends_on=(SCHEMA,), waits_for=("schema_ready",), estimate=0.9
)
_protocol = work.ProtocolConfig(
    type="event_driven", agents=("database", "backend"), sync_points=("schema_ready",), timeout_minutes=60
)
_plan = work.Plan(
    tasks=(_schema, _api),
    protocol=_protocol,
    template="web_application",
    template_hash="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    phases=("design", "backend"),
    sync_points=("schema_ready",),
    risks=(
        work.Risk(
            id="load",
            title="More users than the schema was made for",
            probability=0.2,
            impact=1.5,
            mitigation="Index what is searched for; measure before launch",
            tasks=(SCHEMA,),
            reason="10,000 users are expected",
        ),
    ),
    complexity=work.Complexity(score=41.5, terms={"tasks": 12, "depth": 9.5, "users": 20}),
    schedule=(work.Slack(task=SCHEMA, earliest=0, slack=0), work.Slack(task=API, earliest=0.4, slack=0)),
    critical_path=(SCHEMA, API),
    lower_bound=1.3,
    total_work=1.3,
    demands=_demand,
)
_create = planner.CreateProject(
    type="web_application",
    description="E-commerce platform with user management",
    technologies={"frontend": "react", "backend": "fastapi", "database": "postgresql"},
    requirements={"expected_users": 10000, "performance_level": "high"},
)
_lease = resource_manager.Lease(
    id=LEASE,
    project=SHOP,
    task=SCHEMA,
    agent="database",
    demand=_demand,
    capabilities=("database",),
    epoch=17,
    until=AT + timedelta(seconds=30),
    carry_until=AT + timedelta(seconds=5),
)
_request = coordinator.CapacityRequest(id=LEASE, task=SCHEMA, capability="database", demand=_demand, priority=2)
_next = coordinator.CapacityRequest(id=f"{SHOP}.{API}.1", task=API, capability="backend")
_dispatch = coordinator.Dispatch(
    task=SCHEMA,
    attempt=1,
    agent="database",
    lease=LEASE,
    epoch=17,
    capabilities=("database",),
    carry_until=AT + timedelta(seconds=5),
)
_settled = coordinator.Settlement(
    task=SCHEMA, attempt=1, status="done", agent="database", seconds=0.38, output={"files": ["db/schema.sql"]}
)
_error = coordinator.ErrorInfo(message="the model is busy", code="rate_limited", retry_after=20)

COMMANDS: tuple[Command, ...] = (
    _create,
    planner.ApprovePlan(project=SHOP),
    coordinator.PauseProject(project=SHOP),
    coordinator.ResumeProject(project=SHOP),
    coordinator.CancelProject(project=SHOP, reason="the customer changed their mind", rollback=True),
    coordinator.RetryTask(project=SHOP, task=API),
    coordinator.SkipTask(project=SHOP, task=API),
    coordinator.DefineProtocol(config=_protocol, name="shop"),
    coordinator.RetireProtocol(protocol="protocol-5e884898da"),
    coordinator.ExecuteProject(project=SHOP, protocol="protocol-5e884898da"),
    resource_manager.SetCapacity(capacity=resource_manager.Capacity(cpu=100, memory=100, disk=1000, agents=10)),
    resource_manager.DrainAgent(agent="database"),
)

EVENTS: tuple[tuple[str, Event], ...] = (
    (SHOP, planner.ProjectCreated(at=AT, request=_create, title="E-commerce platform")),
    (
        SHOP,
        planner.ProjectAnalysed(
            at=AT,
            analyst="rules",
            template="web_application",
            reasons=("the request names the type",),
            findings={"entities": ["product", "order"]},
        ),
    ),
    (
        SHOP,
        planner.ProjectPlanned(
            at=AT,
            title="E-commerce platform",
            description=_create.description,
            technologies=_create.technologies,
            requirements=_create.requirements,
            type="web_application",
            plan=_plan,
        ),
    ),
    (SHOP, planner.PlanApproved(at=AT)),
    (SHOP, planner.PlanRevised(at=AT, plan=_plan, reason="the schema needs a review")),
    (
        SHOP,
        planner.ProjectRefused(
            at=AT,
            code="unknown_technology",
            message="There is no agent for this front end",
            problems=(Problem(pointer="/technologies/frontend", message="'cobol'; supported: react, vue, svelte"),),
        ),
    ),
    (
        SHOP,
        coordinator.ExecutionStarted(
            at=AT,
            title="E-commerce platform",
            type="web_application",
            description=_create.description,
            technologies=_create.technologies,
            requirements=_create.requirements,
            plan=_plan,
            protocol=_protocol,
            requested=(_request,),
        ),
    ),
    (SHOP, coordinator.CapacityRequested(at=AT, requested=(_next,))),
    (SHOP, coordinator.CapacityDeclined(at=AT, released=(LEASE,), reason="no longer needed")),
    (SHOP, coordinator.TasksDispatched(at=AT, dispatched=(_dispatch,))),
    (
        SHOP,
        coordinator.TasksSettled(
            at=AT, results=(_settled,), requested=(_next,), released=(LEASE,), reached={"schema_ready": SCHEMA}
        ),
    ),
    (SHOP, coordinator.TaskRetried(at=AT, tasks=(API,), requested=(_next,))),
    (SHOP, coordinator.TaskSkipped(at=AT, task=API)),
    (SHOP, coordinator.SignalReceived(at=AT, name="approved", payload={"by": "the customer"}, source="shop-admin")),
    (SHOP, coordinator.SyncPointMissed(at=AT, name="approved", blocked=(API,))),
    (SHOP, coordinator.ExecutionPaused(at=AT, released=(f"{SHOP}.{API}.1",))),
    (SHOP, coordinator.ExecutionResumed(at=AT, requested=(_next,))),
    (SHOP, coordinator.CompensationStarted(at=AT, tasks=(SCHEMA,), reason="task build-api failed")),
    (
        SHOP,
        coordinator.CompensationSettled(
            at=AT, results=(_settled.model_copy(update={"kind": "compensate", "attempt": 2, "output": {}}),)
        ),
    ),
    (SHOP, coordinator.ExecutionCompleted(at=AT, seconds=2.1)),
    (SHOP, coordinator.ExecutionFailed(at=AT, seconds=2.1, reason="1 of 2 tasks failed: build-api", failed=(API,))),
    (SHOP, coordinator.ExecutionCancelled(at=AT, seconds=2.1, reason="the customer changed their mind")),
    (SHOP, coordinator.ExecutionRolledBack(at=AT, seconds=2.1, reason="task build-api failed", undone=(SCHEMA,))),
    ("protocol-5e884898da", coordinator.ProtocolDefined(at=AT, config=_protocol, name="shop")),
    ("protocol-5e884898da", coordinator.ProtocolRetired(at=AT)),
    (
        "default",
        resource_manager.AgentJoined(at=AT, agent="database", instance="i-1", capabilities=("database",), slots=4),
    ),
    ("default", resource_manager.AgentDrained(at=AT, agent="database")),
    ("default", resource_manager.AgentLost(at=AT, agent="database", last_seen=AT - timedelta(seconds=7))),
    ("default", resource_manager.AgentLeft(at=AT, agent="database")),
    (
        "default",
        resource_manager.CapacityChanged(at=AT, capacity=resource_manager.Capacity(cpu=100, memory=100, disk=1000)),
    ),
    ("default", resource_manager.CapacityLeased(at=AT, project=SHOP, leases=(_lease,))),
    (
        "default",
        resource_manager.CapacityQueued(
            at=AT,
            project=SHOP,
            queued=(resource_manager.Queued(request=_next, reason="no_agent:backend", since=AT),),
        ),
    ),
    ("default", resource_manager.LeaseRenewed(at=AT, leases=(LEASE,), until=AT + timedelta(seconds=60))),
    ("default", resource_manager.LeaseReleased(at=AT, project=SHOP, leases=(LEASE,))),
    (
        "default",
        resource_manager.LeaseExpired(at=AT, project=SHOP, leases=(LEASE,), agent="database", reason="agent_lost"),
    ),
    (
        "default",
        resource_manager.ScalingAdvised(at=AT, capability="backend", agents=1, reason="12 requests wait since 60 s"),
    ),
    ("default", resource_manager.Rebalanced(at=AT, moves={f"{SHOP}.{API}.1": "backend-2"}, reason="backend is busy")),
    (
        "queue_age",
        metrics.AlertRaised(
            at=AT, rule="queue_age", summary="Requests wait for more than a minute", value=75, threshold=60
        ),
    ),
    ("queue_age", metrics.AlertResolved(at=AT, rule="queue_age", value=0)),
)
"""The aggregate that states it, and the event."""

OTHERS: tuple[tuple[str, str, Message], ...] = (
    (
        "nexus.agents.database.beat",
        agents.Beat.TYPE,
        agents.Beat(
            agent="database",
            instance="i-1",
            capabilities=("database",),
            slots=4,
            running=(agents.Running(project=SHOP, task=SCHEMA, attempt=1, progress=0.5, note="tables"),),
        ),
    ),
    (
        "nexus.tasks.database",
        agents.Assignment.TYPE,
        agents.Assignment(
            project=SHOP,
            task=SCHEMA,
            attempt=1,
            lease=LEASE,
            epoch=17,
            capability="database",
            title=_schema.title,
            input=_schema.input,
            project_input={"technologies": _create.technologies},
            upstream={"write-requirements": {"files": ["docs/requirements.md"]}},
            estimate=0.4,
        ),
    ),
    (
        "nexus.tasks.database",
        agents.Withdrawal.TYPE,
        agents.Withdrawal(project=SHOP, task=SCHEMA, attempt=1, reason="the project was cancelled"),
    ),
    (
        f"nexus.results.{SHOP}.{SCHEMA}",
        agents.TaskResult.TYPE,
        agents.TaskResult(
            agent="database", attempt=1, lease=LEASE, epoch=17, status="failed", error=_error, seconds=0.38
        ),
    ),
    (
        "nexus.outcomes.create-shop-1",
        "nexus.outcome",
        Outcome(command="create-shop-1", status="accepted", sequence=1042, result={"project": SHOP}),
    ),
)
"""Subject, type and message of everything that is neither command nor event."""
