"""What is said about members, and what becomes of it.

Every rumor passes `take`, whoever sent it and by which way, also this node's own suspicions and declarations. What it
changes in the table (table.py) is spread, recorded with its evidence, and given to the listeners; a suspicion begins or
ends; what is said of this node itself is refuted: only the member may raise its incarnation (SWIM, 2002, section 4.2).
"""

from collections.abc import Callable
from enum import Enum, auto

from cluster.membership.context import MembershipContext
from cluster.membership.detector import Detector
from cluster.membership.evidence import REFUSED, Evidence, WatchLinks
from cluster.membership.facts import Announcing
from cluster.membership.gossip import Gossip
from cluster.membership.member import ALIVE, DEAD, FACT, NEWS, REACHABLE, SUSPECT, Incarnation, Member, is_sound
from cluster.membership.probe import Probe
from cluster.membership.push_pull import PushPulls
from cluster.membership.suspicion import Suspicions
from cluster.membership.table import Effect, Merged
from cluster.wire.membership import Rumor

START_S = 3.0
"""A member that was never heard may still be starting: for so long after our own start its silence accuses nobody."""
START_NODES, START_S_PER_NODE = 32, 0.15
"""So many nodes start in that time on a small machine. Each further one adds to it, and in so large a cluster no
silence accuses anybody then: the starting nodes starve each other, and every false suspicion is gossip that starves
them more. A closed port still does."""


