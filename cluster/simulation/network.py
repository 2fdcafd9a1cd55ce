"""The network of a world: seeded delays, loss, duplication, reordering, partitions.

Every directed pair of nodes has a route. On datagrams all faults act. On streams a loss is a delay (a retransmission),
and a partition holds bytes and dials until it heals; what arrives is always a prefix of what was sent, in order.
Addresses are whatever the nodes bind; a node is found by who bound the address last, alive or not, so that a dial to a
dead process is refused by its machine and hangs across a partition. Bandwidth is not modelled.
"""

import errno
import os
import zlib
from collections.abc import Callable
from random import Random

from cluster.env import Address, LinkHandler
from cluster.env.real_network import DATAGRAMS_PER_PASS
from cluster.simulation.route import Quality, Route, Routes
from cluster.simulation.schedule import EventSchedule, SimulatedProcess
from cluster.simulation.stream import Sign, SimulatedLink, State

DATAGRAM_SIZE_MAX = 65_507  # bytes: what IPv4 and UDP leave of 65 535
RETRANSMIT_S = 0.2  # Linux's shortest retransmission timeout, doubled for each further loss
RETRANSMITS_MAX = 6
REORDER_DELAYS_MAX = 10  # a reordered datagram is late by up to so many usual delays
EPHEMERAL_PORT_FIRST = 49_152
EPHEMERAL_PORTS = 16_384


class SimulatedNetwork:
    """All routes, listeners, streams and datagram sockets of a world."""

    def __init__(
        self, schedule: EventSchedule, random: Random, quality: Quality, cut: float, closed_on_crash: float
    ) -> None:
        self.schedule = schedule
        self.random = random
        self._draw = random.random
        self._record = schedule.trace.record
        self.routes = Routes(quality)
        self._cut_probability = cut
        self._closed_on_crash = closed_on_crash
        self._owners: dict[Address, str] = {}
        self._listeners: dict[Address, SimulatedListener] = {}
        self._sockets: dict[Address, SimulatedDatagramSocket] = {}
        self._links: dict[SimulatedProcess, dict[SimulatedLink, None]] = {}
        self._up: dict[str, SimulatedProcess] = {}
        self._dark: dict[str, None] = {}  # machines without power
        self._held: dict[SimulatedLink, None] = {}
        self._hosts: dict[str, str] = {}
        self._dials = 0

    # Partitions.

    def heal(self) -> None:
        """Unblock every route; what was held back arrives a delay later."""
        self.routes.unblock()
        held, self._held = self._held, {}
        for link in held:
            when = self.schedule.now + self.stream_delay(link.route) + RETRANSMIT_S * self._draw()
            self.schedule.at(when, self.schedule.kernel, link.flush)

    def hold(self, link: SimulatedLink) -> None:
        """The link's queue has met a partition."""
        self._held[link] = None

    # Processes.

    def start(self, process: SimulatedProcess) -> None:
        """The node has a new process."""
        self._up[process.name] = process
        self._dark.pop(process.name, None)
        self._links[process] = {}

    def end(self, process: SimulatedProcess, sign: Sign | None) -> None:
        """The node's process is dead: its streams end with `sign` at the peers, or without a word and the machine's."""
        del self._up[process.name]
        if sign is None:
            self._dark[process.name] = None
        for listener in [one for one in self._listeners.values() if one.process is process]:
            listener.close()
        for bound in [one for one in self._sockets.values() if one.process is process]:
            bound.close()
        for link in self._links.pop(process):
            closed = sign is not None and self._closed_on_crash > 0 and self._draw() < self._closed_on_crash
            link.vanish(Sign.CLOSED if closed else sign)

    def is_up(self, name: str) -> bool:
        """Whether the node's machine answers for its addresses: it has power."""
        return name in self._up

    def _own(self, at: Address, process: SimulatedProcess) -> None:
        self._owners[at] = process.name
        self._hosts[process.name] = at[0]

    # Streams.

    def stream_delay(self, route: Route) -> float:
        """How long a chunk takes, lost and sent again included."""
        draw = self._draw
        delay = route.delay + route.jitter * draw()
        if route.loss:
            for attempt in range(RETRANSMITS_MAX):
                if draw() >= route.loss:
                    break
                delay += RETRANSMIT_S * 2**attempt
        return delay

    def note_write(self, route: Route, data: bytes) -> int:
        """Trace a write to a stream; returns where to cut it in two, 0 for nowhere."""
        size = len(data)
        self._record(("write", route.source, route.target, size, zlib.crc32(data)))
        if self._draw() >= self._cut_probability or size < 2:
            return 0
        return 1 + int(self._draw() * (size - 1))

    def dial(self, process: SimulatedProcess, to: Address, handler: LinkHandler, timeout: float) -> None:
        """Open a stream from a process."""
        local = self._hosts.get(process.name, to[0]), EPHEMERAL_PORT_FIRST + self._dials % EPHEMERAL_PORTS
        self._dials += 1
        route = self.routes.between(process.name, self._owners.get(to, ""))
        link = SimulatedLink(self, process, route, local, to, State.DIALLING)
        link.handler = handler
        link.timer = self.schedule.at(self.schedule.now + timeout, process, link.timed_out)
        self._links[process][link] = None
        self._record(("dial", process.name, to[0], to[1]))
        link.push(Sign.DIAL)

    def answer(self, dialled: SimulatedLink) -> None:
        """A dial arrived: the kernel accepts for the listener, even for a paused process, or refuses."""
        if dialled.state is not State.DIALLING or dialled.route.target in self._dark:
            return  # given up meanwhile, or nobody there to refuse: it times out
        listener = self._listeners.get(dialled.peer)
        process = listener.process if listener else self.schedule.kernel
        if not dialled.route.target and listener:  # it began to listen after the dial: only now is the way known
            dialled.route = self.routes.between(dialled.route.source, process.name)
            if dialled.route.blocked or dialled.route.back.blocked:
                return  # as if the dial had met the partition: it times out
        state = State.OPEN if listener else State.ENDED
        link = SimulatedLink(self, process, dialled.route.back, dialled.peer, dialled.local, state)
        link.other, dialled.other = dialled, link
        if listener:
            self._links[process][link] = None
            link.push(Sign.CONNECTED)
            self.schedule.deliver(process, link.accepted, listener.accept)
        else:
            link.push(Sign.REFUSED)

    def forget(self, link: SimulatedLink) -> None:
        """The link has ended."""
        self._links.get(link.process, {}).pop(link, None)

    def listen(
        self, process: SimulatedProcess, at: Address, accept: Callable[[Address], LinkHandler | None]
    ) -> "SimulatedListener":
        """Accept streams for a process."""
        claim(at, self._listeners)
        self._own(at, process)
        self._listeners[at] = SimulatedListener(self, process, at, accept)
        return self._listeners[at]

    def release_listener(self, at: Address) -> None:
        """The listener has closed."""
        del self._listeners[at]

    # Datagrams.

    def bind(
        self, process: SimulatedProcess, at: Address, receive: Callable[[bytes, Address], None]
    ) -> "SimulatedDatagramSocket":
        """Bind a datagram socket for a process."""
        claim(at, self._sockets)
        self._own(at, process)
        self._sockets[at] = SimulatedDatagramSocket(self, process, at, receive)
        return self._sockets[at]

    def release_socket(self, at: Address) -> None:
        """The socket has closed."""
        del self._sockets[at]

    def transmit(self, source: str, data: bytes, sender: Address, to: Address) -> None:
        """Send a datagram, or lose it."""
        target = self._owners.get(to)
        self._record(("datagram", source, target or "", len(data), zlib.crc32(data)))
        if target is None or len(data) > DATAGRAM_SIZE_MAX:
            return
        route = self.routes.between(source, target)
        draw = self._draw
        if route.blocked or (route.loss and draw() < route.loss):
            return
        self._fly(route, data, sender, to)
        if route.duplicate and draw() < route.duplicate:
            self._fly(route, data, sender, to)

    def _fly(self, route: Route, data: bytes, sender: Address, to: Address) -> None:
        schedule, draw = self.schedule, self._draw
        delay = route.delay + route.jitter * draw()
        if route.reorder and draw() < route.reorder:
            delay *= 1 + REORDER_DELAYS_MAX * draw()

        def arrived() -> None:
            bound = self._sockets.get(to)
            if bound is not None and not route.blocked:
                schedule.receive(bound.process, bound, (data, sender))

        schedule.at(schedule.now + delay, schedule.kernel, arrived)


