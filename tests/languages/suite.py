"""What a program of any language has to show, whether as client, as agent, or as both."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from nexus.embedded import System
from nexus.history import Entry
from tests.languages.program import Line, Program, running
from tests.languages.witness import Witness, facts

LONG = 4.0
"""Seconds of a task that is withdrawn halfway."""


async def does_it_all(command: Sequence[str], system: System, witness: Witness, agent: str, language: str) -> None:
    """It creates a project, does its tasks, sends the signals that it waits for, and follows it to its end."""
    async with running(command, system) as program:
        await program.end()

    began, story = await story_of(program, witness)
    is_told_truly(story, program)
    is_one_trace(story, began["traceparent"])
    is_asked_for_once(story, began["command"])
    heard_both_signals(story, f"example/{agent}")
    is_done_by(story, witness, agent, language, f"hello from {language}")
    await said_how_it_went(witness, agent)


async def drops_what_it_has_and_what_is_withdrawn(command: Sequence[str], system: System, witness: Witness) -> None:
    """As an agent it begins an assignment once, gives it up when it is withdrawn, and says no more about it."""
    async with running(command, system, "agent") as program:
        await witness.beat(lambda kind, _: kind == "hello")
        long = {"id": "long", "capability": "writing", "input": {"text": "never", "seconds": LONG}}
        project = (await witness.client.create_project(title="Long", tasks=[long])).result["project"]
        attempt = f"{project}.long.1"
        assert await program.line("taken") == {"taken": attempt}
        taken = monotonic()

        await witness.tell_again()
        assert await program.line("dropped") == {"dropped": attempt}
        assert (await witness.beat(lambda _, beat: beat.running)).running[0].task == "long"

        await witness.client.cancel(project, "enough")
        assert await program.line("withdrawn") == {"withdrawn": attempt}
        await asyncio.sleep(taken + LONG + 0.3 - monotonic())  # by now it would be done
        await program.stop()

    last = await witness.beat(lambda kind, _: kind == "bye")
    assert (last.running, witness.results) == ((), [])
    assert [line for line in program.lines if "taken" in line] == [{"taken": attempt}]
    assert (await witness.story(project))[-1].name in ("execution_cancelled", "lease_released")


async def story_of(program: Program, witness: Witness) -> tuple[Line, list[Entry]]:
    """Return what the program said of its project at first, and what the log says about it."""
    began = await program.line("project")
    return began, await witness.story(began["project"])


def is_told_truly(story: list[Entry], program: Program) -> None:
    """The program printed each event up to the end of the execution, as the log has it."""
    told = [line for line in program.lines if "event" in line]
    assert told == [as_line(entry) for entry in story[: len(told)]]
    assert told[-1]["event"] == "nexus.coordinator.execution_completed"


def as_line(entry: Entry) -> Line:
    """Return what a program prints about an event."""
    line = {"sequence": entry.sequence, "event": entry.envelope["type"], "data": entry.data}
    return line | {"traceparent": entry.traceparent}


def is_one_trace(story: list[Entry], traceparent: str) -> None:
    """Every event of the project belongs to the trace in which it was asked for."""
    trace = traceparent.split("-")[1]
    elsewhere = {entry.name: entry.traceparent for entry in story if trace not in str(entry.traceparent)}
    assert elsewhere == {}


def is_asked_for_once(story: list[Entry], command: str) -> None:
    """The project knows the command that it came from."""
    assert [entry.envelope.get("idempotencykey") for entry in story if entry.name == "project_created"] == [command]


def heard_both_signals(story: list[Entry], source: str) -> None:
    """A signal in plain JSON and one in an envelope were received, each when something waited for it."""
    plain, enveloped = facts(story, "signal_received")
    assert (plain["name"], plain["source"], plain.get("payload", {})) == ("words_found", "anonymous", {})
    assert (enveloped["name"], enveloped["source"], enveloped["payload"]) == ("approved", source, {"by": "a reader"})


def is_done_by(story: list[Entry], witness: Witness, agent: str, language: str, text: str) -> None:
    """One agent did both tasks, each once, and the second one knew what came of the first."""
    settled = [result for fact in facts(story, "tasks_settled") for result in fact["results"]]
    assert [(s["task"], s["status"], s["agent"]) for s in settled] == [
        ("draft", "done", agent),
        ("print", "done", agent),
    ]
    assert [s["output"] for s in settled] == [{"text": text, "by": language}] * 2
    assert [(result.agent, result.status) for result in witness.results] == [(agent, "done")] * 2


async def said_how_it_went(witness: Witness, agent: str) -> None:
    """The agent said hello first and bye last, and in between how far it was."""
    await witness.beat(lambda kind, _: kind == "bye")
    kinds = [kind for kind, _ in witness.beats]
    assert (kinds[0], kinds[-1], kinds.count("hello"), kinds.count("bye")) == ("hello", "bye", 1, 1)
    assert {beat.agent for _, beat in witness.beats} == {agent}
    halfway = {(r.task, r.progress) for _, beat in witness.beats for r in beat.running}
    assert {("draft", 0.5), ("print", 0.5)} <= halfway