class Rumors:
    """Takes in rumors; makes those of this node."""

    def __init__(
        self,
        context: MembershipContext,
        gossip: Gossip,
        push_pulls: PushPulls,
        announcing: Announcing,
        links: WatchLinks,
        changed: Callable[[], None],
    ) -> None:
        self.context = context
        self.on_change: list[Callable[[str, str, str], None]] = []
        self.on_refuted: list[Callable[[str], None]] = []
        self.on_raised: list[Callable[[int], None]] = []
        self.on_amnesia: list[Callable[[str], None]] = []
        self.detector = Detector(context, gossip, self._probe_failed, self.found_closed, push_pulls.with_anyone)
        self.suspicions = Suspicions(context, gossip, self.detector, self.take)
        self.evidence = Evidence(context, gossip, self.found_closed)
        self._gossip = gossip
        self._push_pulls = push_pulls
        self._announcing = announcing
        self._links = links
        self._table_changed = changed
        self._contested = float("-inf")
        self._born = context.clock.now()

    def stop(self) -> None:
        """Judge nobody any more."""
        self.detector.stop()
        self.suspicions.stop()

    # -- rumors

    def take(self, rumor: Rumor, via: str, words: str = "") -> bool:
        """Take in one rumor, with the local evidence in `words` if it is our own. True when who told it is behind in
        what it knows of this node."""
        if rumor.state == FACT or rumor.state == NEWS:
            self._announcing.take(rumor, via)
            return False
        if rumor.name == self.context.me.name:
            return self._answer(rumor, via)
        merged = self.context.table.merge(rumor, self.context.clock.now())
        if merged.effect is Effect.KNOWN or merged.effect is Effect.OLD:
            return False
        if merged.effect is Effect.CHANGED:
            self._changed(merged, rumor, via, words)
        elif merged.effect is Effect.REFUSED:
            self.context.count("rumors_refused")
        elif self.suspicions.confirm(rumor.name, rumor.by or via):  # one that runs has another accuser
            self._gossip.add(rumor)
            cause = words or f"{rumor.by or via} suspects it too"
            self.context.record("member.confirmed", cause, member=rumor.name)
            if rumor.kind == REFUSED and via != self.context.me.name:
                self._check(rumor.name)
        return False

    def _changed(self, merged: Merged, rumor: Rumor, via: str, words: str) -> None:
        member = merged.member
        assert member is not None
        name, context = member.name, self.context
        if merged.old_state not in REACHABLE or name not in context.lanes.addresses:
            self.detector.order.add(name)
        context.lanes.addresses[name] = member.address
        if member.state == SUSPECT:
            self.suspicions.begin(member, rumor.by or via)
            if rumor.kind == REFUSED and via != context.me.name:
                self._check(name)
        else:
            self.suspicions.clear(name)
        self._gossip.add(rumor)
        if member.incarnation.epoch > merged.old_incarnation.epoch:
            context.lanes.redial(name)
            self._announcing.expire(name, member.incarnation.epoch)
        self.after_change()
        told = describe_change(merged, rumor, via, words)
        if told is not None:
            kind, cause = told
            context.record(kind, cause, member=name, incarnation=list(member.incarnation), old=merged.old_state)
        if member.state != merged.old_state or member.incarnation.epoch != merged.old_incarnation.epoch:
            self.notify(name, merged.old_state, member.state)

    def _check(self, name: str) -> None:
        """Somebody found the port of a suspect closed: see for ourselves, once a suspicion."""
        suspicion = self.suspicions.running(name)
        if suspicion is not None and not suspicion.refusals and not suspicion.checked:
            suspicion.checked = True
            self.evidence.check(name)

    def after_change(self) -> None:
        """The table changed: links, reconnecting and the peers file follow."""
        self._links.changed()
        self._push_pulls.dead_changed()
        self._table_changed()

    def notify(self, name: str, old: str, new: str) -> None:
        """Tell the listeners of a changed state."""
        for listener in tuple(self.on_change):
            listener(name, old, new)

    # -- about this node

    def _answer(self, rumor: Rumor, via: str) -> bool:
        """A rumor about this node: contradict what is wrong. True when who told it must hear what holds."""
        me, context = self.context.table.me, self.context
        heard = Incarnation(rumor.epoch, rumor.refutations)
        answer = answer_to(rumor, me) if heard.is_plausible() and is_sound(rumor) else SelfRumorAction.NOTHING
        if answer in (SelfRumorAction.NOTHING, SelfRumorAction.REMIND):
            return answer is SelfRumorAction.REMIND
        if answer is SelfRumorAction.CONTEST and not self._contest(rumor, via):
            return False
        epoch = me.incarnation.epoch
        if answer is SelfRumorAction.AMNESIA and self.on_amnesia:
            reason = f"{via} has seen {me.name} ({me.id}) in boot epoch {heard.epoch}, and this is epoch {epoch} of it"
            for remember in tuple(self.on_amnesia):
                remember(reason)
            return False
        is_this_boot = answer is SelfRumorAction.REFUTE and heard.epoch == epoch
        raised = me.incarnation.above(heard) if is_this_boot else me.incarnation.boot_after(heard)
        if raised.epoch != epoch:
            for raise_to in tuple(self.on_raised):
                raise_to(raised.epoch)
        context.table.raise_own(raised)
        self._gossip.add(me.rumor())
        if me.incarnation.epoch != epoch:
            self._announcing.renew()
        if rumor.state != ALIVE:
            self._refuted(rumor, via)
        return True

    def _contest(self, rumor: Rumor, via: str) -> bool:
        """Another id has our name: our directory was emptied since, or there are two of us.

        Two processes that claim one name must not shout at each other, so this node claims it once a probe interval.
        False says not now.
        """
        context = self.context
        now, me = context.clock.now(), context.me
        if now < self._contested + context.settings.probe_interval_s:
            return False
        self._contested = now
        cause = f"{via} has {me.name} as {rumor.id} in boot epoch {rumor.epoch}; this is {me.id} in {me.epoch}"
        context.record("member.name-conflict", cause, member=me.name, other=rumor.id)
        return True

    def _refuted(self, rumor: Rumor, via: str) -> None:
        context = self.context
        context.awareness.apply(1)
        word = "suspected" if rumor.state == SUSPECT else f"declared {rumor.state}"
        reason = f"{word} by {rumor.by or via} in incarnation {rumor.epoch}.{rumor.refutations}, received through {via}"
        incarnation = list(self.context.table.me.incarnation)
        context.record("member.refuted", reason, member=context.me.name, incarnation=incarnation)
        for listener in tuple(self.on_refuted):
            listener(reason)

    # -- verdicts of our own

    def _probe_failed(self, probe: Probe) -> None:
        member, now = self.context.table.members[probe.target], self.context.clock.now()
        beyond = max(0, self.context.table.size() - START_NODES)
        if now < self._born + START_S + beyond * START_S_PER_NODE and (beyond or not member.heard):
            return
        self._accuse(probe.target, "", probe.evidence())

    def found_closed(self, name: str, words: str) -> None:
        """We dialled a member and its port is closed. Of one that has not started yet that is no news."""
        member, context = self.context.table.members.get(name), self.context
        if member is None or not member.heard:
            return
        self._accuse(name, REFUSED, words)
        refusals = self.suspicions.refused(name)
        if refusals > 1:
            context.record("member.confirmed", f"its port was closed at {refusals} dials", member=name)
        suspicion = self.suspicions.running(name)
        if not refusals or suspicion is None or suspicion.is_confirmed:
            return

        def dial_again() -> None:
            """Nobody else has confirmed that the port is closed: perhaps nobody is left, so look once more."""
            if self.suspicions.running(name) is suspicion and not suspicion.is_confirmed:
                context.lanes.redial(name)  # a dial that its backoff holds back tells nothing
                self.evidence.check(name)

        context.clock.call_later(context.settings.probe_interval_s, dial_again)

    def _accuse(self, name: str, kind: str, words: str) -> None:
        """Suspect a member in the incarnation that we know, and let it hear that first of all."""
        member = self.context.table.members[name]
        rumor = member.accusation(self.context.me.name, kind)
        self.take(rumor, self.context.me.name, words)
        if member.state == SUSPECT and not kind:
            self._gossip.send(name, None, (rumor,))


