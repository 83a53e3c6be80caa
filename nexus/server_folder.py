"""The folder of an embedded nats-server: its lock, its credentials, its address. One server at a time owns it."""

import asyncio
import fcntl
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from shared.settings import Settings

PATIENCE = 3.0  # seconds for a server whose owner was killed to leave


class FolderForbidden(RuntimeError):
    """The data folder cannot be made or written."""


class FolderInUse(RuntimeError):
    """Another server runs on this data folder."""


@dataclass(frozen=True)
class Access:
    """What a program must know to use a running server."""

    url: str
    user: str
    password: str
    pid: int
    version: str

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def authority(self) -> str:
        """The address with the credentials inside, for programs that take nothing else."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=f"{self.user}:{self.password}@{parts.netloc}"))

    def applied(self, settings: Settings) -> Settings:
        """Return the settings, naming this server."""
        password = SecretStr(self.password)
        return settings.model_copy(update={"nats_url": self.url, "nats_user": self.user, "nats_password": password})

    def environment(self) -> dict[str, str]:
        """Return the variables that name this server to a child process."""
        return {"NEXUS_NATS_URL": self.url, "NEXUS_NATS_USER": self.user, "NEXUS_NATS_PASSWORD": self.password}


class Folder:
    """A data folder, and what is kept in it beside the log."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.config, self.log = self.path / "nats.conf", self.path / "nats.log"
        self._lock, self._credentials = self.path / "lock", self.path / "credentials.json"
        self._runtime = self.path / "runtime.json"

    async def claim(self) -> int:
        """Make the folder and lock it; return the lock's descriptor, which the server inherits and so keeps."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FolderForbidden(f"the data folder {self.path} cannot be used: {error.strerror}") from error
        try:
            await self._wait_for(lock)
        except BaseException:
            os.close(lock)
            raise
        return lock

    async def _wait_for(self, lock: int) -> None:
        until = time.monotonic() + PATIENCE
        while not _locked(lock, fcntl.LOCK_EX):
            if time.monotonic() > until:
                access = self.access()
                who = f"process {access.pid}, at {access.url}" if access else "it has not told its address"
                raise FolderInUse(f"another nats-server runs on {self.path} ({who})")
            await asyncio.sleep(0.02)

    def busy(self) -> bool:
        """Return whether a server runs on this folder."""
        try:
            lock = os.open(self._lock, os.O_RDONLY)
        except OSError:
            return False
        try:
            return not _locked(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    def credentials(self) -> tuple[str, str]:
        """Return user and password; they are made once and only this user can read them."""
        if not self._credentials.exists():
            self.write(self._credentials, json.dumps({"user": "nexus", "password": secrets.token_urlsafe(24)}))
        kept = json.loads(self._credentials.read_text())
        return kept["user"], kept["password"]

    def access(self) -> Access | None:
        """Return how to reach the server that runs here, or ran here last."""
        try:
            return Access(**json.loads(self._runtime.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def last_port(self) -> int:
        """Return the port of the server that ran here last, so that its clients find it again; 0 if there was none."""
        last = self.access()
        return last.port if last else 0

    def forget(self) -> None:
        """Tell nobody of the server that ran here last."""
        self._runtime.unlink(missing_ok=True)

    def announce(self, access: Access) -> None:
        """Let other programs of this user find the server."""
        self.write(self._runtime, json.dumps(asdict(access)))

    def write(self, path: Path, text: str) -> None:
        """Replace a file as a whole, readable by this user only."""
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running(data: Path) -> Access | None:
    """Return how to reach the embedded server that runs on this folder now, if one does."""
    folder = Folder(data)
    return folder.access() if folder.busy() else None
