"""The benchmark measures what it says, and measures nothing that failed. No test here looks at a clock."""

import json
from pathlib import Path

import pytest

from nexus.bench.limits import limit
from nexus.bench.measure import Failed, event_size, measure
from nexus.bench.replay import replay
from nexus.bench.run import bench
from nexus.bench.system import system
from nexus.bench.workloads import Workload, chains, fan, latency, layers

pytestmark = pytest.mark.system
SERVICES = ("planner", "resource_manager", "coordinator", "agents")


async def test_a_workload_runs_to_its_end_and_is_measured(tmp_path: Path) -> None:
    async with system(tmp_path / "data", "1s", SERVICES) as running:
        found = await measure(running, layers(2, 2, 3), "1s")
        raw = await limit(running.nc, 200, size=await event_size(running))

    assert (found.workload, found.tasks) == ("layers", 12)
    assert found.appends > 1
    assert set(found.memory) == {"nats-server", "driver", *SERVICES}
    assert raw.size > 100
    assert min(found.rate, raw.publish, raw.consume) > 0


async def test_a_workload_that_fails_is_no_measurement(tmp_path: Path) -> None:
    broken = [{"id": "a", "capability": "bench", "clocks": {"total": 0.0001}, "retry": {"attempts": 1}}]
    nobody = [{"id": "b", "capability": "database", "clocks": {"queue": 0.1}, "retry": {"attempts": 1}}]

    async with system(tmp_path / "data", "1s", SERVICES) as running:
        with pytest.raises(Failed, match="execution_failed"):
            await measure(running, Workload("broken", "", (broken, nobody)), "1s")


async def test_a_replay_folds_every_event_of_the_log(tmp_path: Path) -> None:
    found = await replay(tmp_path / "data", 1300)

    assert found.events == 1300
    assert found.aggregates == 100


def test_workloads_have_the_size_that_they_say() -> None:
    assert [workload.tasks for workload in (fan(), chains(), latency(), layers())] == [1001, 2000, 50, 1000]


def test_the_report_is_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench(["replay"], events=1300, to=tmp_path / "bench.json")

    assert "1,300 events of 100 aggregates" in capsys.readouterr().out
    assert json.loads((tmp_path / "bench.json").read_text())["replay"]["events"] == 1300


def test_an_unknown_workload_is_named() -> None:
    with pytest.raises(ValueError, match=r"'fans'; there are: fan, chains, latency, layers, replay"):
        bench(["fans"])
