"""Logs are one line each: JSON where no person reads along."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared import logs


@contextmanager
def untouched() -> Iterator[logging.Logger]:
    """The root logger without what the tests' own tool adds to it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


class Terminal(io.StringIO):
    """Where a person reads along."""

    def isatty(self) -> bool:
        return True


def test_a_line_of_json_says_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)

    with untouched():
        logs.setup("info")
        try:
            raise KeyError("gone")
        except KeyError:
            logging.getLogger("shared.inflow").exception("lost %s\nit", 3)

    [line] = out.getvalue().splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"]) == ("error", "shared.inflow", "lost 3\nit")
    assert "KeyError: 'gone'" in said["exception"]
    assert said["time"].endswith("+00:00")


def test_people_read_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)

    with untouched():
        logs.setup("info")
        logging.getLogger("shared.service").info("planner: started")
        logging.getLogger("nats.aio.client").info("chatter")

    assert out.getvalue().endswith("INFO    shared.service: planner: started\n")
    assert "chatter" not in out.getvalue()


def test_somebody_elses_choice_is_left_alone() -> None:
    theirs = logging.NullHandler()

    with untouched() as root:
        root.addHandler(theirs)
        logs.setup("debug")

        assert root.handlers == [theirs]
