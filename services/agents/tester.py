"""The tester: writes the tests of what was required, and runs them."""

import re
from pathlib import Path
from typing import Any

from nexus.agent import Agent, Job, TaskFailed
from services.agents.verifying import CannotTest, TestReport, run_tests
from services.agents.workshop import Workshop

VERIFICATION = "verification"
KINDS = ("tests", VERIFICATION)
LONGEST = 120.0
"""Seconds that the tests of a project may take, unless the task says less."""
MARGIN = 0.9
"""Share of the task's own time after which the tests are stopped, so that there is time to say so."""
NAMED = 20


def tester(output: Path) -> Agent:
    """Return the agent; it works below `output`."""
    agent, workshop = Agent("tester", slots=2), Workshop(output, KINDS)

    @agent.task("testing")
    def test(job: Job) -> dict[str, Any]:
        return verify(job, workshop.folder(job)) if workshop.artifact(job) == VERIFICATION else workshop.make(job)

    agent.compensate("testing")(workshop.unmake)
    return agent


def verify(job: Job, folder: Path) -> dict[str, Any]:
    """Run the project's tests; fail the task, and so the project, if one fails."""
    job.wait_for(job.progress(0.1, "running the tests"))
    try:
        report = run_tests(folder, min(LONGEST, (job.run_seconds or LONGEST) * MARGIN))
    except CannotTest as error:
        raise TaskFailed(str(error), code="cannot_test", retryable=False) from error
    kept = job.wait_for(job.put_artifact("test-output.txt", report.output))
    if not report.ok:
        raise TaskFailed(_said(report), code="tests_failed", retryable=False)
    return {
        "artifact": VERIFICATION,
        "folder": str(folder),
        "passed": report.passed,
        "skipped": report.skipped,
        "seconds": round(report.seconds, 3),
        "log": kept,
    }


def failing(output: str) -> list[str]:
    """Return the names of the tests that failed, from what pytest printed."""
    return re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)


def _said(report: TestReport) -> str:
    names = failing(report.output)
    if not names:
        return f"{report.summary}; the end of the output:\n{report.output[-2000:]}"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{report.summary}: {', '.join(names[:NAMED])}{more}"
