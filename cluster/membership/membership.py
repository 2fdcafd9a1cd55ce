"""Who is alive: one node's membership, assembled from its parts.

SWIM (Das, Gupta, Motivala, 2002) with Lifeguard (Dadgar, Phillips, Currey, 2018), after hashicorp/memberlist. It
routes and nothing more: no correctness may rest on it. Rumors come in by packets, push-pull and `Tell`, pass the merge
rule of table.py, and what they change is spread, recorded with its evidence, and told to the listeners.
"""

from collections.abc import Callable, Sequence
from functools import partial

from cluster.config import MembershipSettings
from cluster.env import Env, StallWatch
from cluster.errors import NotFound
from cluster.membership.context import MembershipContext
from cluster.membership.evidence import WatchLinks
from cluster.membership.facts import Announcing
from cluster.membership.gossip import Gossip
from cluster.membership.member import LEFT, Member, MemberView, OwnIdentity, SeedMember
from cluster.membership.peers import PeersFile
from cluster.membership.probe import Awareness
from cluster.membership.push_pull import Joining, PushPulls
from cluster.membership.reception import Reception
from cluster.membership.rumors import Rumors
from cluster.membership.table import MemberTable
from cluster.ports import Datagrams, Lanes, Messenger, Recorder


class Membership:
    """One node's membership.

    `on_change(name, old, new)` is called for each change of a state, and with old = new = `alive` when a member is
    alive under another boot epoch than before. `on_refuted(reason)`: this node contradicted its own suspicion or death.
    `on_raised(epoch)`: it is about to announce itself in a higher epoch than its own, above what was said of another
    holder of its name; a later boot must not begin below that. `on_amnesia(reason)`: a peer knows a later boot of this
    very id, so this directory is a copy from before.
    `on_fact(name, kind, body)`: a member announced something; an empty body after its reboot says that it is void.
    """

    def __init__(
        self,
        env: Env,
        me: OwnIdentity,
        seeds: Sequence[SeedMember],
        messenger: Messenger,
        lanes: Lanes,
        datagrams: Datagrams,
        settings: MembershipSettings,
        stall: StallWatch,
        record: Recorder,
        is_named: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """`is_named`: whether the layout names a member; nobody else is admitted."""
        now = env.clock.now()
        self._table = table = MemberTable(me, list(seeds), now)
        table.is_named = is_named
        awareness = Awareness(settings.health_score_max)
        self.context = context = MembershipContext(
            me, env.clock, env.random, messenger, lanes, datagrams, settings, stall, record, table, awareness
        )
        self._gossip = Gossip(context)
        self._links = WatchLinks(context)
        self._push_pulls = PushPulls(
            context, self._gossip, lambda: self._reception.rows(), lambda rows, via: self._reception.absorb(rows, via)
        )
        self._joining = Joining(context, self._gossip, self._push_pulls)
        self._announcing = Announcing(context, self._gossip, self._push_pulls)
        self._peers = PeersFile(env.clock, env.disk, table.members, partial(record, "member.peers-file"))
        self._rumors = Rumors(
            context, self._gossip, self._push_pulls, self._announcing, self._links, self._peers.changed
        )
        self._reception = Reception(context, self._gossip, self._rumors, self._announcing, self._links)
        self.on_change = self._rumors.on_change
        self.on_refuted = self._rumors.on_refuted
        self.on_raised = self._rumors.on_raised
        self.on_amnesia = self._rumors.on_amnesia
        self.on_fact = self._announcing.on_fact

    # -- life

    def start(self) -> None:
        """Take part. This node must listen by now."""
        table, addresses = self._table, self.context.lanes.addresses
        for peer in self._peers.read():
            if peer.name in table.members:
                table.recall(peer.name, peer.id, peer.epoch)
        for name, member in table.members.items():
            if name != self.context.me.name:
                addresses[name] = member.address
        self._gossip.add(table.me.rumor())
        self._gossip.start()
        self._joining.start()
        self._rumors.detector.start()
        self._push_pulls.start()
        self._links.start()

    def stop(self) -> None:
        """Take part no more, without a word: to the others this is a crash."""
        for part in (self._joining, self._rumors, self._push_pulls, self._links, self._gossip):
            part.stop()
        self._peers.stop()

    # -- questions

    def state(self, name: str) -> str:
        """What is believed of a member. Raises NotFound."""
        return self._member(name).state

    def alive(self) -> list[str]:
        """Sorted names of the members that are alive, this node included."""
        return list(self._table.alive())

    def table(self) -> dict[str, MemberView]:
        """All members by sorted name, this node included."""
        members = self._table.members
        return {name: members[name].view() for name in sorted(members)}

    def view(self, name: str) -> MemberView:
        """One member. Raises NotFound."""
        return self._member(name).view()

    def name_of(self, id: str) -> str | None:
        """Who has this id now; None for one unknown, or replaced."""
        return self._table.name_of(id)

    def heard_in_this_boot(self) -> int:
        """How many members spoke since the start, directly or through others; this node included."""
        return sum(1 for member in self._table.members.values() if member.heard)

    @property
    def health(self) -> int:
        """The local health score: 0 is healthy (Lifeguard IV.A)."""
        return self.context.awareness.score

    @property
    def counts(self) -> dict[str, int]:
        """How often what happened, for metrics."""
        return self.context.counts

    # -- facts

    def announce(self, kind: str, body: bytes) -> None:
        """Make a fact about this node known to all, replacing the one of that kind."""
        self._announcing.announce(kind, body)

    def facts(self, kind: str) -> dict[str, bytes]:
        """What the members announced under `kind`, by name, this node and the dead included."""
        return self._announcing.facts.bodies(kind)

    def announced(self) -> dict[str, tuple[int, dict[str, int]]]:
        """What is held of each live member that was heard, this node included: its boot epoch, and by kind the version
        of what it announced in that boot."""
        facts, members = self._announcing.facts, self._table.members
        return {
            name: (epoch, facts.versions(name, epoch))
            for name in self._table.alive()
            if (member := members[name]).heard and (epoch := member.incarnation.epoch) > 0
        }

    def unknown(self, kind: str) -> list[str]:
        """The members that may be alive, and of which no fact of this kind is held from their present boot."""
        facts, members = self._announcing.facts, self._table.members
        return [
            name
            for name in self._table.alive()
            if not (member := members[name]).heard or kind not in facts.versions(name, member.incarnation.epoch)
        ]

    def fetch(self, name: str) -> None:
        """Exchange tables with a member of which something is missing. Nothing while too many exchanges run."""
        if name in self._table.members and name != self.context.me.name:
            self._push_pulls.with_peer(name)

    def tell(self, kind: str, done: Callable[[int], None]) -> None:
        """Send the own fact to all live members; `done` gets how many hold it now, this node included."""
        self._announcing.tell(kind, done)

    def tell_all(self, kind: str, done: Callable[[int], None]) -> None:
        """Send the own fact until all live members have it."""
        self._announcing.tell_all(kind, done)

    # -- what others report

    def note_evidence(self, peer: str, reason: str) -> None:
        """A data connection to `peer` was `refused`, `reset` or `closed`. Hearing the same twice is harmless."""
        if self._table.members.get(peer) is not None:
            self._rumors.evidence.note(peer, reason)
            self._links.changed()

    def admit(self, candidate: SeedMember) -> None:
        """The layout names a member more: it is probed and gossiped to as the others are."""
        self._table.admit(candidate, self.context.clock.now())
        self.context.lanes.addresses[candidate.name] = self._table.members[candidate.name].address
        self._rumors.after_change()
        self.fetch(candidate.name)

    def forget(self, name: str) -> None:
        """Drop a member for good: what is still said of this or an earlier boot of it is refused."""
        self._rumors.suspicions.clear(name)
        self._gossip.queue.forget(name)
        self._announcing.facts.forget(name)
        self._reception.forget(name)
        member = self._table.forget(name)
        if member is not None:
            self.context.lanes.addresses.pop(name, None)
            self._rumors.after_change()
            self._rumors.notify(name, member.state, LEFT)

    # -- inside

    def _member(self, name: str) -> Member:
        member = self._table.members.get(name)
        if member is None:
            raise NotFound(f"no member is named {name}")
        return member
