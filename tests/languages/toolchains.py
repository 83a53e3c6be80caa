"""The programs of other languages, built or installed once into the user's cache; nothing is written beside them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
INSTALL = ("install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier")


def go_program() -> list[str]:
    """Return what starts the program in Go (first time: 25 CPU seconds, 7 MB)."""
    source = HERE / "go"
    folder = _cache() / f"go-{_digest(*sorted(source.iterdir()))}"
    binary = folder / "program"
    go = _tool("go")
    with _alone(folder):
        if not binary.exists():
            _build(go, source, binary)
    return [str(binary)]


def javascript_program() -> list[str]:
    """Return what starts the program in JavaScript (first time: 1 s, 2 MB)."""
    source, needs = HERE / "javascript" / "agent.mjs", HERE / "javascript" / "package.json"
    folder = _cache() / f"javascript-{_digest(needs)}"
    node, npm = _tool("node"), _tool("npm")
    with _alone(folder):
        if not (folder / "node_modules").exists():
            _install(npm, needs, folder)
        copy = folder / f"agent-{_digest(source)}.mjs"  # node looks for modules beside the program
        if not copy.exists():
            shutil.copyfile(source, copy)
    return [node, str(copy)]


def _build(go: str, source: Path, binary: Path) -> None:
    partial = binary.with_suffix(".partial")
    pure = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", str(partial), "."]
    built = subprocess.run(command, cwd=source, env=pure, capture_output=True, text=True, check=False)
    if "requires go >=" in built.stderr or "invalid go version" in built.stderr:
        _without(f"this Go toolchain is too old: {built.stderr.strip()}")
    if built.returncode != 0:
        pytest.fail(f"the program in Go could not be built:\n{built.stderr[-4000:]}")
    partial.replace(binary)


def _install(npm: str, needs: Path, folder: Path) -> None:
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    shutil.copyfile(needs, partial / needs.name)
    done = subprocess.run([npm, *INSTALL], cwd=partial, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"what the program in JavaScript needs could not be installed:\n{done.stderr[-4000:]}")
    (partial / "node_modules").replace(folder / "node_modules")


def _tool(name: str) -> str:
    return shutil.which(name) or _without(f"no {name} on PATH")


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs the toolchains of all languages: {reason}")
    pytest.skip(reason)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nexus" / "languages"


def _digest(*files: Path) -> str:
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder, so that test processes side by side fill it once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
