"""The agent kit: everything that is needed to write an agent in Python.

```python
from nexus.agent import Agent, Job, run

agent = Agent("database", slots=4)

@agent.task("database")
async def design(job: Job) -> dict[str, object]:
    await job.progress(0.5, "tables are done")
    return {"tables": 12}

run(agent)
```
"""

from nexus.agent.agent import Agent, Handler
from nexus.agent.artifacts import ArtifactMissing
from nexus.agent.host import AgentHost, run, run_agents
from nexus.agent.job import Job, TaskFailed

__all__ = ["Agent", "AgentHost", "ArtifactMissing", "Handler", "Job", "TaskFailed", "run", "run_agents"]
