"""Assembles the blocks into the node, and hands values across between siblings.

Crash-only: `start` is recovery, and `stop` only spares the peers a surprise. The order of `start` matters: the boot
epoch is on the medium before anything else, the log is read and what it lacks is written down before anybody can ask,
and the sockets open last.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.chain.chain import read_chain
from cluster.chain.entry import ChainEntry, forgotten
from cluster.config import NodeSettings, TableKind
from cluster.env import Env, OutputTick, StallWatch
from cluster.errors import ClusterError, Damaged
from cluster.faults import Fault, FaultBook, decode_faults
from cluster.gateways.host import GatewayPorts, make_gateways
from cluster.kv.actors import Actors
from cluster.kv.buckets import Buckets
from cluster.kv.coordinator import Coordinator
from cluster.kv.objects import KvRows
from cluster.kv.peerclocks import PeerClocks
from cluster.layout import PARTITIONS, LayoutEntry, LayoutView, decode_entry
from cluster.membership import Membership, OwnIdentity, SeedMember
from cluster.messaging.topics import NodeTopics
from cluster.node.answers import Answers
from cluster.node.drain import Drain
from cluster.node.gateways import gateway_host
from cluster.node.layouts import LAYOUT_FILE, Layouts
from cluster.node.queues import make_queues
from cluster.node.receipts import Receipts
from cluster.node.storage_errors import StorageErrors
from cluster.observe.events import Events, LimitedRecorder, Steps
from cluster.queues.defined import Defined
from cluster.queues.queuerows import QueueRows
from cluster.queues.shards import Shards
from cluster.replication.collection import StableClocks
from cluster.replication.context import ReplicationContext
from cluster.replication.hintloss import HintLoss
from cluster.replication.hints import HintStore
from cluster.replication.mergeable import TABLE_KV, TABLE_QUEUES, TABLE_STABLE, Mergeable
from cluster.replication.replication import Replication
from cluster.replication.throttle import Throttle
from cluster.replication.voting import VotingStatus
from cluster.requests.hosting import ServiceHosting
from cluster.requests.nested import HandlerFuture
from cluster.rpc import Rpc
from cluster.rpc.reach import Reach
from cluster.storage import Identity, Store, read_document
from cluster.storage.disk_tables import DiskTables, open_disk_tables
from cluster.transport import DatagramEndpoint, Transport
from cluster.versions import Actor
from cluster.wire.admin import AdminQuery, Draining
from cluster.wire.handshake import ROLE_NODE, Party
from cluster.wire.kv import Get, Keys, Put, Update
from cluster.wire.replication import (
    Attest,
    Compare,
    Fetch,
    Fetched,
    Leaves,
    Offer,
    Replicate,
    ReplicateBatch,
    ReplicatedBatch,
    Scan,
    Survey,
)

REREAD_FAULTS_S = 1.0
"""A heal takes effect after so long at the latest, also where a slow disk or a busy loop missed the command's word."""
LEAVE_S = 1.0
"""A member that has left goes on so long, for its clients to turn to others and for what it has under way."""


@dataclass
class NodeHooks:
    """What the node asks of the process that it lives in."""

    read_faults: Callable[[], bytes | None]
    """The cluster's faults.json, or None when there is none."""
    on_fatal: Callable[[str], None]
    """The node cannot go on: end the process."""
    sleep: Callable[[float], Coroutine[Any, Any, None]]
    """How a service's handler waits."""
    future: Callable[[], HandlerFuture]
    """Makes what a handler waits for while others work for it."""


