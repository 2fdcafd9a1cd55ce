"""A simulated cluster: the real `Node`, many to an interpreter, with the same genesis as `up` makes.

Operations enter through a node's own handlers, as its clients' requests do, and end in a `SimulatedRequest` that tests
read. What a run proves, and under which faults, is the scenario's business.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from cluster.chain.entry import encode_chain, entry_path, first_entries
from cluster.client.locate import Location, addresses
from cluster.client.serving import Serving
from cluster.config import NodeSettings, node_settings
from cluster.errors import ClusterError
from cluster.faults import Fault, FaultDocument, add_fault, encode_faults, heal, mark_returned
from cluster.faults.disk import RECEIPTS
from cluster.gateways.buckets import BUCKETS
from cluster.gateways.host import GatewayPorts
from cluster.layout import LayoutEntry, LayoutMember, encode_entry, partition_of, placement
from cluster.node import Node, NodeHooks
from cluster.observe.rfc3339 import format_time
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.client import Carried, ClientOperation, SimulatedClient
from cluster.simulation.clock import WALL_START
from cluster.simulation.result import OpenLink, SimulatedRequest
from cluster.simulation.route import Quality
from cluster.simulation.schedule import Killed
from cluster.simulation.world import LOOPBACK, World
from cluster.storage import newborn_files
from cluster.wire.admin import AdminQuery
from cluster.wire.frames import Body
from cluster.wire.kv import Get, KvOperation, Put, Update
from cluster.wire.queues import Outgoing, QueueAck, QueueExtend, QueueReceive, QueueReturn, QueueSend
from cluster.wire.requests import Call
from cluster.wire.rights import ROLE_WORKER, role_key
from cluster.wire.topics import Publish

__all__ = ["Fleet", "OpenLink", "SimulatedRequest"]

SECRET = b"simulated cluster secret".ljust(32, b".")
PORT, GATEWAY_PORT = 7000, 7100
RELOAD_MAX_S = 0.005  # until a command that changed the faults has had every node reload them


SLICES = (64, 1, 3)
"""Messages a slice, by seed."""

Ending = TypeVar("Ending", bound=SimulatedRequest | ClientOperation | Carried)


class Fleet:
    """Nodes n1 to nN in a `World`. A context manager, as the world is."""

    def __init__(
        self,
        seed: int,
        count: int,
        *,
        zones: int = 1,
        settings: NodeSettings | None = None,
        quality: Quality = LOOPBACK,
        keep_trace: bool = False,
        gateways: Sequence[str] = (),
    ) -> None:
        self.world = World(seed, quality=quality, keep_trace=keep_trace)
        settings = settings or node_settings()
        # Reads are small here: some worlds cut them up, as only a flood of messages does to real ones.
        sliced = replace(settings.transport, slice_messages=SLICES[seed % len(SLICES)])
        self.settings = replace(settings, transport=sliced)
        quorum = self.settings.replication
        self.zones = zones
        self.gateways = {name: GatewayPorts(GATEWAY_PORT + place) for place, name in enumerate(gateways)}
        members = tuple(self._member(i) for i in range(count))
        self.entry = LayoutEntry(1, "simulated", members, quorum.n, quorum.r, quorum.w)
        self.names = [member.name for member in members]
        self.faults = FaultDocument()
        self._fault_delays = self.world.random("faults")
        self.nodes: dict[str, Node] = {}
        self.fatal: dict[str, str] = {}
        self.on_boot: list[Callable[[str, Node], None]] = []
        """Called with each node before it starts, such as to host a service."""
        self.operations = 0

    @classmethod
    def running(cls, seed: int, count: int, **options: Any) -> "Fleet":
        """A fleet whose nodes all run and have heard each other."""
        fleet = cls(seed, count, **options)
        fleet.start()
        fleet.until(fleet.converged)
        return fleet

    def _member(self, index: int, zone: str = "") -> LayoutMember:
        address = f"10.0.{index // 250}.{index % 250 + 1}"
        return LayoutMember(f"n{index + 1}", zone or f"z{index % self.zones + 1}", address, PORT)

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *exception: object) -> None:
        self.world.close()

    # -- processes

    def start(self, *names: str) -> None:
        """Boot these nodes, or all that do not run."""
        for name in names or [name for name in self.names if not self.world.is_up(name)]:
            env = self.world.env(name)
            env.clock.call_soon(self._boot, name)
            self._change(mark_returned(self.faults, [name], self._at()))

    def _boot(self, name: str) -> None:
        env = self.world.env(name)
        if not env.disk.names(""):
            env.disk.write("layout.json", encode_entry(self.entry))
            for entry in first_entries(self.entry, {one: BUCKETS[one] for one in self.gateways if one in BUCKETS})[1:]:
                env.disk.write(entry_path(entry.slot), encode_chain(entry))
            for path, data in newborn_files(name, f"{name}-{env.random.randbytes(4).hex()}").items():
                env.disk.write(path, data)

        def fatal(message: str) -> None:
            self.fatal[name] = message
            self.crash(name)
            raise Killed

        hooks = NodeHooks(
            read_faults=lambda: encode_faults(self.faults) if self.faults.generation else None,
            on_fatal=fatal,
            sleep=asyncio.sleep,
            future=lambda: asyncio.get_running_loop().create_future(),
        )
        node = self.nodes[name] = Node(env, name, SECRET, self.settings, hooks, self.gateways)
        for function in self.on_boot:
            function(name, node)
        node.start()

    def add(self, count: int = 1, *, via: str, zone: str = "", timeout: float = 5.0) -> SimulatedRequest:
        """Ask a node to have so many more named members; `join` boots one that is."""
        taken = {node for node in self.names}
        free = [index for index in range(250) if f"n{index + 1}" not in taken][:count]
        members = [self._member(index, zone) for index in free]
        rows = [{"name": one.name, "zone": one.zone, "host": one.host, "port": one.port} for one in members]
        return self.ask(via, "change", {"add": rows}, timeout)

    def join(self, name: str, *, via: str) -> None:
        """Boot a member that was added, with an empty directory and the chain as `via` has it."""
        disk = self.world.env(name).disk
        for file in disk.names("chain"):
            disk.remove(f"chain/{file}")
        for file in ("layout.json", "boot.json", "ballot.json"):
            disk.remove(file)
        chain = self.nodes[via].layouts.chain
        disk.write("layout.json", encode_entry(chain.entries[0].layout))
        for entry in chain.entries[1:]:
            disk.write(entry_path(entry.slot), encode_chain(entry))
        id = f"{name}-{self.world.env(name).random.randbytes(4).hex()}"
        for path, data in newborn_files(name, id, "it joins the cluster").items():
            disk.write(path, data)
        if name not in self.names:
            self.names.append(name)
        self.start(name)

    def crash(self, name: str) -> None:
        """SIGKILL."""
        self.nodes.pop(name, None)
        self.world.crash(name)

    def crash_inside(self, name: str, point: str, count: int = 1, *, power: bool = False) -> Callable[[], None]:
        """The node dies inside of a pass, see `World.crash_inside`."""
        return self.world.crash_inside(name, point, count, power=power, then=lambda: self.nodes.pop(name, None))

    def power_loss(self, name: str, *, silent: bool = False, scattered: bool = False) -> None:
        """The machine loses power: what was not synced is gone. `silent`: no port is closed, nobody answers."""
        self.nodes.pop(name, None)
        self.world.power_loss(name, silent=silent, scattered=scattered)

    # -- the users' faults: the same document and the same rules as `dsectl partition`, `slow` and the others make

    def fault(self, kind: str, **fields: Any) -> Fault:
        """Begin a fault, which the nodes then read. Raises Usage for one that cannot be."""
        self._change(add_fault(self.faults, Fault(kind=kind, at=self._at(), **fields)))
        return self.faults.faults[-1]

    def heal(self, *ids: str) -> None:
        """End these faults, or all that heal ends."""
        self._change(heal(self.faults, ids or None, self._at()))

    def kill(self, *names: str) -> None:
        """As `dsectl kill`: the others know of it before it happens. `start` ends it."""
        self.fault("kill", nodes=list(names))
        for name in names:
            self.crash(name)

    def flip_byte(self, name: str, path: str) -> None:
        """As `dsectl disk NODE --flip-byte`, somewhere in this file."""
        offset = self.world.disk(name).flip_byte(path)
        self.fault("disk-flip-byte", active=False, ended=self._at(), nodes=[name], file=path, offset=offset)

    def wipe(self, name: str) -> None:
        """As `dsectl disk NODE --wipe`, but that the caller starts it again: the layout and the chain stay, as a start
        gives them to a node without data, and so do the counts of faults."""
        if self.world.is_up(name):
            self.crash(name)
        disk = self.world.disk(name)
        gone = [path for path in disk.paths() if path not in ("layout.json", RECEIPTS) and path[:6] != "chain/"]
        for path in gone:
            disk.remove(path)
        self.fault("disk-wipe", active=False, ended=self._at(), nodes=[name], files=len(gone))

    def pause(self, *names: str) -> None:
        """As `dsectl pause`."""
        self.fault("pause", nodes=list(names))
        for name in names:
            self.world.pause(name)

    def resume(self, *names: str) -> None:
        """As `dsectl resume`."""
        for name in names:
            self.world.resume(name)
        self._change(mark_returned(self.faults, names, self._at()))

    def _at(self) -> str:
        return format_time(WALL_START + self.world.now)

    def _change(self, document: FaultDocument) -> None:
        """The new document is there for all at once; that they are to reload it comes to each in its own time."""
        if document is self.faults:
            return
        self.faults = document
        for name, node in self.nodes.items():
            self.world.call_later(self._fault_delays.uniform(0.0, RELOAD_MAX_S), self._reload, name, node)

    def _reload(self, name: str, node: Node) -> None:
        if self.nodes.get(name) is node:
            node.env.clock.call_soon(node.reload_faults)

    @property
    def layout(self) -> LayoutEntry:
        """The newest layout that a node which runs has; the first one while none does."""
        return max((node.view.entry for node in self.nodes.values()), key=lambda one: one.number, default=self.entry)

    @property
    def up(self) -> list[str]:
        """The nodes that have booted and run."""
        return [name for name in self.names if name in self.nodes]

    # -- waiting

    def until(self, what: Callable[[], bool], timeout: float = 30.0) -> float:
        """Run until it holds; returns the virtual seconds that it took. Raises TimeoutError."""
        return self.world.run_until_true(what, timeout)

    def converged(self) -> bool:
        """Whether every node runs, has heard all others, and holds exactly them for alive."""
        return len(self.nodes) == len(self.names) and all(
            node.membership.heard_in_this_boot() == len(self.names) and len(node.membership.alive()) == len(self.names)
            for node in self.nodes.values()
        )

    def settled(self) -> bool:
        """Whether nobody waits for anything: converged, one layout, all vote, no hints, no writes in flight."""
        layouts = {(node.layouts.chain.entry.slot, node.layouts.chain.entry.moving) for node in self.nodes.values()}
        return (
            self.converged()
            and len(layouts) == 1
            and not layouts.pop()[1]
            and all(
                node.replication.context.status.state() == "running"
                and not node.replication.context.hints.by_target()
                and not node.replication.writer.in_flight
                for node in self.nodes.values()
            )
        )

    def believes(self, observer: str, subject: str) -> str:
        """What one node believes of another."""
        return self.nodes[observer].membership.state(subject)

    # -- what is where

    def owners(self, key: str) -> list[str]:
        """The owners of a key, in order."""
        return list(placement(self.layout).owners(partition_of(key)))

    def fallbacks(self, key: str) -> list[str]:
        """The nodes that take hints for the key's owners, in order."""
        return list(placement(self.layout).fallbacks(partition_of(key)))

    def stored(self, name: str, key: str) -> bytes | None:
        """The encoded object that a node holds as an owner; hints do not count."""
        return self.nodes[name].store.get(TABLE_KV, partition_of(key), key)

    def hints(self, name: str) -> dict[str, int]:
        """How many hints a node holds for whom."""
        return self.nodes[name].replication.context.hints.by_target()

    def votes(self, name: str, key: str) -> bool:
        """Whether a node's absence of the key is a vote."""
        return self.nodes[name].replication.context.status.votes(partition_of(key))

    # -- operations

    def put(self, via: str, key: str, value: bytes, timeout: float = 1.0, **options: Any) -> SimulatedRequest:
        """Ask a node to write; see `wire.kv.Put` for the options."""
        self.operations += 1
        operation = options.pop("operation", f"operation-{self.operations}")
        return self._ask(via, Put(key, value, operation, **options), timeout)

    def update(self, via: str, key: str, change: KvOperation, timeout: float = 1.0, **options: Any) -> SimulatedRequest:
        """Ask a node to change what is there; see `wire.kv.Update` for the options."""
        self.operations += 1
        operation = options.pop("operation", f"operation-{self.operations}")
        return self._ask(via, Update(key, operation, change, **options), timeout)

    def get(self, via: str, key: str, timeout: float = 1.0, **options: Any) -> SimulatedRequest:
        """Ask a node to read."""
        return self._ask(via, Get(key, **options), timeout)

    def call(
        self, via: str, operation: str, payload: bytes = b"{}", timeout: float = 5.0, only: str = ""
    ) -> SimulatedRequest:
        """Call `SERVICE.OPERATION` through a node."""
        service, _, name = operation.partition(".")
        return self._ask(via, Call(service, name, payload, only=only), timeout)

    def publish(self, via: str, subject: str, payload: bytes, timeout: float = 1.0) -> SimulatedRequest:
        """Publish to whoever listens, and to the queues that are bound."""
        return self._ask(via, Publish(subject, payload), timeout)

    def create_queue(self, via: str, name: str, **options: Any) -> SimulatedRequest:
        """Define a queue; see `chain.queue.Queue` for the options."""
        return self.ask(via, "create-queue", {"name": name, **options})

    def send(
        self, via: str, queue: str, messages: Sequence[bytes | Outgoing], timeout: float = 1.0
    ) -> SimulatedRequest:
        """Send bodies, or messages with all their fields, to a queue."""
        outgoing = [(one, None, -1.0, "") if isinstance(one, bytes) else one for one in messages]
        return self._ask(via, QueueSend(queue, outgoing), timeout)

    def receive(
        self, via: str, queue: str, max: int = 10, wait_s: float = 0.0, visibility_s: float = 0.0, timeout: float = 1.0
    ) -> SimulatedRequest:
        """Lease messages."""
        return self._ask(via, QueueReceive(queue, max, wait_s, visibility_s), wait_s + timeout)

    def ack(self, via: str, receipts: list[str], timeout: float = 1.0) -> SimulatedRequest:
        """These messages are done with."""
        return self._ask(via, QueueAck(receipts), timeout)

    def nack(
        self, via: str, receipts: list[str], delay_s: float = 0.0, timeout: float = 1.0, *, begun: bool = True
    ) -> SimulatedRequest:
        """These are to be delivered again."""
        return self._ask(via, QueueReturn(receipts, delay_s, begun=begun), timeout)

    def extend(self, via: str, receipts: list[str], visibility_s: float, timeout: float = 1.0) -> SimulatedRequest:
        """These leases last longer."""
        return self._ask(via, QueueExtend(receipts, visibility_s), timeout)

    def ask(
        self, node: str, what: str, arguments: dict[str, Any] | None = None, timeout: float = 5.0
    ) -> SimulatedRequest:
        """An admin query."""
        return self._ask(node, AdminQuery(what, arguments or {}), timeout)

    def _ask(self, via: str, body: Body, timeout: float) -> SimulatedRequest:
        node = self.nodes[via]
        now = node.env.clock.now()
        result = SimulatedRequest(body, now + timeout, now)
        handler: Callable[[Any], None] = node.rpc.handler(type(body))

        def arrive() -> None:
            if node.env.clock.now() < result.deadline:  # else it was stopped meanwhile, and drops what has expired
                try:
                    handler(result)
                except ClusterError as error:  # as rpc does
                    result.fail(error)

        node.env.clock.call_soon(arrive)  # in the node's own process
        return result

    def client(self, name: str, via: str | None = None) -> SimulatedClient:
        """A client of this cluster in a process of its own, called `name`; `via`: it talks to this node only."""
        location = Location(self.entry.cluster, SECRET, addresses(self.entry), self.entry)
        client = SimulatedClient(self.world.env(name), location, via=via)
        client.start()
        return client

    def worker(self, name: str, node: str, service: object) -> Serving:
        """A worker beside a node, which hosts a service, in a process of its own called `name`: what `serve` runs."""
        env = self.world.env(name)
        address = addresses(self.entry)[node]
        key = role_key(SECRET, ROLE_WORKER)
        serving = Serving(
            env, asyncio.sleep, lambda: asyncio.get_running_loop().create_future(), self.entry.cluster, node, address,
            key, service, lambda *_, **__: None,
        )  # fmt: skip
        env.clock.call_soon(serving.start)
        return serving

    def wait(self, result: Ending, timeout: float = 5.0) -> Ending:
        """Run until the operation has ended. A node that crashed meanwhile never answers: TimeoutError."""
        self.until(lambda: result.ended, timeout)
        return result
