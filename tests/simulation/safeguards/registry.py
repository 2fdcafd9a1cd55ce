"""The form of an entry, the way to collect all of them, and the list of what no seed can show.

A safeguard earns its place by a scenario that needs it: with it in place the scenario holds for all of its seeds, and
with it removed at least one of them turns red. Each file beside this one holds `SAFEGUARDS`, the entries of one area;
test_safeguards.py tries them all. A scenario is directed at its safeguard: a small fleet, few seconds of virtual time,
so that the whole list runs with every change.

What no seed turns red is deleted, or stands in `UNPROVEN` with the reason.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

SEEDS: Final = range(1, 4)
SEEDS_MAX: Final = 40
"""What needs more seeds than this to be found is not found by those that a change has time for."""

RED: Final = (AssertionError, TimeoutError)
"""What a scenario says when a promise is broken. Anything else is a mistake in the entry, and no proof."""


@dataclass(frozen=True)
class Safeguard:
    """One safeguard: what it promises to users, how to take it out, and the scenario that misses it then."""

    name: str
    """A noun for the mechanism, such as `hints are durable`; unique."""
    promise: str
    """The sentence of the rules that it serves, so that whoever removes it knows what breaks."""
    remove: Callable[[pytest.MonkeyPatch], None]
    """Patch the code as if the safeguard had never been written; nothing else may change."""
    scenario: Callable[[int], None]
    """A run of one seed that raises AssertionError or TimeoutError when the promise is broken."""
    seeds: range = SEEDS

    def __post_init__(self) -> None:
        assert 0 < len(self.seeds) <= SEEDS_MAX, f"{self.name}: {len(self.seeds)} seeds"


UNPROVEN: Final[dict[str, str]] = {
    "a partition rests before a cut, and nothing of it is under way": (
        "Either of the two alone keeps late copies of one node out of a cut, and what is settled is told by the stable "
        "clock; what both miss would take a coordinator that dies and boots within a second."
    ),
    "members are looked at twice, each in one boot": (
        "It is for a hint that arrives at one member between two answers and leaves it between two others: some "
        "milliseconds, which no scenario opens without taking a hand-off apart."
    ),
}
"""Safeguards that stay although no seed shows them: name -> why this simulation cannot."""


def areas() -> list[ModuleType]:
    """The modules of entries, by name."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    modules = [import_module(f"tests.simulation.safeguards.{name}") for name in names if not name.startswith("test_")]
    return [module for module in modules if hasattr(module, "SAFEGUARDS")]


def all_safeguards() -> list[tuple[str, Safeguard]]:
    """(area, entry), in a stable order."""
    return [(module.__name__.rpartition(".")[2], one) for module in areas() for one in module.SAFEGUARDS]


def first_red(scenario: Callable[[int], None], seeds: Iterable[int]) -> int | None:
    """The first seed whose run breaks a promise, or None."""
    for seed in seeds:
        try:
            scenario(seed)
        except RED:
            return seed
    return None
