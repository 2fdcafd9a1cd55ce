"""Chooses the node for each operation, and another one while that is harmless. Pure: a session carries for it.

The callback core of every client: an operation is one small object, no task and no future. A key's operation goes to
one of its owners, which saves a hop (`spread`): in turn, and a put to the same one each time, or the next while that is
not well, since the clock of an object has an entry for each node that coordinated a write of it. A one-shot client does
not compute owners and stays with the first node that answers, since the nodes forward.

Whatever was sent and may have happened is never sent again (`cluster/wire/caller.py`). One beat, every 20 ms while
anything waits, ends what is overdue and watches nodes that have gone quiet (`cluster/wire/silence.py`): they are
probed, new operations prefer others, and reads are hedged (Dean and Barroso, "The Tail at Scale", 2013). A node that
stays silent while another answers is given up: reads go elsewhere, writes end as `maybe`. When a connection that ended
is dialled again, `link.py` says.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING
from zlib import crc32

from cluster.client.dispatch import Dispatch, StreamDispatch, ignore, nobody
from cluster.client.link import DIAL_AGAIN_S, NodeLink
from cluster.client.operation import check_name
from cluster.errors import ClusterError, DeadlinePassed, NotFound, Overloaded, Unreachable
from cluster.layout.partition import PARTITIONS, partition_of
from cluster.wire.admin import AdminQuery
from cluster.wire.caller import Caller, client_party
from cluster.wire.handshake import NONCE_BYTES, ROLE_CLIENT, role_key
from cluster.wire.kv import Get, Put, Update
from cluster.wire.silence import BEAT_LATE_S
from cluster.wire.topics import Message

if TYPE_CHECKING:
    from cluster.client.carrier import Carrier, Receiver
    from cluster.client.locate import Address, Location
    from cluster.env import Timer
    from cluster.layout.entry import LayoutEntry
    from cluster.wire.caller import Done, Outcome
    from cluster.wire.frames import Body

BEAT_S = 0.02
"""Deadlines are exact to this."""
REST_BEAT_S = 0.25
"""The beat while nothing waits but the probe of a silent node."""
LOOK_AGAIN_S = 0.001
"""After a stall of its own the client reads its sockets before it blames a node."""
KV_S = 1.0
"""What a node gives a read or a write (`write_timeout_s`), so no client waits for one longer."""
KV_BODIES = (Put, Get, Update)
DIAL_S = 1.0
"""How long one node may take to connect and prove itself; on one machine only a stalled one takes longer."""
SLOW_S = 0.2
"""A dial that another side ended after so long is made again while its operations have time: nodes give an unproven
connection 250 ms for its next word. What is refused sooner has a reason that stays."""
HEDGE_S = 0.1
"""Beside a node that is being dialled for so long the next is dialled too. Nothing but handshakes is sent twice."""
PROBE = AdminQuery("ping")
PROBES = 2
"""How many other nodes are asked whether it is one node that is silent, or this side that hears nothing."""


class Router:
    """All nodes of one cluster, for one session. Not for use after `close`, from another thread, or across a fork."""

    def __init__(
        self, carrier: Carrier, location: Location, via: str | None = None, *, spread: bool = True, turn: int = 0
    ) -> None:
        """`via`: what goes to any node goes to this one. Raises NotFound for an unknown one. `turn`: where to begin."""
        self.cluster = location.name
        self.layout = 0
        self.closed = False
        self.receivers: dict[int, Receiver] = {}
        """By the number of the subscription."""
        self.numbers = count(1)
        """Of subscriptions: each registration has its own, so that a node that was given up cannot deliver twice."""
        self.repeatable_calls: dict[tuple[str, str], None] = {}
        """Operations of services whose answers said so: such a call may be repeated."""
        self.on_change: Callable[[], object] = lambda: None
        """Called when a connection has come or gone."""
        self.on_bug: Callable[[Exception], object] | None = None
        self._carrier = carrier
        self.now = carrier.now
        self._spread = spread
        self._turn = turn
        self._key = role_key(location.secret, ROLE_CLIENT)
        self._me = client_party(location.name, carrier.random_bytes(8).hex(), carrier.boot_id())
        self._operations = count(1)
        self._prefix = b64encode(carrier.random_bytes(9), b"._").decode("ascii")
        self._nodes: dict[str, NodeLink] = {}
        self._all: Sequence[NodeLink] = ()
        self._owners: Sequence[Sequence[NodeLink]] = ()
        self._homeless: list[Dispatch] = []
        self._hedging: Timer | None = None
        self._beating: Timer | None = None
        self._resting = False
        self._beat_at = 0.0
        if check_name(via, "`via`") is not None and via not in location.nodes:
            raise NotFound(
                f"cluster {location.name!r} has no node called {via!r}", help="`dsectl members` lists the nodes."
            )
        self.use(location.nodes, location.entry, via)

    def use(self, nodes: dict[str, Address], entry: LayoutEntry | None, via: str | None = None) -> None:
        """Talk to these nodes from now on, routed by `entry` when it is known."""
        gone = [node for name, node in self._nodes.items() if nodes.get(name) != node.address]
        for node in gone:
            del self._nodes[node.name]
        for name, address in nodes.items():
            if name not in self._nodes:
                self._nodes[name] = NodeLink(name, address)
        self._all = [self._nodes[name] for name in nodes if via is None or name == via]
        self.layout = 0 if entry is None else entry.number
        self._owners = ()
        if entry is not None and via is None and self._spread:
            from cluster.layout.placement import placement  # a one-shot client does without

            owners = placement(entry).owners
            self._owners = [[self._nodes[name] for name in owners(number)] for number in range(PARTITIONS)]
        for node in gone:  # last, so that what was under way there finds the others
            node.drop()

    @property
    def nodes(self) -> list[str]:
        """The names of all nodes, in the layout's order."""
        return list(self._nodes)

    @property
    def ready(self) -> bool:
        """Whether any node can be talked to."""
        return any(node.caller is not None and node.caller.ready for node in self._all)

    @property
    def refused(self) -> ClusterError | None:
        """Why no node can be had; None while one can, or is being dialled."""
        if any(node.caller is not None for node in self._all):
            return None
        return nobody(self.cluster, {node.name: node.error for node in self._all})

    def start(self) -> None:
        """Dial all nodes."""
        for node in self._all:
            self._dial(node)

    def close(self) -> None:
        """End everything: calls end as lost, subscriptions as finished."""
        self.closed = True
        for timer in (self._beating, self._hedging):
            if timer is not None:
                timer.cancel()
        for receiver in list(self.receivers.values()):
            receiver.end()
        for node in self._nodes.values():
            node.drop()
        homeless, self._homeless = self._homeless, []
        for operation in homeless:
            operation.finish(Unreachable("the client was closed"))

    def operation_id(self) -> str:
        """The same in every retry of one logical write, different for any two writes of any two clients: 72 random bits
        name the client, a counter the write. Short, since every copy of the value has it."""
        return f"{self._prefix}{next(self._operations):x}"

    # -- operations

    def stream(
        self, body: Body, deadline: float, done: Done, take: Callable[[bytes], object], node: str | None = None
    ) -> StreamDispatch:
        """As `call`, of a body whose reply goes to `take` in parts; whoever reads them gives `credit`."""
        operation = StreamDispatch(self, body, deadline, done, None, node, "", take)
        self.send(operation)
        return operation

    def call(
        self, body: Body, deadline: float, done: Done, key: str | None = None, node: str | None = None, trace: str = ""
    ) -> Dispatch:
        """Send `body` to an owner of `key`, to any node, or to `node` only. `trace`: a W3C traceparent to go with it.

        `done` is called once, with the reply or the error, never before this returns. `deadline` is a time of the
        carrier's clock. Raises NotFound for an unknown `node`, Usage and TooLarge for what cannot be sent.
        """
        operation = Dispatch(self, body, deadline, done, key, node, trace)
        if node is None:
            if self._spread:
                nodes = self._owners[partition_of(key)] if key is not None and self._owners else self._all
                if type(body) is Put:
                    place = crc32(body.key.encode())  # see `_candidates`
                else:
                    place = self._turn = self._turn + 1
                caller = nodes[place % len(nodes)].caller
                if caller is not None and caller.good and self._start(operation, caller, self.now()):
                    return operation
        elif node not in self._nodes:
            raise NotFound(
                f"cluster {self.cluster!r} has no node called {node!r}", help="`dsectl members` lists the nodes."
            )
        self.send(operation)
        return operation

    def oneway(self, body: Body) -> bool:
        """Send a body that wants no answer to a node that is ready. False when there is none, or its queue is full."""
        if self._spread:
            self._turn += 1
        first = self._all[self._turn % len(self._all)]
        if first.caller is not None and first.caller.good:  # as nearly always
            return first.caller.oneway(body)
        good = (node.caller for node in self._all if node.caller is not None and node.caller.good)
        caller = next(good, None)
        return caller is not None and caller.oneway(body)

    def send(self, operation: Dispatch) -> None:
        """Send an operation to the best node that it has not tried; let it wait for one that is being dialled; or end
        it."""
        now = self.now()
        if now >= operation.deadline or self.closed:
            self._fail(operation)
            return
        tried: Container[str] = operation.tried or ()
        if operation.node is not None:
            node = None if operation.node in tried else self._nodes.get(operation.node)
            if node is not None and node.caller is None:
                node.dialled_at = float("-inf")  # who wants this very node has no other to wait for
            caller = None if node is None else self._dial(node)  # while it is made, the operation waits there
            if caller is None or not self._start(operation, caller, now):
                self._fail(operation)
            return
        left = [node for node in self._candidates(operation) if node.name not in tried]
        for node in left:
            if node.caller is not None and node.caller.good and self._start(operation, node.caller, now):
                return
        if self._dial_first(operation, left):
            self._homeless.append(operation)
            self._keep_beating()
            return
        for node in left:  # rather a quiet one than none
            if node.caller is not None and self._start(operation, node.caller, now):
                return
        self._fail(operation)

    def _fail(self, operation: Dispatch) -> None:
        self._carrier.call_later(0.0, partial(operation.finish, nobody(self.cluster, operation.tried or {})))

    def _start(self, operation: Dispatch, caller: Caller, now: float) -> bool:
        """Send it over this connection. False when that refuses."""
        body = operation.body
        if type(body) in KV_BODIES and operation.deadline > now + KV_S:
            operation.deadline = now + KV_S
        try:
            operation.id = caller.call(
                body, operation.deadline, operation, now, self.layout, operation.trace, operation.on_part
            )
        except (Unreachable, Overloaded) as error:
            operation.failed_at(caller.name, error)
            return False
        operation.caller = caller
        if self._beating is None or self._resting:
            self._keep_beating()
        return True

    def _candidates(self, operation: Dispatch) -> list[NodeLink]:
        """The nodes that may do it, the best first; those that are not good come in order, too."""
        if not self._spread:
            return list(self._all)
        key = operation.key
        owners = self._owners[partition_of(key)] if key is not None and self._owners else ()
        nodes = list(self._in_turn())
        if key is not None and owners and type(operation.body) is Put:
            place = crc32(key.encode()) % len(owners)
            nodes = [*owners[place:], *owners[:place], *(node for node in nodes if node not in owners)]
        return sorted(nodes, key=lambda node: node not in owners) if owners else nodes

    def _in_turn(self) -> Iterator[NodeLink]:
        if self._spread:
            self._turn += 1
        size = len(self._all)
        return (self._all[(self._turn + step) % size] for step in range(size))

    def best_node(self, tried: Container[str] = ()) -> str | None:
        """The node to prefer for something that stays there, such as a subscription."""
        left = [node for node in self._in_turn() if node.name not in tried]
        ranked = sorted(left, key=lambda node: (node.caller is None, node.caller is not None and not node.caller.good))
        return ranked[0].name if ranked else None

    def look_at(self, name: str) -> None:
        """Somebody waits for what a node sends on its own: see whether it still says anything."""
        node = self._nodes.get(name)
        if node is not None and node.caller is not None and not node.caller.pending and not self.closed:
            self._probe(node, self.now())
            self._keep_beating()

    # -- connections

    def _dial(self, node: NodeLink) -> Caller | None:
        """The connection; a new one when there is none. None when the last attempt has only just failed."""
        if node.caller is not None or self.closed:
            return node.caller
        now = self.now()
        if now - node.dialled_at <= DIAL_AGAIN_S:
            return None
        node.dialled_at = now
        node.stop_timer()
        node.caller = caller = Caller(node.name, self._key, self._me, self._carrier.random_bytes(NONCE_BYTES))

        def ready() -> None:
            node.failures = 0
            node.stop_timer()
            self._place_homeless()
            self.on_change()

        caller.on_ready = ready
        caller.on_end = partial(self._on_end, node, caller)
        caller.on_push = self._on_push
        if self.on_bug is not None:
            caller.on_bug = self.on_bug
        node.timer = self._carrier.call_later(DIAL_S, partial(caller.end, Unreachable(f"{node.name}: silent")))
        node.stream = self._carrier.dial(node.address, caller)
        return caller

    def _dial_first(self, operation: Dispatch, left: list[NodeLink]) -> bool:
        """Whether one of `left` is being dialled, for an operation that has no node; begins with the first of them."""
        if any(node.caller is not None and not node.caller.ready for node in left):
            return True
        for node in left:
            if node.caller is None:
                if self._dial(node) is not None:
                    if self._hedging is None:
                        self._hedging = self._carrier.call_later(HEDGE_S, self._dial_next)
                    return True
                operation.failed_at(node.name, node.error)
        return False

    def _dial_next(self) -> None:
        """The nodes that are being dialled keep silent: dial one more, while operations wait."""
        self._hedging = None
        if self._homeless and self._dial_another():
            self._hedging = self._carrier.call_later(HEDGE_S, self._dial_next)

    def _dial_another(self) -> bool:
        """Dial one more node, if there is one. False when there is none."""
        return any(node.caller is None and self._dial(node) is not None for node in self._all)

    def _on_end(self, node: NodeLink, caller: Caller) -> None:
        assert caller.error is not None
        node.ended(caller.error)
        if not self.closed and self._nodes.get(node.name) is node:
            if self._spread and node in self._all:
                jitter = int.from_bytes(self._carrier.random_bytes(2), "big") / 65536
                node.timer = self._carrier.call_later(node.backoff_s(jitter), partial(self._dial, node))
            dialled_s = self.now() - node.dialled_at
            if not caller.was_ready and SLOW_S <= dialled_s < DIAL_S:
                caller.again = True  # the node gave up a handshake that took too long
            if not caller.again:
                for operation in self._homeless:
                    operation.failed_at(node.name, caller.error)
            self._place_homeless()
        self.on_change()

    def _place_homeless(self) -> None:
        homeless, self._homeless = self._homeless, []
        for operation in homeless:
            if operation.done is not ignore:
                self.send(operation)

    def _on_push(self, body: Body) -> None:
        if isinstance(body, Message):
            receiver = self.receivers.get(body.subscription)
            if receiver is not None:
                receiver.receive(body)

    # -- time

    def _keep_beating(self) -> None:
        if self._beating is not None:
            if not self._resting:
                return
            self._beating.cancel()
        self._resting, self._beat_at = False, self.now()
        self._beating = self._carrier.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        """End what is overdue, and probe the nodes that are quiet."""
        self._beating = None
        now = self.now()
        elapsed, self._beat_at = now - self._beat_at, now
        if elapsed > BEAT_LATE_S and not self._resting:
            self._beating = self._carrier.call_later(LOOK_AGAIN_S, self._beat)
            return
        waiting = probing = False
        for node in list(self._nodes.values()):
            caller = node.caller
            if caller is None or not caller.pending:
                continue
            caller.sweep(now)
            caller.beat(elapsed)
            if caller.ready and caller.silence.quiet:
                self._probe(node, now)
                waits = [one for done, _, _ in list(caller.pending.values()) if (one := Dispatch.behind(done))]
                if waits or caller.on_silent:
                    self._look_after(node, caller, waits, now)
            waiting = waiting or len(caller.pending) > (node.probing and not caller.on_silent)
            probing = probing or node.probing
        for operation in [one for one in self._homeless if one.deadline <= now]:
            self._homeless.remove(operation)
            dialled = [node for node in self._all if node.caller is not None and not node.caller.ready]
            for node in dialled:
                operation.failed_at(node.name, Unreachable(f"{node.name}: silent"))
            self._fail(operation)
        if (waiting or probing or self._homeless) and self._beating is None and not self.closed:
            self._resting = not waiting and not self._homeless
            self._beating = self._carrier.call_later(REST_BEAT_S if self._resting else BEAT_S, self._beat)

    def _look_after(self, node: NodeLink, caller: Caller, waits: list[Dispatch], now: float) -> None:
        """A node is quiet: no byte has come although it should answer to operations that do not insist on it."""
        others = [other for other in self._all if other is not node and other.caller is not None and other.caller.ready]
        since = now - caller.silence.quiet_s
        if caller.silence.silent and any(other.caller.heard_at > since for other in others if other.caller is not None):
            for operation in waits:
                caller.give_up(
                    operation.id if operation.caller is caller else operation.hedge[1] if operation.hedge else 0
                )
            for function in list(caller.on_silent):
                function()
            return
        for operation in waits:
            if operation.caller is caller and operation.may_hedge(caller.silence.quiet_s):
                self._hedge(operation, caller, now)
        good = [other for other in others if other.caller is not None and other.caller.good]
        if not good:
            self._dial_another()
        for other in good[:PROBES]:
            self._probe(other, now)

    def _hedge(self, operation: Dispatch, first: Caller, now: float) -> None:
        """Ask another node, too; whoever answers first is taken."""
        tried: Container[str] = operation.tried or ()
        for node in self._candidates(operation):
            caller = node.caller
            if caller is not None and caller.good and caller is not first and node.name not in tried:
                try:
                    id = caller.call(
                        operation.body, operation.deadline, operation.on_hedge, now, self.layout, operation.trace
                    )
                except (Unreachable, Overloaded):
                    continue
                operation.hedge, operation.hedged = (caller, id), True
                return

    def _probe(self, node: NodeLink, now: float) -> None:
        """Ask for a byte, unless one is asked for."""
        caller = node.caller
        if caller is None or node.probing:
            return

        def probed(outcome: Outcome) -> None:
            if node.caller is caller:
                node.probing = False
                if caller.silence.quiet and isinstance(outcome, DeadlinePassed):
                    self._probe(node, self.now())  # so that its return is noticed

        try:
            caller.call(PROBE, now + KV_S, probed, now)
        except (Unreachable, Overloaded):
            return
        node.probing = True
