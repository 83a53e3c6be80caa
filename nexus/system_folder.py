"""Which system runs on a data folder: one at a time, and other programs of this user can find it."""

import asyncio
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from nexus.server_folder import FolderForbidden, FolderInUse

PATIENCE = 15.0
"""Seconds for what a killed owner had started to leave."""

Mode = Literal["processes", "in_process"]


class SystemRunning(FolderInUse):
    """A system runs on this data folder already."""


@dataclass(frozen=True)
class Announcement:
    """What others must know about a running system."""

    pid: int
    """Of the program that started everything, and ends everything when it ends."""
    mode: Mode
    nats_url: str
    started_at: str = ""
    services: dict[str, str] = field(default_factory=dict)
    """Where each service listens; empty in_process."""
    pids: dict[str, int] = field(default_factory=dict)


class SystemFolder:
    """The part of a data folder that belongs to the system as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self._lock, self._told = self.path / "system.lock", self.path / "system.json"

    async def claim(self) -> int:
        """Lock the folder for one system; return the lock's descriptor, held as long as it is open somewhere."""
        lock = self._open()
        until = time.monotonic() + PATIENCE
        while not _locked(lock):
            told = self.announcement()
            if (told and alive(told.pid)) or time.monotonic() > until:
                os.close(lock)
                raise SystemRunning(self.who(told))
            await asyncio.sleep(0.05)  # the owner was killed, and what it had started is just leaving
        return lock

    def _open(self) -> int:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FolderForbidden(f"the data folder {self.path} cannot be used: {error.strerror}") from error

    def who(self, told: Announcement | None) -> str:
        """Return who runs here, in a sentence."""
        if told is None:
            return f"a Nexus system runs on {self.path} already; it has not said where yet, or is just stopping"
        return f"a Nexus system runs on {self.path} already: process {told.pid}, at {told.nats_url}"

    def busy(self) -> bool:
        """Return whether a system runs here."""
        try:
            lock = os.open(self._lock, os.O_RDWR)
        except OSError:
            return False
        try:
            return not _locked(lock)
        finally:
            os.close(lock)

    def announcement(self) -> Announcement | None:
        """Return what the system that runs here, or ran here last, said about itself."""
        try:
            return Announcement(**json.loads(self._told.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def announce(self, announcement: Announcement) -> None:
        """Let others find the system."""
        new = self._told.with_suffix(".new")
        new.write_text(json.dumps(asdict(announcement), indent=2), encoding="utf-8")
        new.replace(self._told)

    def forget(self) -> None:
        """Let nobody look for it any more."""
        self._told.unlink(missing_ok=True)


def running_system(data: Path) -> Announcement | None:
    """Return where the system is that runs on this folder now, if one does."""
    folder = SystemFolder(data)
    found = folder.announcement() if folder.busy() else None
    return found if found and alive(found.pid) else None


def alive(pid: int) -> bool:
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
