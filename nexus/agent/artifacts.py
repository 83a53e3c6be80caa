"""What is too large to travel in a message: artifacts lie in the object store, outputs also in the log."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.js.errors import BucketNotFoundError, NotFoundError
from nats.js.object_store import ObjectStore
from pydantic_core import from_json

from contracts.work import Fields
from shared.eventlog import EventLog

BUCKET = "artifacts"
JSON = "application/json"
OMITTED = {"omitted"}
PATIENCE = 60.0  # seconds for one artifact; a reader whose server went away would wait for ever
Reference = Mapping[str, Any]
"""`{"dataref": "artifacts/<name>", "size": …, "digest": "SHA-256=…"}`: may stand in an output as it is."""


class ArtifactMissing(LookupError):
    """A reference leads nowhere: the artifact was deleted, or never was."""


def is_whole_output(value: Mapping[str, Any]) -> bool:
    """Tell whether `value` stands for an output that was too large to travel, rather than naming a file in it."""
    return "dataref" in value and value.get("datacontenttype") == JSON


def is_left_out(value: Mapping[str, Any]) -> bool:
    """Tell whether `value` stands for an output that was left to be read from the log."""
    return value.keys() == OMITTED


class Artifacts:
    """The object store, as agents and clients use it."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._bucket: ObjectStore | None = None

    async def put(self, name: str, content: bytes | str | Path) -> dict[str, Any]:
        """Keep `content` (bytes, text, or the file at a path) under `name`; return the reference to it."""
        store = await self._store()
        if isinstance(content, Path):
            with await asyncio.to_thread(content.open, "rb") as file:
                info = await store.put(name, file)
        else:
            info = await store.put(name, content)
        return {"dataref": f"{BUCKET}/{name}", "size": info.size, "digest": info.digest}

    async def put_output(self, name: str, output: bytes) -> dict[str, Any]:
        """Keep a whole output, encoded as JSON; return what travels in its place."""
        return {**await self.put(name, output), "datacontenttype": JSON}

    async def get(self, reference: Reference | str) -> bytes:
        """Return what a reference stands for."""
        dataref = reference if isinstance(reference, str) else str(reference["dataref"])
        bucket, _, name = dataref.partition("/")
        if bucket != BUCKET or not name:
            raise ArtifactMissing(f"{dataref!r} is no reference: it must read {BUCKET}/<name>")
        try:
            async with asyncio.timeout(PATIENCE):
                found = await (await self._store()).get(name)
        except NotFoundError as error:
            raise ArtifactMissing(f"there is no artifact {dataref!r}") from error
        return found.data or b""

    async def output_in_log(self, project: str, task: str) -> Fields:
        """Return what a task gave, as the coordinator stated it."""
        settled = [f"nexus.events.coordinator.{project}.tasks_settled"]
        output: Fields | None = None
        async for portion in EventLog(self._nc, "agent").replay(settled):
            for logged in portion:
                for result in from_json(logged.state)["data"]["results"]:
                    if result["task"] == task and result["status"] == "done":
                        output = result.get("output", {})
        if output is None:
            raise ArtifactMissing(f"the log knows no output of task {task} of project {project}")
        return output

    async def _store(self) -> ObjectStore:
        if self._bucket is None:
            try:
                self._bucket = await self._nc.jetstream().object_store(BUCKET)
            except BucketNotFoundError as error:
                raise ArtifactMissing(f"the object store {BUCKET!r} does not exist: is Nexus running there?") from error
        return self._bucket
