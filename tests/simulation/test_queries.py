"""An admin query whose arguments are wrong is refused, and raises nothing in the node, at once or later."""

from math import inf, nan
from typing import Any

import pytest

from cluster.errors import NotFound, Usage
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import ACTIONS

WRONG: list[Any] = [None, True, nan, inf, "", "x", b"x", [], ["n1"], {}, {"a": 1}, {1: 2}, -1, 1 << 63]
ARGUMENTS = {
    "events": ("since", "kind", "key", "limit"),
    "vitals": ("epoch", "seen", "limit"),
    "ready": ("holds", "layout"),
    "explain": ("key",),
    "describe": ("service",),
    "adopt": ("entry",),
}


@pytest.mark.parametrize("what", ARGUMENTS)
def test_wrong_arguments_refuse_only_the_query(what: str) -> None:
    with Fleet.running(1, 3) as fleet:
        for name in ARGUMENTS[what]:
            results = [fleet.ask("n1", what, {name: value}, timeout=0.3) for value in WRONG]
            for result in results:
                fleet.wait(result)
            refused = [result.error for result in results if result.error is not None]
            assert refused and all(error.code != "internal" for error in refused), name
        assert fleet.wait(fleet.ask("n1", "status")).error is None


def test_the_queries_that_act_are_some(seed: int) -> None:
    """A name that no node has would be a read whose loss is called harmless."""
    with Fleet.running(seed, 3) as fleet:
        for what in sorted(ACTIONS):
            error = fleet.wait(fleet.ask("n1", what, {"name": 5})).error
            assert error is None or "unknown query" not in error.message, what


@pytest.mark.parametrize(
    "arguments", [{"limit": "x"}, {"since": nan}, {"kind": 5}, {"key": ["k"]}, {"limit": 1.5}, {"since": "yesterday"}]
)
def test_events_says_what_is_wrong(arguments: dict[str, Any]) -> None:
    with Fleet.running(1, 3) as fleet:
        assert isinstance(fleet.wait(fleet.ask("n1", "events", arguments)).error, Usage)


def test_an_unknown_query() -> None:
    with Fleet.running(1, 3) as fleet:
        assert isinstance(fleet.wait(fleet.ask("n1", "weather")).error, NotFound)
