"""What a node did, for whoever looks later: rings of events and of steps, oldest forgotten first.

An event records a decision (membership, layout, lease, epoch, repair, shed, fault) with its cause and local evidence,
never a single operation (those leave `Steps`, when they ask for it), so recording may cost microseconds. Ids are
`NODE-EPOCH-COUNTER`: a node's boot epoch never repeats, so an id never does, and `event_order` sorts those of one node
by when they were recorded, whatever its wall clock did meanwhile. Nothing here is durable: a node that died keeps its
events in its log file only.
"""

import re
from collections import deque
from collections.abc import Callable
from itertools import islice
from math import isnan
from typing import Any

from msgspec import Struct

from cluster.env import Clock
from cluster.errors import Usage
from cluster.observe.rfc3339 import format_time, parse_time
from cluster.ports import Recorder
from cluster.wire.frames import trace_id

FLOOD_FIRST = 5
FLOOD_INTERVAL_S = 10.0
STEPS_MAX = 4096

RESERVED = ("id", "at", "node", "kind", "cause")
_ID = re.compile(r"(.+)-(\d+)-(\d{6,})", re.ASCII)


class Event(Struct, frozen=True):
    """One decision. `at` is RFC 3339 in UTC; `kind` is dotted, as in `membership.suspect`; `fields` is the evidence, of
    JSON values. The field `key` is what `since(key=…)` looks at."""

    id: str
    at: str
    node: str
    kind: str
    cause: str
    fields: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """One flat object, as JSON shows it."""
        return {"id": self.id, "at": self.at, "node": self.node, "kind": self.kind, "cause": self.cause, **self.fields}


def event_order(id: str) -> tuple[str, int, int]:
    """Sorts the ids of one node by time: (node, boot epoch, counter). Raises Usage."""
    found = _ID.fullmatch(id)
    if found is None:
        raise Usage(f"invalid start {id!r}: expected the id of an event, or a time")
    return found[1], int(found[2]), int(found[3])


class Events:
    """The ring of one node in one boot. `on_event` is called with each new event, in the order of registration."""

    def __init__(self, clock: Clock, node: str, epoch: int, size_max: int) -> None:
        assert size_max > 0
        self.node = node
        self.epoch = epoch
        self.on_event: list[Callable[[Event], None]] = []
        self.count = 0
        self._clock = clock
        self._ring: deque[Event] = deque(maxlen=size_max)

    @property
    def forgotten(self) -> int:
        """How many the ring no longer holds."""
        return self.count - len(self._ring)

    def record(self, kind: str, cause: str, **fields: Any) -> Event:
        """Keep a decision and tell the listeners. A listener may register or end listeners, itself too."""
        assert kind and not any(name in fields for name in RESERVED), (kind, fields)
        self.count += 1
        id = f"{self.node}-{self.epoch}-{self.count:06}"
        event = Event(id, format_time(self._clock.wall()), self.node, kind, cause, fields)
        self._ring.append(event)
        for listener in tuple(self.on_event):
            listener(event)
        return event

    def since(
        self,
        start: str | float | None = None,
        kind: str | None = None,
        key: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The events that match, oldest first.

        `start` is an event's id (those after it), an RFC 3339 text or Unix seconds (those not before it). `kind` is a
        prefix. With a start, `limit` takes the first ones, so that the last id continues the reading; else the last.
        Raises Usage, also for the id of another node, whose order means nothing here.
        """
        is_after = self._after(start)
        found = (
            event
            for event in (self._ring if start is not None else reversed(self._ring))
            if (kind is None or event.kind.startswith(kind))
            and (key is None or event.fields.get("key") == key)
            and is_after(event)
        )
        chosen = [event.to_dict() for event in islice(found, None if limit is None else max(0, limit))]
        return chosen if start is not None else chosen[::-1]

    def newest(self, seen: int, limit: int) -> list[dict[str, Any]]:
        """What was recorded after the first `seen` events of this boot, at most the last `limit`, oldest first. Costs
        what it returns, however many the ring holds."""
        fresh = min(self.count - seen, limit, len(self._ring))
        return [event.to_dict() for event in islice(reversed(self._ring), max(0, fresh))][::-1]

    def _after(self, start: str | float | None) -> Callable[[Event], bool]:
        if start is None:
            return lambda event: True
        if isinstance(start, str) and _ID.fullmatch(start):
            last = event_order(start)
            if last[0] != self.node:
                raise Usage(f"{start} is an event of {last[0]}, not of {self.node}: give the time it shows instead")
            return lambda event: event_order(event.id) > last
        if isinstance(start, float) and isnan(start):
            raise Usage("invalid start nan: expected the id of an event, or a time")
        earliest = format_time(parse_time(start) if isinstance(start, str) else start)
        return lambda event: event.at >= earliest


class LimitedRecorder:
    """A `ports.Recorder` before another one, which a flood cannot fill: the first of a kind are recorded, the rest of
    an interval are counted. Who connects and is refused decides how often that happens, not this node; its events and
    its log must stay readable."""

    def __init__(self, clock: Clock, record: Recorder) -> None:
        self._clock = clock
        self._record = record
        self._counts: dict[str, int] = {}  # by kind, in this interval
        self._armed = False

    def __call__(self, kind: str, cause: str, **fields: Any) -> object:
        """One more event of the kind."""
        self._counts[kind] = count = self._counts.get(kind, 0) + 1
        if not self._armed:
            self._armed = True

            def end_interval() -> None:
                counts, self._counts, self._armed = self._counts, {}, False
                for kind, count in counts.items():
                    if (more := count - FLOOD_FIRST) > 0:
                        self._record(kind, f"{more} more in {FLOOD_INTERVAL_S:.0f} s", count=more)

            self._clock.call_later(FLOOD_INTERVAL_S, end_interval)
        return self._record(kind, cause, **fields) if count <= FLOOD_FIRST else None


class Steps:
    """What single operations did here, for those that asked to be explained.

    Such an operation carries a W3C traceparent through every node that has a part in it, and each keeps its own steps;
    whoever explains it collects them. All others carry nothing and leave nothing. Steps are of this boot.
    """

    def __init__(self, clock: Clock, node: str) -> None:
        self._clock = clock
        self._node = node
        self._ring: deque[tuple[str, dict[str, Any]]] = deque(maxlen=STEPS_MAX)

    def add(self, trace: str, what: str, **fields: Any) -> None:
        """Keep one step of the operation with this traceparent. `fields` are JSON values."""
        id = trace_id(trace)
        if id:
            at = self._clock.wall()
            step = {"at": format_time(at), "unix_s": round(at, 6), "node": self._node, "step": what, **fields}
            self._ring.append((id, step))

    def of(self, id: str) -> list[dict[str, Any]]:
        """The steps of a trace, oldest first."""
        return [step for trace, step in self._ring if trace == id]