class Node:
    """One node. Build it, then `start`."""

    def __init__(
        self,
        env: Env,
        name: str,
        secret: bytes,
        settings: NodeSettings,
        hooks: NodeHooks,
        gateways: Mapping[str, GatewayPorts] | None = None,
    ) -> None:
        """Reads what the directory holds. Raises Damaged or StorageFull. `gateways` by name."""
        self.env = env
        self.settings = settings
        self.hooks = hooks
        self.entries = read_chain(env, read_layout(env))
        entry = self.entries[-1].layout
        members = {member.name: member for member in entry.all_members}
        if name not in members:
            raise Damaged(f"{name} is not a member of the cluster: layout {entry.number} does not name it")
        self.member = members[name]
        self.view = LayoutView(name, entry)
        self.faults = FaultBook(name)
        self._faults_read: bytes | None = None
        self._unsaid = self._load_faults()  # before anything is written: a full disk refuses the boot record too
        self.boot = Identity(env.disk, name, env.boot_id, lambda: f"{name}-{env.random.randbytes(4).hex()}")
        self.started_at = env.clock.now()
        self.stall = StallWatch(env.clock.now(), settings.stall_interval_s, settings.stall_limit_s)
        self.events = Events(env.clock, name, self.boot.epoch, settings.events_max)
        self.steps = Steps(env.clock, name)
        self.receipts = Receipts(env, self.faults)
        self.tick = OutputTick(env.clock)
        party = Party(entry.cluster, ROLE_NODE, name, self.boot.id, self.boot.epoch, env.boot_id)
        record = self.events.record
        limited = LimitedRecorder(env.clock, record)
        self.transport = Transport(env, self.tick, party, secret, settings.transport, self.faults, limited)
        self.rpc = Rpc(env.clock, self.transport)
        self.rpc.route_by(entry.number)
        self.transport.addresses = {other: (m.host, m.port) for other, m in members.items() if other != name}
        self.transport.others = {other.name: (other.host, other.port) for other in forgotten(self.entries)}
        self.datagrams = DatagramEndpoint(env, party, secret, self.faults, self.transport.addresses)
        candidates = [SeedMember(m.name, m.zone, (m.host, m.port)) for m in entry.all_members if m.name != name]
        me = OwnIdentity(name, self.boot.id, self.boot.epoch, self.member.zone, (self.member.host, self.member.port))
        self.membership = Membership(
            env, me, candidates, self.rpc, self.transport, self.datagrams, settings.membership, self.stall, record,
            is_named=lambda name: name in self.view.members,
        )  # fmt: skip
        self.reach = Reach(
            env.clock, self.rpc, lambda: [peer for peer in self.membership.alive() if peer != name], record
        )
        self.storage_errors = StorageErrors(self)
        self._build_data()
        self.layouts = Layouts(
            env, self.view, self.rpc, self.membership, self.membership.alive, self.replication, record,
            entries=self.entries, newborn=self.boot.newborn, members_changed=self._members_changed,
            definitions_changed=self._definitions_changed, stop=self._stop_for_good,
        )  # fmt: skip
        self._build_services(name)
        self.gateways = make_gateways(gateway_host(self, secret), gateways or {})
        self.answers = Answers(self)
        self._wire()

    def _build_data(self) -> None:
        env, settings = self.env, self.settings
        self.buckets = Buckets(self.entries[-1].buckets)
        self.actors = Actors(env, self.boot.id, self.boot.epoch)
        self.tables: DiskTables | None = None
        if settings.storage.tables is TableKind.DISK:
            self.tables = open_disk_tables(env, settings.storage.generation_bytes)
        self.store = Store(
            env, self.tick, settings.storage,
            on_fatal=lambda error: self.hooks.on_fatal(f"the log could not be synced: {error}"),
            on_undone=self.storage_errors.undone,
            on_full=self.storage_errors.full,
            tables=self.tables,
            record=self.events.record,
        )  # fmt: skip
        self.defined = Defined(self.entries[-1])
        self.shards = Shards(env, self.store, self.defined)
        rows = KvRows(lambda: self.peer_clocks.wall_s(), self.buckets.base_of)
        queue_rows = QueueRows(self.shards, self.defined, self._has_ended, env.clock.wall)
        mergeables: dict[int, Mergeable] = {TABLE_KV: rows, TABLE_STABLE: StableClocks(), TABLE_QUEUES: queue_rows}
        boot = f"{self.boot.id}-{self.boot.epoch}"
        context = ReplicationContext(
            boot=boot,
            view=self.view,
            env=env,
            messenger=self.rpc,
            store=self.store,
            settings=settings.replication,
            mergeables=mergeables,
            hints=HintStore(self.store, mergeables, settings.replication.hint_bytes_max, self.view.takers),
            hint_loss=HintLoss(env.disk, boot),
            status=VotingStatus(self.store.recovering, lambda partition: self.view.mine(partition)),
            reach=self.reach,
            throttle=Throttle(env.clock),
            live=self.membership.alive,
            record=self.events.record,
            steps=self.steps,
        )
        self.replication = Replication(context, self.actors.renew, lambda: (self.boot.id, self.actors.number))
        self.peer_clocks = PeerClocks(
            env, self.member.name, self.rpc, self.membership.alive, self.events.record,
            needed=lambda: self.buckets.any_lww or bool(self.defined.by_name), newest_stamp=lambda: self.kv.clock.last,
        )  # fmt: skip
        self.kv = Coordinator(
            context, self.replication.writer, self.replication.reader, self.actors, self.buckets, self.peer_clocks,
            settings.storage.durability.value,
        )  # fmt: skip
        self.queues = make_queues(self)
        context.throttle.foreground = [self.kv.writes, self.kv.reading.latencies]

    def _build_services(self, name: str) -> None:
        record = self.events.record
        self.topics = NodeTopics(
            name, f"{self.boot.id}-{self.boot.epoch}", self.env.clock, self.env.random, self.rpc, self.membership,
            self.reach.avoided, record,
        )  # fmt: skip
        self.topics.to_queues = self.queues.publish
        self._bind_queues()
        self.defined.on_change.append(self._bind_queues)
        self.requests = ServiceHosting(
            name,
            self.env,
            self.rpc,
            self.membership,
            self.reach,
            record,
            self.hooks.sleep,
            self.hooks.future,
            self._my_zone,
        )
        self.requests.pools.weigh(self.entries[-1].weights)
        self.requests.workers.note_failure = self.faults.note_failure
        self.kv.forwarder.is_draining = self.requests.registry.is_draining
        router, server = self.requests.router, self.requests.server
        writes, reads = self.replication.writer.in_flight, self.replication.reader.in_flight
        in_flight = (
            lambda: len(router.calls_here), lambda: router.answers.under_way,
            lambda: server.in_flight, self.requests.workers.in_flight, lambda: len(writes), lambda: len(reads),
            lambda: sum(gateway.in_flight for gateway in self.gateways.values()),
        )  # fmt: skip
        self.drain = Drain(
            self.env, record, self.requests.drain, self._tell_clients, in_flight,
            lambda: [*(peer for peer in self.membership.alive() if peer != name), *self.transport.clients()],
        )  # fmt: skip

    def _wire(self) -> None:
        """Who hears of what."""
        handle, replica = self.rpc.handle, self.replication.replica
        handle(Put, self.kv.put)
        handle(Update, self.kv.update)
        handle(Get, self.kv.reading.get)
        handle(Keys, self.kv.reading.keys)
        handle(Replicate, replica.replicate)
        placed = self.rpc.placed_batch
        handle(ReplicateBatch, placed(replica.replicate_batch, lambda body: [entry[0] for entry in body.copies]))
        handle(ReplicatedBatch, self.replication.writer.answered)
        handle(Fetch, placed(replica.fetch, lambda body: [entry[0] for entry in body.questions]))
        handle(Fetched, self.replication.reader.answered)
        handle(Attest, replica.attest)
        handle(Scan, self.replication.giver.on_scan)
        handle(Compare, self.replication.antientropy.on_compare)
        handle(Leaves, self.replication.antientropy.on_leaves)
        handle(Survey, self.replication.collecting.on_survey)
        handle(Offer, replica.on_offer)
        self.replication.collecting.retiring = lambda: (
            (TABLE_QUEUES, partition, key) for partition, key in self.shards.retiring(self._has_ended)
        )
        handle(AdminQuery, self.answers.answer)
        handle(Draining, self.drain.noted)
        self.membership.on_change.append(lambda *_: self.shards.boots_changed())
        self.membership.on_change.append(lambda name, _, new: self.replication.member_changed(name, new == "alive"))
        self.membership.on_refuted.append(self.replication.catchup.begin)
        self.rpc.on_layout = self.layouts.judge
        self.rpc.on_stale = self.layouts.fetch_newer
        self.view.on_change.insert(0, lambda entry: self.rpc.route_by(entry.number))
        self.view.on_change.append(lambda entry: self.rpc.layout_changed())
        self.membership.on_raised.append(self.boot.raised)
        self.membership.on_amnesia.append(self.storage_errors.amnesia)
        self.transport.on_lost.append(self._peer_lost)
        self.datagrams.on_heard = self.transport.redial
        self.rpc.on_answer = self.reach.heard
        self.rpc.on_sweep = self.reach.beat
        self.reach.waited_for.append(self.rpc.waited_for)
        self.transport.on_contact.append(self.replication.member_heard)
        self.transport.on_client.append(lambda client: self.drain.welcome(client.push))

    # -- life

    def start(self) -> None:
        """Recover, listen, join. Raises Damaged, or OSError when the port is taken."""
        self.events.record("node.boot", f"epoch {self.boot.epoch}", node_id=self.boot.id)
        recovery = self.store.recover(self.boot.boot, self.view.held_partitions())
        self.boot.settle()
        records = f"{recovery.records} record{'' if recovery.records == 1 else 's'}"
        self.events.record(
            "storage.recovered",
            f"{records} in {recovery.segments} segment{'' if recovery.segments == 1 else 's'}",
            torn_bytes=recovery.torn_bytes,
            lost=recovery.lost,
        )
        minted = self.actors.resume("the log lost something" if recovery.may_have_forgotten else "")
        if minted and not self.boot.newborn:
            self.events.record("actor.minted", minted, actor=self.actors.actor)
        self.kv.operations.recover()
        self.shards.recover()
        self.reload_faults()
        self.receipts.start()
        self.transport.start((self.member.host, self.member.port))
        self.datagrams.start((self.member.host, self.member.port))
        self.membership.start()
        self.topics.start()
        self.requests.start()
        self.drain.start()
        self.layouts.start()
        self.peer_clocks.start()
        self.store.scrubber.start()
        self.queues.start()
        self.replication.start(returning=not self.boot.newborn, hints_lost_now=bool(recovery.lost))
        if self.tables is not None:
            if self.tables.damaged:
                self.events.record("storage.damaged", f"{self.tables.damaged}; it was made anew")
            self.tables.watch(self.storage_errors.unreadable, self.storage_errors.lost)
        for gateway in self.gateways.values():
            gateway.start()
        self._beat()
        self._reread_faults()

    def stop(self) -> None:
        """Close sockets and files. Nothing depends on it, but that a reboot of the machine after it loses nothing."""
        for gateway in self.gateways.values():
            gateway.stop()
        self.membership.stop()
        self.transport.stop()
        self.datagrams.stop()
        self.store.close()

    def reload_faults(self) -> None:
        """Take over the cluster's fault rules, as they stand on disk."""
        try:
            changed, self._unsaid = [*self._unsaid, *self._load_faults(strictly=True)], []
        except ClusterError as error:
            self.events.record("fault.unreadable", error.message)
            return
        for fault in changed:
            what = "fault.done" if fault.of.done(fault) else "fault.begun" if fault.active else "fault.ended"
            self.events.record(what, f"{fault.kind} {fault.id}", fault=fault.id)
        self.env.ail(self.faults.disk, self.faults.skew_s, self.faults.on_clock)
        self.transport.faults_changed()

    def _reread_faults(self) -> None:
        """A command that could not wait for this node, because it is slow or busy, has changed them all the same."""
        if self.hooks.read_faults() != self._faults_read:
            self.reload_faults()
        self.env.clock.call_later(REREAD_FAULTS_S, self._reread_faults)

    def _load_faults(self, *, strictly: bool = False) -> list[Fault]:
        """Those that are new or changed. A file that cannot be read raises Damaged, or says nothing yet. The clock is
        right until they have been recorded, or each fault of a clock would have touched its own record at least."""
        data = self._faults_read = self.hooks.read_faults()
        if data is None:
            return []
        try:
            changed = self.faults.load(decode_faults(data))
        except ClusterError:
            if strictly:
                raise
            return []
        self.env.ail(self.faults.disk, 0.0, self.faults.on_clock)
        return changed

    def _beat(self) -> None:
        """Notice a stall; its first act after one is to read the fault rules again."""
        stalled_s = self.stall.beat(self.env.clock.now())
        if stalled_s:
            self.events.record("node.stalled", f"did not run for {stalled_s * 1000:.0f} ms")
            self.reload_faults()
            if not self.boot.newborn or self.membership.heard_in_this_boot() == len(self.view.members):
                # A node that has never been given anything probably missed nothing: said only if it did.
                quiet = self.boot.newborn and not any(self.store.count(TABLE_KV, p) for p in range(PARTITIONS))
                self.replication.catchup.begin(f"this node did not run for {stalled_s * 1000:.0f} ms", quiet=quiet)
        self.env.clock.call_later(self.settings.stall_interval_s, self._beat)

    # -- what one block says to another

    def _members_changed(self, layout: LayoutEntry) -> None:
        """The chain names other members than before."""
        members = {member.name: member for member in layout.all_members}
        me, addresses = self.member.name, self.transport.addresses
        for name, member in members.items():
            if name != me and name not in addresses:
                addresses[name] = member.host, member.port
                self.membership.admit(SeedMember(name, member.zone, addresses[name]))
        for name in [name for name in addresses if name not in members]:
            self.membership.forget(name)
            addresses.pop(name, None)
        self.transport.others = {other.name: (other.host, other.port) for other in forgotten(self.entries)}
        if me not in members:
            self.drain.leave()
            self.env.clock.call_later(LEAVE_S, self.hooks.on_fatal, f"{me} has left the cluster")

    def _definitions_changed(self, entry: ChainEntry) -> None:
        self.defined.adopt(entry)
        self.requests.pools.weigh(entry.weights)
        before, defined = self.buckets.defined, entry.buckets
        self.buckets.adopt(defined)
        self.peer_clocks.look()
        if any(name in before and before[name].emptied < bucket.emptied for name, bucket in defined.items()):
            self.replication.collecting.look_again()

    def _my_zone(self) -> list[str]:
        return [one.name for one in self.view.entry.all_members if one.zone == self.member.zone]

    def _bind_queues(self) -> None:
        self.topics.bind({name: queue.patterns for name, queue in self.defined.by_name.items()})

    def _has_ended(self, actor: Actor) -> bool:
        """Whether this node has heard of a later boot of the actor's node than the actor's, or of a successor of it."""
        id, epoch, _ = actor.split(".")
        name = self.membership.name_of(id)
        if name is None:  # unless it has not spoken yet, since this node began
            return self.membership.heard_in_this_boot() == len(self.view.members)
        return self.membership.view(name).epoch > int(epoch)

    def _tell_clients(self, draining: Draining) -> None:
        """Those that speak our own protocol are told; others find the door closed."""
        self.transport.push_clients(draining)
        self.queues.receiving.drain(draining.draining)
        for gateway in self.gateways.values():
            gateway.drain(draining.draining)

    def _stop_for_good(self, why: str) -> None:
        """Once what calls this has come to its end."""
        self.events.record("chain.stopped", why)
        end = f"{why}. It serves no more; `dsectl add` makes a new node, with an empty folder"
        self.env.clock.call_soon(self.hooks.on_fatal, end)

    def _peer_lost(self, name: str, reason: str) -> None:
        if reason in ("refused", "reset", "closed", "timeout"):
            self.replication.member_failed(name)
        if reason != "aborted":
            self.membership.note_evidence(name, reason)


def read_layout(env: Env) -> LayoutEntry:
    """The layout entry that genesis wrote, or a later one. Raises Damaged."""
    data = read_document(env.disk, LAYOUT_FILE)
    if data is None:
        raise Damaged(f"{LAYOUT_FILE} is missing: a node serves only under a layout read from disk")
    return decode_entry(data)
