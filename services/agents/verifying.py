"""The tester's work: runs the tests of a produced project, in a process and an environment of their own."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import ClassVar
from xml.etree import ElementTree as ET

NEEDED = ("fastapi", "httpx", "pytest")
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
"""What the tests get of our environment; nothing of ours may decide whether they pass."""
OUTPUT_LIMIT = 64_000
"""Characters of output that are kept, from the end."""


class CannotTest(RuntimeError):
    """The tests can't be run here, which says nothing about the project."""


@dataclass(frozen=True)
class TestReport:
    """How the tests of a project went."""

    __test__: ClassVar[bool] = False  # or pytest takes the name for one of its own

    passed: int
    failed: int
    """Failures and errors; at least 1 when pytest could not finish."""
    output: str
    skipped: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Something was tested, and nothing failed."""
        return self.passed > 0 and self.failed == 0

    @property
    def summary(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped in {self.seconds:.1f} s"


def run_tests(folder: Path, timeout: float = 120.0) -> TestReport:
    """Run what lies in the project's `tests/`; waits, so call it in a thread."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise CannotTest(f"{sys.executable} lacks {', '.join(missing)}; `pip install {' '.join(missing)}` adds it")
    folder = folder.resolve()
    if not (folder / "tests").is_dir():
        raise CannotTest(f"{folder} has no folder tests/")
    with tempfile.TemporaryDirectory(prefix="nexus-tests-") as scratch:
        started, results = monotonic(), Path(scratch) / "results.xml"
        code, output = _run(_command(folder, results), folder, _environment(scratch), timeout)
        return _report(code, results, output, monotonic() - started)


def _command(folder: Path, results: Path) -> list[str]:
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={results}"]
    return [*pytest, f"--rootdir={folder}", f"--config-file={folder / 'pyproject.toml'}", "tests"]


def _environment(scratch: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {
        "HOME": scratch,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
    }


def _run(command: list[str], folder: Path, env: dict[str, str], timeout: float) -> tuple[int, str]:
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = f"{process.communicate()[0]}\nstopped: the tests took longer than {timeout:g} s"
        return process.returncode, output[-OUTPUT_LIMIT:]


def _report(code: int, results: Path, output: str, seconds: float) -> TestReport:
    counted = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    if results.exists():
        suites = ET.parse(results).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it a moment ago
        for suite in suites:
            counted = {name: number + int(suite.get(name, 0)) for name, number in counted.items()}
    failed = counted["failures"] + counted["errors"]
    return TestReport(
        passed=counted["tests"] - failed - counted["skipped"],
        failed=failed if failed or code == 0 else 1,
        output=output,
        skipped=counted["skipped"],
        seconds=seconds,
    )
