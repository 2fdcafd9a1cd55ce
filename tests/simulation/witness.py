"""Sees what nodes do, over all of a run: when each write was begun, which dots were given, what was decided.

It stands between `Coordinator` and `Writer`, where a write has its dot and nothing is sent yet, and where events are
recorded, since those of a node die with it.
"""

import inspect
from collections import Counter
from typing import Any

import pytest

from cluster.errors import Overloaded
from cluster.faults import FaultBook
from cluster.observe.events import Events
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.writer import Writer
from cluster.simulation import World
from cluster.versions import Versions, decode


class Witness:
    """What was begun, by operation id. One at a time; `install` puts it in its place for the rest of a test."""

    present: "Witness | None" = None

    def __init__(self, world: World) -> None:
        self.world = world
        self.executed: dict[str, float] = {}
        self.dots: dict[tuple[str, str, int], str] = {}
        self.situations: Counter[str] = Counter()
        Witness.present = self

    def saw(self, key: str, versions: Versions) -> None:
        """A coordinator is about to write this object."""
        for sibling in versions.siblings:
            self.executed.setdefault(sibling.operation, self.world.now)
            operation = self.dots.setdefault((key, *sibling.dot), sibling.operation)
            assert operation == sibling.operation, f"{key}: the dot {sibling.dot} was given twice"

    def decided(self, kind: str, cause: str, fields: dict[str, Any]) -> None:
        """A node has recorded an event."""
        self.situations[kind] += 1
        if kind == "owner.catching-up":
            reason = "stall" if "did not run" in cause else "boot" if "booted" in cause else "refutation"
            self.situations[f"catching up after a {reason}"] += 1
        elif kind == "storage.recovered" and fields.get("torn_bytes"):
            self.situations["torn tail"] += 1


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the present witness see every write."""
    write = Writer.write
    signature = inspect.signature(write)

    def seen(self: Writer, *args: Any, **options: Any) -> None:
        bound = signature.bind(self, *args, **options).arguments
        if Witness.present is not None and bound["table"] == TABLE_KV:
            Witness.present.saw(bound["key"], decode(bound["blob"]))
        write(self, *args, **options)

    monkeypatch.setattr(Writer, "write", seen)
    record, hides, overloaded = Events.record, FaultBook.hides, Overloaded.__init__

    def recorded(self: Events, kind: str, cause: str, **fields: Any) -> Any:
        if Witness.present is not None:
            Witness.present.decided(kind, cause, fields)
        return record(self, kind, cause, **fields)

    def hidden(self: FaultBook, peer: str) -> bool:
        found = hides(self, peer)
        if found and Witness.present is not None:
            Witness.present.situations["hidden end of a stream"] += 1
        return found

    def refused(self: Overloaded, *args: Any, **fields: Any) -> None:
        if Witness.present is not None:
            Witness.present.situations["overload"] += 1
        overloaded(self, *args, **fields)

    monkeypatch.setattr(Events, "record", recorded)
    monkeypatch.setattr(FaultBook, "hides", hidden)
    monkeypatch.setattr(Overloaded, "__init__", refused)
