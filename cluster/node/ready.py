"""`ready`: this node holds, for each node that it is asked for, all that it announced in its present boot.

States and facts travel apart: a node can be alive for its peers before they hold its services, and a request straight
behind a restart would find no responders. So `ready` is a barrier over what is held. Each answer says which versions
this node holds of every live member, its own among them; who started nodes asks both sides, compares what each says of
itself with what the others hold of it, and asks those that are behind again, with what they must hold. That is free of
races whatever the order, and costs a node one answer whatever the size of the cluster.

What gossip has not brought soon is fetched by push-pull.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cluster.env import Clock
from cluster.errors import DeadlinePassed
from cluster.ports import Inbound
from cluster.wire.admin import AdminAnswer, read_arguments

if TYPE_CHECKING:
    from cluster.node.node import Node

POLL_S = 0.01
POLL_NODES = 20
"""In a larger cluster polls and fetches are rarer: each costs more there, and all nodes share one machine."""
FETCH_S = 0.25
"""Gossip brings nearly everything within this; what it misses is fetched, one push-pull each time it passes."""
MARGIN_S = 0.05
"""So long before its deadline a wait ends, so that the reason why still arrives."""
NAMED_MAX = 5

Held = Sequence[Any]
"""(boot epoch, {kind: version}): what a node announced, or what another holds of that."""


def holds(held: Held | None, wanted: Held | None) -> bool:
    """Whether what is held of a member is all that is wanted of it; None for `wanted` is anything of its boot."""
    if held is None or not held[1]:
        return False
    if wanted is None or held[0] > wanted[0]:
        return True  # it has booted again: what was wanted is void
    versions: Mapping[str, int] = held[1]
    return bool(held[0] == wanted[0]) and all(versions.get(kind, 0) >= one for kind, one in wanted[1].items())


class ReadyQuery(Struct):
    """What to wait for: the announcements of these nodes (each with what it announced, or None for anything of its
    boot; None for all nodes of the layout), and a layout of this number."""

    holds: dict[str, tuple[int, dict[str, int]] | None] | None = None
    layout: int = 1


class Ready:
    """Answers `ready`, once it is so or the asker's time is over."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self._fetched_at: float | None = None

    def answer(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """Reply when it is so. Raises Usage."""
        node, query = self.node, read_arguments(arguments, ReadyQuery)
        wanted: Mapping[str, Held | None] = query.holds or {}
        if query.holds is None:
            wanted = dict.fromkeys(node.view.members)
        if self._fetched_at is None:
            self._fetched_at = node.env.clock.now()
        _ReadyWait(self, node.env.clock, wanted, query.layout, inbound).look()

    def fetch(self, missing: list[str], every_s: float) -> None:
        """Fetch from one of these, unless that was done lately, by this or an earlier question."""
        now, node = self.node.env.clock.now(), self.node
        if self._fetched_at is None or now - self._fetched_at >= every_s:
            self._fetched_at = now
            node.membership.fetch(node.env.random.choice(missing))


class _ReadyWait:
    """One `ready` under way."""

    def __init__(
        self, ready: Ready, clock: Clock, wanted: Mapping[str, Held | None], layout: int, inbound: Inbound
    ) -> None:
        self._ready = ready
        self._node = ready.node
        self._clock = clock
        self._wanted = wanted
        self._layout = layout
        self._inbound = inbound
        scale = max(1.0, len(wanted) / POLL_NODES)
        self._poll_s, self._fetch_s = POLL_S * scale**1.5, FETCH_S * scale**1.5

    def look(self) -> None:
        """Answer, or look again a little later."""
        node, inbound = self._node, self._inbound
        held = node.membership.announced()
        missing = [name for name, wanted in self._wanted.items() if not holds(held.get(name), wanted)]
        if not missing and node.view.number >= self._layout:
            heard = node.membership.heard_in_this_boot()
            inbound.reply(
                AdminAnswer({"name": node.member.name, "layout": node.view.number, "heard": heard, "holds": held})
            )
        elif self._clock.now() >= inbound.deadline - MARGIN_S:
            reason = f"runs layout {node.view.number}, not {self._layout}"
            if missing:
                more = f" and {len(missing) - NAMED_MAX} more" if len(missing) > NAMED_MAX else ""
                reason = f"does not have the announcements of {', '.join(missing[:NAMED_MAX])}{more} yet"
            inbound.fail(DeadlinePassed(f"{node.member.name} {reason}"))
        elif not inbound.link.ended:
            if missing:
                self._ready.fetch(missing, self._fetch_s)
            self._clock.call_later(self._poll_s, self.look)