def describe_change(merged: Merged, rumor: Rumor, via: str, words: str) -> tuple[str, str] | None:
    """Kind and cause of the event; None for what is not worth one. `words` is our own evidence, if it was our
    decision."""
    member = merged.member
    assert member is not None
    by, (epoch, refutations) = rumor.by or via, member.incarnation
    if member.state == ALIVE and epoch != merged.old_incarnation.epoch:
        cause = f"boot epoch {epoch}{_heard(member.name, via)}"
    elif member.state == ALIVE:
        if merged.old_state == ALIVE:
            return None  # it contradicted what we never heard
        contradicted = f"it contradicts that it is {merged.old_state}"
        cause = f"{contradicted}: {epoch}.{refutations}{_heard(member.name, via)}"
    elif member.state == SUSPECT:
        why = ": its port is closed" if rumor.kind == REFUSED else ""
        cause = words or f"{by} suspects it{why}{_heard(by, via)}"
    elif member.state == DEAD:
        cause = words or f"{by} declared it dead{_heard(by, via)}"
    else:
        cause = f"it says so{_heard(member.name, via)}"
    return f"member.{member.state}", cause


def _heard(origin: str, via: str) -> str:
    return "" if origin == via else f", received through {via}"


class SelfRumorAction(Enum):
    """What to do about a rumor about oneself."""

    NOTHING = auto()
    REMIND = auto()  # they are behind: tell them what holds
    REFUTE = auto()  # they think that we failed: a higher incarnation contradicts
    RISE = auto()  # they know a higher incarnation of this boot: go on above it
    AMNESIA = auto()  # they know a later boot of our id: our directory is a copy from before
    CONTEST = auto()  # another id has our name


def answer_to(rumor: Rumor, me: Member) -> SelfRumorAction:
    """Judge a plausible rumor about `me`; its incarnation decides first."""
    heard = Incarnation(rumor.epoch, rumor.refutations)
    if heard < me.incarnation:
        return SelfRumorAction.REMIND
    if rumor.id and rumor.id != me.id:
        return SelfRumorAction.CONTEST
    if rumor.id and heard.epoch > me.incarnation.epoch:
        return SelfRumorAction.AMNESIA
    if rumor.state == me.state:
        return SelfRumorAction.RISE if heard > me.incarnation else SelfRumorAction.NOTHING
    if rumor.state == ALIVE:  # of before we began to leave
        return SelfRumorAction.RISE if heard > me.incarnation else SelfRumorAction.REMIND
    return SelfRumorAction.REFUTE
