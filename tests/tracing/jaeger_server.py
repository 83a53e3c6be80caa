"""A real Jaeger for the tracing tests: built once through the Go module proxy, then started on free loopback ports."""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx
import pytest

MODULE = Path(__file__).parent / "jaeger"
PACKAGE = "github.com/jaegertracing/jaeger"
AGENT_PROTOCOLS = ("jaeger-binary", "jaeger-compact", "zipkin-compact")
STARTING = 30.0


class Jaeger(NamedTuple):
    """The base addresses of a running Jaeger; an exporter that is given its address whole wants `{otlp}/v1/traces`."""

    otlp: str
    query: str


def build_jaeger() -> Path:
    """Return the all-in-one program, built into the user's cache the first time (80 CPU seconds, 36 MB)."""
    binary = _cache() / f"jaeger-{_version()}" / "all-in-one"
    if binary.exists():
        return binary
    go = _go()
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (binary.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes side by side build it once
        if not binary.exists():
            _compile(go, binary)
    return binary


@contextmanager
def jaeger() -> Iterator[Jaeger]:
    """Run a Jaeger that keeps its traces in memory, and stop it."""
    binary = build_jaeger()
    otlp, query, admin, *others = _free_addresses(5)
    # Its own environment: any variable may be an option to Jaeger, and by default it would trace its own queries too.
    environment = {"SPAN_STORAGE_TYPE": "memory", "JAEGER_DISABLED": "true"}
    with tempfile.TemporaryFile("w+") as log:
        command = [str(binary), *_options(otlp, query, admin, others)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(process, admin, log)
            yield Jaeger(f"http://{otlp}", f"http://{query}")
        finally:
            _stop(process)


def spans_of(query: str, trace_id: str) -> list[dict[str, Any]]:
    """Return the spans of a trace as Jaeger's query API tells them; none while it knows no such trace."""
    answer = httpx.get(f"{query}/api/traces/{trace_id}", trust_env=False)
    if answer.status_code == 404:
        return []
    traces: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return [span for trace in traces for span in trace["spans"]]


def wait_for_spans(
    query: str, trace_id: str, enough: Callable[[list[dict[str, Any]]], bool] = bool, *, within: float = 10.0
) -> list[dict[str, Any]]:
    """Return the spans of a trace once there are enough of them: Jaeger stores what it receives a moment later."""
    deadline = time.monotonic() + within
    while not enough(spans := spans_of(query, trace_id)):
        assert time.monotonic() < deadline, f"trace {trace_id} has only {sorted(s['operationName'] for s in spans)}"
        time.sleep(0.05)

    return spans


def _version() -> str:
    required = re.search(rf"{re.escape(PACKAGE)} v(\S+)", (MODULE / "go.mod").read_text())
    assert required, "go.mod names no version of Jaeger"
    return required[1]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nexus"


def _go() -> str:
    go = shutil.which("go")
    if go is None and os.environ.get("CI") == "true":
        pytest.fail("CI needs a Go toolchain on PATH: the tracing tests build Jaeger")
    return go or pytest.skip("no Go toolchain on PATH to build Jaeger with")


def _compile(go: str, binary: Path) -> None:
    partial = binary.with_suffix(".partial")
    command = [
        go,
        "build",
        "-mod=readonly",
        "-trimpath",
        "-ldflags=-s -w",
        "-o",
        str(partial),
        f"{PACKAGE}/cmd/all-in-one",
    ]
    pure = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    built = subprocess.run(command, cwd=MODULE, env=pure, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        pytest.fail(f"Jaeger could not be built:\n{built.stderr[-4000:]}")
    partial.replace(binary)


def _options(otlp: str, query: str, admin: str, others: list[str]) -> list[str]:
    collector_grpc, query_grpc = others  # the program itself connects to these two, so they can't be "any port"
    addresses = {
        "admin.http": admin,
        "collector.otlp.http": otlp,
        "query.http-server": query,
        "collector.grpc-server": collector_grpc,
        "query.grpc-server": query_grpc,
    }
    unused = ["collector.otlp.grpc", "collector.http-server", "http-server"]
    options = [f"--{name}.host-port={address}" for name, address in addresses.items()]
    options += [f"--{name}.host-port=127.0.0.1:0" for name in unused]
    options += [f"--processor.{kind}.server-host-port=127.0.0.1:0" for kind in AGENT_PROTOCOLS]
    return ["--collector.otlp.enabled=true", "--log-level=warn", *options]


def _free_addresses(count: int) -> list[str]:
    with ExitStack() as held:  # all at once, or the same port might be given twice
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def _wait_until_ready(process: subprocess.Popen[bytes], admin: str, log: IO[str]) -> None:
    deadline = time.monotonic() + STARTING
    while not _ready(admin):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            pytest.fail(f"Jaeger did not start:\n{log.read()[-4000:]}")
        time.sleep(0.05)


def _ready(admin: str) -> bool:
    try:
        return httpx.get(f"http://{admin}/", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
