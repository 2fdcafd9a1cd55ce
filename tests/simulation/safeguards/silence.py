"""A silent node: what stops costs the others a fraction of a second, and nothing that was sent is sent again."""

import pytest

from cluster.kv.forward import ForwardedGet, ForwardedPut
from cluster.layout import partition_of
from cluster.ports import Inbound
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.reader import ReadOperation
from cluster.replication.writer import WriteOperation
from cluster.rpc import rpc as calls
from cluster.rpc.reach import Reach
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.storage import Store
from cluster.wire.kv import Got, Put, PutDone
from cluster.wire.replication import ReplicateBatch
from cluster.wire.rights import ROLE_NODE
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, crash_and_wait, read, settle

WRITERS = 8
GAP_MAX_S = 0.3


class Writers:
    """Each puts one key after another through any of `entries`; the next once the last has ended."""

    def __init__(self, fleet: Fleet, entries: list[str]) -> None:
        self.fleet = fleet
        self.entries = entries
        self.under_way: list[SimulatedRequest | None] = [None] * WRITERS
        self.began = [0.0] * WRITERS
        self.begun = 0
        self.acknowledged_at: list[float] = []
        self.longest_s = 0.0
        self.outcomes: dict[str, int] = {}

    def run_for(self, seconds: float) -> None:
        end = self.fleet.world.now + seconds
        while (now := self.fleet.world.now) < end:
            for number, result in enumerate(self.under_way):
                if result is None or result.ended:
                    if result is not None:
                        self.longest_s = max(self.longest_s, now - self.began[number])
                        self.note(result, now)
                    self.begun += 1
                    via = self.entries[self.begun % len(self.entries)]
                    self.under_way[number] = self.fleet.put(via, f"key-{self.begun}", b"v")
                    self.began[number] = now
            self.fleet.world.run_for(0.002)

    def note(self, result: SimulatedRequest, now: float) -> None:
        assert result.answer is not None or result.error is not None
        outcome = (
            result.answer.outcome if isinstance(result.answer, PutDone) else str(result.error and result.error.code)
        )
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if isinstance(result.answer, PutDone) and outcome in ("ok", "ok-sloppy"):
            self.acknowledged_at.append(now)

    def longest_gap_s(self) -> float:
        return max(b - a for a, b in zip(self.acknowledged_at, self.acknowledged_at[1:], strict=False))


def eight_writers_and_a_node_that_stops(seed: int) -> None:
    """All enter through nodes that run; some of their keys are coordinated by the one that stops."""
    with Fleet.running(seed, 5) as fleet:
        stopped = fleet.owners("cart")[0]
        writers = Writers(fleet, [name for name in fleet.names if name != stopped])
        writers.run_for(0.2)
        fleet.world.pause(stopped)
        writers.run_for(1.2)
        assert writers.longest_gap_s() < GAP_MAX_S, f"{writers.longest_gap_s():.2f} s, {writers.outcomes}"
        assert writers.longest_s < 1.0
        fleet.world.resume(stopped)
        writers.run_for(0.2)


def judge_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reach, "beat", lambda self, now: None)


def wait_for_a_silent_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForwardedPut, "silent", lambda self, peer: None)


def a_put_at_a_silent_owner(seed: int) -> None:
    """It waits in the socket of an owner that stands still for less than the put has. Its writer goes on, and what was
    read and replaced meanwhile does not come back."""
    with Fleet.running(seed, 5) as fleet:
        first, second, _ = fleet.owners("cart")
        stranger = next(name for name in fleet.names if name not in fleet.owners("cart"))
        acknowledged(fleet, stranger, "cart", b"zero")
        fleet.world.pause(first)
        fleet.wait(fleet.put(stranger, "cart", b"one"))
        seen = fleet.wait(fleet.get(second, "cart")).answer
        assert isinstance(seen, Got)
        acknowledged(fleet, second, "cart", b"two", context=seen.context)
        fleet.world.resume(first)
        fleet.world.run_for(1.5)
        settle(fleet)
        replaced = [value for value in read(fleet, second, "cart", strict=True) if value in seen.siblings]
        assert not replaced, f"{replaced} had been read and replaced"


def send_it_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(self: ForwardedPut[Put], peer: str) -> None:
        if peer == self.owner:
            self.forwarder.finish(self.id)
            self.next()

    monkeypatch.setattr(ForwardedPut, "silent", silent)


