"""Where the reference agents work: a folder per project; each task adds its files, undoing takes them away."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus.agent import Job, TaskFailed
from services.agents.brief import ProjectContext, Unsupported
from services.agents.rendering import UnsafePath, informed, render, write


class Workshop:
    """The output folder, and what one agent makes in there."""

    def __init__(self, output: Path, kinds: Iterable[str]) -> None:
        """`kinds`: artifacts that the agent makes; the first one where a task names none."""
        self.output, self.kinds = output, tuple(kinds)

    def folder(self, job: Job) -> Path:
        """Return the project's folder; it is made with the first file."""
        return self.output / job.project

    def artifact(self, job: Job) -> str:
        """Return what the task asks for."""
        kind = job.input.get("artifact") or self.kinds[0]
        if kind not in self.kinds:
            raise TaskFailed(
                f"task {job.task} asks for {kind!r}; here are made: {', '.join(self.kinds)}",
                code="unknown_artifact",
                retryable=False,
            )
        return str(kind)

    def make(self, job: Job) -> dict[str, Any]:
        """Render what the task asks for into the project's folder; return which files there are now."""
        kind, folder = self.artifact(job), self.folder(job)
        try:
            context = informed(ProjectContext.of(job.project, job.project_input), folder)
            files = render(kind, context)
            job.wait_for(job.progress(0.5, f"{len(files)} files"))
            written = write(folder, files)
        except (Unsupported, UnsafePath) as error:
            raise TaskFailed(str(error), code="unsupported", retryable=False) from error
        except PermissionError as error:
            raise TaskFailed(f"cannot write into {folder}: {error}", code="forbidden", retryable=False) from error
        return {"artifact": kind, "folder": str(folder), **listed(folder, written)}

    def unmake(self, job: Job) -> dict[str, Any]:
        """Delete the files that the task made; those that are gone already do not matter."""
        folder, output = self.folder(job).resolve(), job.wait_for(job.own_output())
        deleted = []
        for name in (str(file["path"]) for file in output.get("files", ())):
            path = (folder / name).resolve()
            if path.is_relative_to(folder) and path.is_file():
                path.unlink()
                deleted.append(name)
                _prune(path.parent, folder)
        return {"deleted": deleted}


def listed(folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    """Return files with their sizes, as an output tells of them."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    return {"files": [{"path": path, "bytes": size} for path, size in sizes.items()], "bytes": sum(sizes.values())}


def _prune(folder: Path, top: Path) -> None:
    """Remove folders that are empty now, the project's own last."""
    with suppress(OSError):  # not empty
        while folder.is_relative_to(top):
            folder.rmdir()
            folder = folder.parent
