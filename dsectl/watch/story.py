"""What was decided, told once: that five nodes hear of one death is one line, with who saw it first. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from dsectl.ui.units import unix_time

SAME_S = 3.0
"""Events of one kind about one subject so close together are one happening: gossip reaches everybody in less, and a
suspicion that comes back later is another."""
KEPT = 300
SUBJECTS = ("member", "target", "peer", "fault", "operation", "pattern", "key")
"""The fields that say what an event is about, the first that is there."""


@dataclass(frozen=True)
class Happening:
    """Events that tell of the same. `cause` is what the first node says. `subject` is the first of `subjects`, which
    are many for what befalls key after key."""

    at: str
    last: str
    kind: str
    subject: str
    nodes: tuple[str, ...]
    cause: str
    subjects: int = 1


class Story:
    """The last happenings, oldest first."""

    def __init__(self) -> None:
        self._told: deque[Happening] = deque(maxlen=KEPT)

    def add(self, events: Iterable[dict[str, Any]]) -> None:
        """Events of any nodes, in any order."""
        for event in sorted(events, key=lambda one: (one["at"], one["node"])):
            self._add(event)

    def _add(self, event: dict[str, Any]) -> None:
        kind, at, node = event["kind"], event["at"], event["node"]
        field = next((name for name in SUBJECTS if event.get(name)), "")
        about = str(event.get(field, ""))
        for index in range(len(self._told) - 1, -1, -1):
            one = self._told[index]
            if unix_time(at) - unix_time(one.last) > SAME_S:
                break
            if one.kind == kind and (one.subject == about or field == "key"):
                nodes = one.nodes if node in one.nodes else (*one.nodes, node)
                more = one.subjects + (one.subject != about)
                self._told[index] = replace(one, last=max(at, one.last), nodes=nodes, subjects=more)
                return
        self._told.append(Happening(at, at, kind, about, (node,), event["cause"]))

    def last(self, limit: int, node: str | None = None) -> list[Happening]:
        """The newest, oldest first; of one node those that it had a part in."""
        found = [one for one in self._told if node is None or node in one.nodes or one.subject == node]
        return found[-limit:] if limit > 0 else []
