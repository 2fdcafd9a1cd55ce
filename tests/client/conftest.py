"""Fake nodes that end with the test."""

from collections.abc import Callable, Iterator

import pytest

from tests.client.fake_node import FakeNode

StartNode = Callable[..., FakeNode]


@pytest.fixture
def start_node() -> Iterator[StartNode]:
    """Starts a FakeNode with the arguments given."""
    running: list[FakeNode] = []

    def start(*arguments: object, **options: object) -> FakeNode:
        node = FakeNode(*arguments, **options)  # type: ignore[arg-type]
        running.append(node)
        return node

    yield start
    for node in running:
        node.stop()


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Every asynchronous test runs on both loops."""
    return "asyncio", {"use_uvloop": request.param}