def a_coordinator_that_stands_still(seed: int) -> None:
    """It stops once a put has left it. The acknowledgements wait in its sockets for longer than the put has."""
    with Fleet.running(seed, 5) as fleet:
        first, second, third = fleet.owners("cart")
        acknowledged(fleet, first, "warm", b"", w=3)
        result = fleet.put(first, "cart", b"book", w=3)
        stores = [fleet.nodes[name].store for name in (second, third)]
        fleet.world.run_until_true(lambda: all(has(store, "cart") for store in stores), step=0.0)
        assert not result.ended
        fleet.world.pause(first)
        fleet.world.run_for(2.0)
        fleet.world.resume(first)
        answer = fleet.wait(result).answer
        assert isinstance(answer, PutDone) and answer.outcome == "ok", (answer, result.error)
        assert not fleet.nodes[first].replication.context.hints.by_target()


def has(store: Store, key: str) -> bool:
    return store.get(TABLE_KV, partition_of(key), key) is not None


def blame_peers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "SWEEP_LATE_S", float("inf"))


def an_owner_is_slow(seed: int) -> None:
    """The way to the first owner, and from it to the second, takes longer than a reader should wait."""
    with Fleet.running(seed, 5) as fleet:
        first, second, _ = fleet.owners("cart")
        stranger = next(name for name in fleet.names if name not in fleet.owners("cart"))
        acknowledged(fleet, stranger, "cart", b"book", w=3)
        for name in (stranger, second):
            fleet.world.slow(name, first, delay=0.15)
        for via in (stranger, second):
            began = fleet.world.now
            assert read(fleet, via, "cart") == [b"book"]
            assert fleet.world.now - began < 0.12, f"{fleet.world.now - began:.2f} s through {via}"


def hedge_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForwardedGet, "linger", lambda self, now: None)
    monkeypatch.setattr(ReadOperation, "linger", lambda self, now: None)


def delay_batches(fleet: Fleet, name: str, seconds: float) -> None:
    node = fleet.nodes[name]

    def later(inbound: Inbound) -> None:
        node.env.clock.call_later(seconds, node.replication.replica.replicate_batch, inbound)

    node.rpc.handlers_of(ROLE_NODE)[ReplicateBatch] = later


def one_owner_is_gone_and_another_is_slow(seed: int) -> None:
    """Its answers to probes come in time, its acknowledgements do not: as with a slow disk."""
    with Fleet.running(seed, 5) as fleet:
        first, slow, gone = fleet.owners("cart")
        acknowledged(fleet, first, "warm", b"", w=3)
        crash_and_wait(fleet, gone)
        delay_batches(fleet, slow, 0.9)
        began = fleet.world.now
        acknowledged(fleet, first, "cart", b"book", w=3)
        assert fleet.world.now - began < 0.3, f"{fleet.world.now - began:.2f} s"


def wait_for_slow_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteOperation, "linger", lambda self, now: None)


SAFEGUARDS = [
    Safeguard(
        "silence is judged by what others answer",
        "New operations avoid a silent node at once, so that no gap is over 0.3 s.",
        judge_no_silence,
        eight_writers_and_a_node_that_stops,
    ),
    Safeguard(
        "a forwarded put ends when its owner falls silent",
        "A put that was sent to a silent node ends as maybe then, so that its writer goes on.",
        wait_for_a_silent_owner,
        eight_writers_and_a_node_that_stops,
    ),
    Safeguard(
        "a put that was sent is never sent again",
        "What may have been carried out is never given to another coordinator.",
        send_it_to_the_next,
        a_put_at_a_silent_owner,
    ),
    Safeguard(
        "sockets are read before peers are blamed",
        "After its own stall a node polls its sockets once before it writes hints or answers maybe.",
        blame_peers_first,
        a_coordinator_that_stands_still,
    ),
    Safeguard(
        "reads are hedged",
        "A read does not wait for one slow owner while another can answer.",
        hedge_nothing,
        an_owner_is_slow,
    ),
    Safeguard(
        "fallbacks are used for slow owners",
        "A write that has no verdict in time uses fallbacks, and does not wait for its deadline.",
        wait_for_slow_owners,
        one_owner_is_gone_and_another_is_slow,
    ),
]
