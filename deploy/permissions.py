"""Who may say what: writes `deploy/nats.conf` from one table. Run `python deploy/permissions.py`.

A service may publish its own events, its own snapshots and timers, outcomes and dead letters; it may read the log and
its own durables; it may not make or change streams, beyond those in memory that a restarted server has lost.
"""

from pathlib import Path

CONF = Path(__file__).with_name("nats.conf")
MEMORY = ("NEXUS_RESULTS", "NEXUS_TASKS", "NEXUS_AGENTS", "NEXUS_OUTCOMES")
Durables = dict[str, tuple[str, ...]]

SERVICES: dict[str, tuple[list[str], Durables]] = {
    "planner": ([], {"NEXUS_INBOX": ("planner-commands",), "NEXUS_EVENTS": ("planner-plan",)}),
    "resource_manager": (
        [
            "$JS.API.CONSUMER.CREATE.NEXUS_AGENTS.>",
            "$JS.API.CONSUMER.*.NEXUS_AGENTS.*",
            "$JS.API.CONSUMER.MSG.NEXT.NEXUS_AGENTS.*",
        ],
        {"NEXUS_INBOX": ("resource_manager-commands",), "NEXUS_EVENTS": ("resource_manager-requests",)},
    ),
    "coordinator": (
        ["nexus.tasks.*", "nexus.timers.coordinator.*"],
        {
            "NEXUS_INBOX": ("coordinator-commands", "coordinator-signals"),
            "NEXUS_RESULTS": ("coordinator-results",),
            "NEXUS_EVENTS": ("coordinator-capacity", "coordinator-plans"),
            "NEXUS_TIMERS": ("coordinator-due",),
            "NEXUS_AGENTS": ("coordinator-beats",),
        },
    ),
    "metrics": ([], {"NEXUS_INBOX": ("metrics-commands",)}),
}
HEARS = {"resource_manager": ["nexus.agents.*.*"]}
READS = [
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.DIRECT.GET.NEXUS_EVENTS",
    "$JS.API.DIRECT.GET.NEXUS_EVENTS.>",
    "$JS.API.DIRECT.GET.NEXUS_OUTCOMES.>",
    # Following the log makes a consumer that acknowledges nothing and is gone with its reader.
    "$JS.API.CONSUMER.CREATE.NEXUS_EVENTS.*",
    "$JS.API.CONSUMER.MSG.NEXT.NEXUS_EVENTS.*",
    "$JS.API.CONSUMER.DELETE.NEXUS_EVENTS.*",
]
SNAPSHOTS = "$JS.API.DIRECT.GET.NEXUS_SNAPSHOTS.nexus.snapshots"
ARTIFACTS = ["$O.artifacts.>", "$JS.API.DIRECT.GET.OBJ_artifacts.>", "$JS.API.STREAM.MSG.GET.OBJ_artifacts"]
ARTIFACTS += [f"$JS.API.CONSUMER.{verb}.OBJ_artifacts.>" for verb in ("CREATE", "DELETE", "INFO")]
ARTIFACTS += ["$JS.API.CONSUMER.CREATE.OBJ_artifacts", "$JS.API.STREAM.PURGE.OBJ_artifacts", "$JS.FC.>"]
GATEWAY = [
    *READS,
    *ARTIFACTS,
    "nexus.commands.>",
    "nexus.signals.*.*",
    "nexus.results.*.*",  # only to send a dead letter again
    f"{SNAPSHOTS}.>",
    "$JS.API.STREAM.MSG.*.NEXUS_DEAD",
    "$JS.API.DIRECT.GET.NEXUS_DEAD",
    "$JS.API.DIRECT.GET.NEXUS_AGENTS",
    "$JS.API.DIRECT.GET.NEXUS_DEAD.>",
    "$JS.API.DIRECT.GET.NEXUS_AGENTS.>",
    "$JS.API.CONSUMER.*.NEXUS_DEAD.>",
    "$JS.API.CONSUMER.*.NEXUS_AGENTS.>",
    "$JS.API.CONSUMER.MSG.NEXT.*.*",
    "$JS.ACK.NEXUS_DEAD.>",
    "$JS.ACK.NEXUS_AGENTS.>",
]
AGENTS = [
    *READS,
    *ARTIFACTS,
    "nexus.results.*.*",
    "nexus.agents.*.*",
    "nexus.dead.nexus.tasks.*",
    "$JS.API.STREAM.PURGE.NEXUS_TASKS",
    "$JS.API.CONSUMER.*.NEXUS_TASKS.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.NEXUS_TASKS.*",
    "$JS.API.CONSUMER.MSG.NEXT.NEXUS_TASKS.*",
    "$JS.ACK.NEXUS_TASKS.>",
]


def service(name: str) -> list[str]:
    """Return the subjects that a service may publish to."""
    extra, durables = SERVICES[name]
    own = [f"nexus.events.{name}.>", f"nexus.snapshots.{name}.>", f"{SNAPSHOTS}.{name}.>"]
    told = ["nexus.outcomes.*", "nexus.dead.>", *(f"$JS.API.STREAM.CREATE.{stream}" for stream in MEMORY)]
    return [
        *own,
        *extra,
        *told,
        *READS,
        *(s for stream, names in durables.items() for d in names for s in durable(stream, d)),
    ]


def durable(stream: str, name: str) -> list[str]:
    """Return what it takes to use one durable consumer."""
    return [
        f"$JS.API.CONSUMER.INFO.{stream}.{name}",
        f"$JS.API.CONSUMER.CREATE.{stream}.{name}",
        f"$JS.API.CONSUMER.CREATE.{stream}.{name}.>",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}",
        f"$JS.ACK.{stream}.{name}.>",
    ]


def user(name: str, publish: list[str], subscribe: list[str]) -> str:
    """Return one entry of the list of users; replies reach nobody but whom they are for."""
    allowed = "\n".join(f'          "{subject}"' for subject in dict.fromkeys(publish))
    heard = ", ".join(f'"{subject}"' for subject in [f"_INBOX.{name}.>", *subscribe])
    return f"""    {{
      user: {name}
      password: $NEXUS_{name.upper()}_PASSWORD
      permissions {{
        publish {{ allow: [
{allowed}
        ] }}
        subscribe {{ allow: [{heard}] }}
      }}
    }}"""


def conf() -> str:
    """Return the whole configuration."""
    users = [user(name, service(name), HEARS.get(name, [])) for name in SERVICES]
    users.append(user("gateway", GATEWAY, ["nexus.outcomes.*", "nexus.agents.*.*"]))
    users.append(user("agents", AGENTS, []))
    entries = "\n".join(users)
    return f"""# Written by `python deploy/permissions.py`; edit the table there.
# Passwords come from the environment: NEXUS_SETUP_PASSWORD, NEXUS_PLANNER_PASSWORD, …

listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
max_payload: 1MB

jetstream {{
  store_dir: "/data"
  # Acknowledged means synced: a power cut loses nothing. `1s` is faster, and may lose that second.
  sync_interval: always
}}

authorization {{
  users: [
    # Makes the streams once (`nexus setup`), and can do everything: for operators only.
    {{ user: setup, password: $NEXUS_SETUP_PASSWORD }}
{entries}
  ]
}}
"""


if __name__ == "__main__":
    CONF.write_text(conf(), encoding="utf-8")
