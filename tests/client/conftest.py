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
