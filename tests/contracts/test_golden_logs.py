"""Logs that earlier versions wrote are folded by today's code to the states of that time."""

from pathlib import Path

import pytest

from tests.contracts.golden import FOLDER, read, states

LOGS = sorted(FOLDER.glob("*.jsonl"))


def test_there_is_a_golden_log() -> None:
    assert LOGS


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_golden_log_folds_to_what_it_was(path: Path) -> None:
    expected, log = read(path)

    assert states(log) == expected


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_golden_log_is_long_enough_to_mean_something(path: Path) -> None:
    _, log = read(path)

    assert len({event.topic for event in log}) >= 15