class SimulatedListener:
    """A place that accepts streams."""

    __slots__ = ("_at", "_closed", "_network", "accept", "process")

    def __init__(
        self,
        network: SimulatedNetwork,
        process: SimulatedProcess,
        at: Address,
        accept: Callable[[Address], LinkHandler | None],
    ) -> None:
        self._network = network
        self._at = at
        self._closed = False
        self.process = process
        self.accept = accept

    def close(self) -> None:
        """Accept no more."""
        if not self._closed:
            self._closed = True
            self._network.release_listener(self._at)


class SimulatedDatagramSocket:
    """A bound datagram socket."""

    __slots__ = ("_at", "_closed", "_network", "_receive", "process")

    def __init__(
        self,
        network: SimulatedNetwork,
        process: SimulatedProcess,
        at: Address,
        receive: Callable[[bytes, Address], None],
    ) -> None:
        self._network = network
        self._at = at
        self._closed = False
        self._receive = receive
        self.process = process

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram; it may be lost."""
        if not self._closed:
            self._network.transmit(self.process.name, bytes(data), self._at, to)

    def take(self, item: tuple[bytes, Address]) -> None:
        """A datagram has come."""
        if not self._closed:
            self._receive(*item)

    def read(self, items: list[tuple[bytes, Address]]) -> int:
        """What one pass reads, as the real socket does."""
        for item in items[:DATAGRAMS_PER_PASS]:
            self.take(item)
        return min(len(items), DATAGRAMS_PER_PASS)

    def close(self) -> None:
        """Receive no more."""
        if not self._closed:
            self._closed = True
            self._network.release_socket(self._at)


class ProcessNetwork:
    """The network as one process sees it: the seam's `Network`. A dead process has none."""

    __slots__ = ("_network", "_process")

    def __init__(self, network: SimulatedNetwork, process: SimulatedProcess) -> None:
        self._network = network
        self._process = process

    def listen(
        self, at: Address, accept: Callable[[Address], LinkHandler | None], *, shared: bool = False
    ) -> SimulatedListener:
        """Accept streams at `at`. Raises OSError when the address is taken; machines have one process, so nothing is
        `shared`."""
        self._process.check_alive()
        return self._network.listen(self._process, at, accept)

    def dial(self, to: Address, handler: LinkHandler, timeout: float) -> None:
        """Open a stream; the outcome comes to the handler later."""
        self._process.check_alive()
        self._network.dial(self._process, to, handler, timeout)

    def datagrams(self, at: Address, receive: Callable[[bytes, Address], None]) -> SimulatedDatagramSocket:
        """Bind a datagram socket. Raises OSError when the address is taken."""
        self._process.check_alive()
        return self._network.bind(self._process, at, receive)


def claim(at: Address, taken: dict[Address, SimulatedListener] | dict[Address, SimulatedDatagramSocket]) -> None:
    """Raise OSError, as the system does, when the address is taken."""
    if at in taken:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
