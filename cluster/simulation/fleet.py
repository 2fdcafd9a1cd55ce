"""A simulated cluster: the real `Node`, many to an interpreter, with the same genesis as `up` makes.

Operations enter through a node's own handlers, as its clients' requests do, and end in a `Result` that tests read. What
a run proves, and under which faults, is the scenario's business.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from cluster.config import NodeSettings, node_settings
from cluster.errors import ClusterError
from cluster.layout import LayoutEntry, Member, encode_entry, partition_of, placement
from cluster.node import Node, NodeHooks
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.route import Quality
from cluster.simulation.world import LOOPBACK, World
from cluster.storage import newborn_files
from cluster.wire.admin import Ask
from cluster.wire.frames import Body
from cluster.wire.kv import Get, Put
from cluster.wire.requests import Call

SECRET = b"simulated cluster secret".ljust(32, b".")
PORT = 7000


class OpenLink:
    """The connection of a client that stays."""

    ended = False

    def __init__(self) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.pushed: list[Any] = []

    def push(self, body: Any) -> bool:
        """Remember what the node sends on its own."""
        self.pushed.append(body)
        return True


class Result:
    """An operation asked of a node: `body` or `error` once it has ended."""

    def __init__(self, body: Any, deadline: float, arrived: float = 0.0) -> None:
        self.asked = body
        self.body: Any = body
        self.deadline = deadline
        self.arrived = arrived
        self.link = OpenLink()
        self.answer: Body | None = None
        self.error: ClusterError | None = None

    @property
    def ended(self) -> bool:
        """Whether there is an answer."""
        return self.answer is not None or self.error is not None

    def reply(self, body: Body) -> None:
        """The node's answer."""
        assert not self.ended, "answered twice"
        self.answer = body

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Nobody here cancels."""

    def fail(self, error: ClusterError) -> None:
        """The node's refusal."""
        assert not self.ended, "answered twice"
        self.error = error


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
    ) -> None:
        self.world = World(seed, quality=quality, keep_trace=keep_trace)
        self.settings = settings or node_settings()
        quorum = self.settings.replication
        members = tuple(
            Member(f"n{i + 1}", f"z{i % zones + 1}", f"10.0.{i // 250}.{i % 250 + 1}", PORT) for i in range(count)
        )
        self.entry = LayoutEntry(1, "simulated", members, quorum.n, quorum.r, quorum.w)
        self.placement = placement(self.entry)
        self.names = [member.name for member in members]
        self.nodes: dict[str, Node] = {}
        self.fatal: dict[str, str] = {}
        self.operations = 0

    @classmethod
    def running(cls, seed: int, count: int, **options: Any) -> "Fleet":
        """A fleet whose nodes all run and have heard each other."""
        fleet = cls(seed, count, **options)
        fleet.start()
        fleet.until(fleet.converged)
        return fleet

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

    def _boot(self, name: str) -> None:
        env = self.world.env(name)
        if not env.disk.names(""):
            env.disk.write("layout.json", encode_entry(self.entry))
            for path, data in newborn_files(name, f"{name}-{env.random.randbytes(4).hex()}").items():
                env.disk.write(path, data)

        def fatal(message: str) -> None:
            self.fatal[name] = message

        hooks = NodeHooks(read_faults=lambda: None, on_fatal=fatal, sleep=asyncio.sleep)
        node = self.nodes[name] = Node(env, name, SECRET, self.settings, hooks)
        node.start()

    def crash(self, name: str) -> None:
        """SIGKILL."""
        self.nodes.pop(name, None)
        self.world.crash(name)

    def power_loss(self, name: str, *, silent: bool = False) -> None:
        """The machine loses power: what was not synced is gone. `silent`: no port is closed, nobody answers."""
        self.nodes.pop(name, None)
        self.world.power_loss(name, silent=silent)

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
        """Whether nobody waits for anything: converged, all vote, no hints, no writes in flight."""
        return self.converged() and all(
            node.replication.context.status.state() == "running"
            and not node.replication.context.hints.by_target()
            and not node.replication.writer.in_flight
            for node in self.nodes.values()
        )

    def believes(self, observer: str, subject: str) -> str:
        """What one node believes of another."""
        return self.nodes[observer].membership.state(subject)

    # -- what is where

    def owners(self, key: str) -> list[str]:
        """The owners of a key, in order."""
        return list(self.placement.owners(partition_of(key)))

    def fallbacks(self, key: str) -> list[str]:
        """The nodes that take hints for the key's owners, in order."""
        return list(self.placement.fallbacks(partition_of(key)))

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

    def put(self, via: str, key: str, value: bytes, timeout: float = 1.0, **options: Any) -> Result:
        """Ask a node to write; see `wire.kv.Put` for the options."""
        self.operations += 1
        operation = options.pop("operation", f"operation-{self.operations}")
        return self._ask(via, Put(key, value, operation, **options), timeout)

    def get(self, via: str, key: str, timeout: float = 1.0, **options: Any) -> Result:
        """Ask a node to read."""
        return self._ask(via, Get(key, **options), timeout)

    def call(self, via: str, operation: str, payload: bytes = b"{}", timeout: float = 5.0, only: str = "") -> Result:
        """Call `SERVICE.OPERATION` through a node."""
        service, _, name = operation.partition(".")
        return self._ask(via, Call(service, name, payload, only=only), timeout)

    def ask(self, node: str, what: str, arguments: dict[str, Any] | None = None, timeout: float = 5.0) -> Result:
        """An admin query."""
        return self._ask(node, Ask(what, arguments or {}), timeout)

    def _ask(self, via: str, body: Body, timeout: float) -> Result:
        node = self.nodes[via]
        now = node.env.clock.now()
        result = Result(body, now + timeout, now)
        handler = node.rpc.handler(type(body))
        node.env.clock.call_soon(handler, result)  # in the node's own process
        return result

    def wait(self, result: Result, timeout: float = 5.0) -> Result:
        """Run until the operation has ended. A node that crashed meanwhile never answers: TimeoutError."""
        self.until(lambda: result.ended, timeout)
        return result
