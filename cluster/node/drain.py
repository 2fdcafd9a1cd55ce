"""Draining: this node gets nothing new and finishes what it has, so that stopping it fails nobody.

It turns away both of its faces. Its endpoints: it announces that it drains, so that routers pass it over. Its entry
role: it pushes `Draining` to its clients, which send new operations to other nodes. Neither is refused here: what still
arrives, from whoever has not learned of it yet, is carried out. Both send `Draining` back behind what they have sent
before, on the same connection: once it is here from all of them, nothing is on its way any more, however slow the way
is. `drain` is on the disk and outlives a restart until `undrain`; the drain that `restart` begins with ends with the
process.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from cluster.env import Env
from cluster.errors import DeadlinePassed
from cluster.ports import Inbound, Recorder
from cluster.wire.admin import AdminAnswer, Draining

FILE = "drained"
"""It is there while the node is to drain."""
POLL_S = 0.01
QUIET_S = 0.1
"""Drained is a node at which nothing was in flight for so long: clients of its gateways have had time to learn of it,
and what they sent before has arrived."""
NOTED_S = 1.0
"""Who has not sent `Draining` back by then is not waited for: a blocking client reads when it is next used, and before
it sends; a connection may be broken and not know it."""
MARGIN_S = 0.05
"""So long before its deadline a wait ends, so that the reason why still arrives."""


class Drain:
    """One node's. `announce(draining, done)` announces it, and calls `done` when all live members have it; `push` sends
    to all clients; `in_flight` counts what this node has to finish; `senders` are the live members, by name, and the
    connections of clients."""

    def __init__(
        self,
        env: Env,
        record: Recorder,
        announce: Callable[[bool, Callable[[int], None]], None],
        push: Callable[[Draining], None],
        in_flight: Sequence[Callable[[], int]],
        senders: Callable[[], Iterable[object]],
    ) -> None:
        self.draining = False
        self._env = env
        self._record = record
        self._announce = announce
        self._push = push
        self._in_flight = in_flight
        self._senders = senders
        self._known = False  # to all live members
        self._began_at = 0.0
        self._noted: dict[object, None] = {}

    def start(self) -> None:
        """Go on draining, when an earlier boot was told to."""
        if FILE in self._env.disk.names(""):
            self._begin("since before its restart, until `undrain`")

    def drain(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """Begin, durably with `keep`, and answer when nothing is in flight any more, or with DeadlinePassed."""
        if arguments.get("keep"):
            self._env.disk.write(FILE, b"")
        if not self.draining:
            self._begin("until `undrain`" if arguments.get("keep") else "it is about to be restarted")
        self._look(inbound, self._env.clock.now())

    def undrain(self, arguments: dict[str, Any]) -> Any:
        """End it. Whether there was one."""
        was, self.draining = self.draining, False
        self._env.disk.remove(FILE)
        if was:
            self._record("node.undrained", "it takes requests again")
            self._announce(False, lambda nodes: None)
            self._push(Draining(False))
        return {"undrained": was}

    def leave(self) -> None:
        """This node is no member any more: nothing new is for it."""
        if not self.draining:
            self._begin("it has left the cluster")

    def welcome(self, push: Callable[[Struct], object]) -> None:
        """A client connected: it should know."""
        if self.draining:
            push(Draining(True))

    def noted(self, inbound: Inbound) -> None:
        """A sender has learned of it: it sends nothing more on its own that another node could do."""
        sender: object = inbound.sender or inbound.link
        self._noted[sender] = None

    def _begin(self, until: str) -> None:
        self.draining, self._known = True, False
        self._began_at = self._env.clock.now()
        self._noted.clear()
        self._record("node.draining", f"it takes no new requests: {until}")

        def announced(nodes: int) -> None:
            self._known = True

        self._announce(True, announced)
        self._push(Draining(True))

    def _look(self, inbound: Inbound, quiet_since: float) -> None:
        clock = self._env.clock
        now, left = clock.now(), sum(count() for count in self._in_flight)
        if left or not self._known or not self._is_noted(now):
            quiet_since = now
        if not self.draining or now - quiet_since >= QUIET_S:
            inbound.reply(AdminAnswer({"draining": self.draining, "in_flight": left}))
        elif now >= inbound.deadline - MARGIN_S:
            inbound.fail(DeadlinePassed(f"{left} operations are still in flight" if left else "not drained in time"))
        elif not inbound.link.ended:
            clock.call_later(POLL_S, self._look, inbound, quiet_since)

    def _is_noted(self, now: float) -> bool:
        return now - self._began_at >= NOTED_S or all(sender in self._noted for sender in self._senders())
