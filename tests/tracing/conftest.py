"""What the tracing tests share: one Jaeger for all of them, each looks only at its own trace."""

from collections.abc import Iterator

import pytest

from tests.tracing.jaeger_server import Jaeger
from tests.tracing.jaeger_server import jaeger as running_jaeger


@pytest.fixture(scope="session")
def jaeger() -> Iterator[Jaeger]:
    with running_jaeger() as addresses:
        yield addresses
