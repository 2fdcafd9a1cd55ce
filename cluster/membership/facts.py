"""What members announce about themselves: kind -> body, under a version that only the announcer raises.

Facts travel like states: as rumors, and with the whole table in push-pull. The order is (boot epoch, version), so what
a former boot announced is void once the new boot is heard. A body too large for a packet goes by streams only; the
rumor then says just that there is a newer version (`news`), and who gets it pulls from the announcer.

`FactTable` is pure. `Announcing` spreads this node's facts and takes in those of others; `tell` is the barrier: it
sends a fact to every live member at once and counts who has it, for callers that must not go on before the others have
it (a subscription, say). Gossip and push-pull reach the rest.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from cluster.limits import FACT_BYTES_MAX
from cluster.membership.context import MembershipContext
from cluster.membership.gossip import Gossip
from cluster.membership.member import EPOCH_MAX, FACT, KIND_CHARACTERS_MAX, NEWS, is_sound
from cluster.membership.push_pull import PushPulls
from cluster.ports import Outcome
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.membership import Rumor, Tell, Told

KINDS_MAX = 64
"""Kinds one member may announce."""


class Fact(NamedTuple):
    """What a member announced last under one kind."""

    epoch: int
    version: int
    body: bytes


class FactEffect(Enum):
    """What a rumor of a fact did."""

    REFUSED = auto()
    KNOWN = auto()  # this or a newer version is held
    NEW = auto()
    PULL = auto()  # there is a newer version: fetch it
    FIRST_PULL = auto()  # the same, heard for the first time: pass the news on, too


class FactTable:
    """All facts by member and kind."""

    def __init__(self, rumor_body_max: int) -> None:
        self.rumor_body_max = rumor_body_max
        self._facts: dict[str, dict[str, Fact]] = {}
        self._news: dict[tuple[str, str], tuple[int, int]] = {}

    def announce(self, name: str, epoch: int, kind: str, body: bytes) -> Rumor:
        """A member's own new fact, in full."""
        assert 0 < len(kind) <= KIND_CHARACTERS_MAX and len(body) <= FACT_BYTES_MAX, kind
        held = self._facts.setdefault(name, {})
        assert kind in held or len(held) < KINDS_MAX, kind
        old = held.get(kind)
        version = old.version + 1 if old is not None and old.epoch == epoch else 1
        held[kind] = Fact(epoch, version, body)
        return self.rumor(name, kind)

    def knows(self, rumor: Rumor) -> bool:
        """Whether this or a newer version is held."""
        held = self._facts.get(rumor.name)
        fact = None if held is None else held.get(rumor.kind)
        return fact is not None and (rumor.epoch, rumor.version) <= (fact.epoch, fact.version)

    def merge(self, rumor: Rumor, epoch_min: int) -> FactEffect:
        """Take in what is said of another member's fact; `epoch_min` is the boot that is known of it."""
        if not is_sound(rumor) or not rumor.kind or not 0 <= rumor.epoch <= EPOCH_MAX or rumor.version < 1:
            return FactEffect.REFUSED
        held = self._facts.get(rumor.name, {})
        old = held.get(rumor.kind)
        stamp = (rumor.epoch, rumor.version)
        if rumor.epoch < epoch_min or (old is not None and stamp <= (old.epoch, old.version)):
            return FactEffect.KNOWN
        if old is None and len(held) >= KINDS_MAX:
            return FactEffect.REFUSED
        if rumor.state == NEWS:
            return self._hear(rumor.name, rumor.kind, stamp)
        self._facts.setdefault(rumor.name, {})[rumor.kind] = Fact(rumor.epoch, rumor.version, rumor.body)
        return FactEffect.NEW

    def is_news(self, rumor: Rumor) -> bool:
        """Whether nothing was heard yet of this version being there; from now on it was."""
        return self._hear(rumor.name, rumor.kind, (rumor.epoch, rumor.version)) is FactEffect.FIRST_PULL

    def _hear(self, name: str, kind: str, stamp: tuple[int, int]) -> FactEffect:
        if self._news.get((name, kind), (0, 0)) >= stamp:
            return FactEffect.PULL
        self._news[name, kind] = stamp
        return FactEffect.FIRST_PULL

    def for_packet(self, rumor: Rumor) -> Rumor:
        """The rumor itself when it fits into a packet, or the news that it is there."""
        if len(rumor.body) <= self.rumor_body_max:
            return rumor
        return Rumor(NEWS, rumor.name, rumor.epoch, 0, kind=rumor.kind, version=rumor.version)

    def rumor(self, name: str, kind: str) -> Rumor:
        """One fact, in full."""
        fact = self._facts[name][kind]
        return Rumor(FACT, name, fact.epoch, 0, kind=kind, version=fact.version, body=fact.body)

    def of(self, name: str) -> list[Rumor]:
        """All that a member announced, in full."""
        held = self._facts.get(name)
        return [self.rumor(name, kind) for kind in held] if held else []

    def versions(self, name: str, epoch: int) -> dict[str, int]:
        """By kind, the version that is held of what a member announced in one boot."""
        held = self._facts.get(name)
        return {kind: fact.version for kind, fact in held.items() if fact.epoch == epoch} if held else {}

    def bodies(self, kind: str) -> dict[str, bytes]:
        """What the members announced under a kind, by sorted name."""
        return {name: self._facts[name][kind].body for name in sorted(self._facts) if kind in self._facts[name]}

    def expire(self, name: str, epoch: int) -> list[str]:
        """Drop what boots before `epoch` announced; the kinds that are gone."""
        held = self._facts.get(name, {})
        gone = [kind for kind, fact in held.items() if fact.epoch < epoch]
        for kind in gone:
            del held[kind]
        return gone

    def forget(self, name: str) -> None:
        """Drop a member's facts and news."""
        self._facts.pop(name, None)
        for key in [key for key in self._news if key[0] == name]:
            del self._news[key]


TELL_TIMEOUT_S = 1.0
TELL_AGAIN_S = 0.02
RUMOR_OVERHEAD_BYTES = 160
"""Of a fact in a packet, besides its body: names, kind, numbers."""


class Announcing:
    """One node's facts and those it knows of."""

    def __init__(self, context: MembershipContext, gossip: Gossip, push_pulls: PushPulls) -> None:
        self.context = context
        self.facts = FactTable(gossip.space - RUMOR_OVERHEAD_BYTES)
        self.on_fact: list[Callable[[str, str, bytes], None]] = []
        self._gossip = gossip
        self._push_pulls = push_pulls

    def announce(self, kind: str, body: bytes) -> None:
        """A new fact of this node."""
        me = self.context.table.me
        rumor = self.facts.announce(me.name, me.incarnation.epoch, kind, body)
        self._gossip.add(self.facts.for_packet(rumor))
        self._notify(me.name, kind, body)

    def renew(self) -> None:
        """This node's epoch rose beyond its boot's: its facts must, too."""
        me = self.context.table.me
        for fact in self.facts.of(me.name):
            rumor = self.facts.announce(me.name, me.incarnation.epoch, fact.kind, fact.body)
            self._gossip.add(self.facts.for_packet(rumor))

    def tell(self, kind: str, done: Callable[[int], None]) -> None:
        """Send the own fact to all live members, and again to those that could not be reached, as of one that has just
        booted; `done(count)` when all have answered or had a second to."""
        context, confirmed = self.context, dict[str, None]()
        me, ends_at = context.me.name, context.clock.now() + TELL_TIMEOUT_S

        def attempt() -> None:
            left = [name for name in context.table.alive() if name != me and name not in confirmed]
            if not left or context.clock.now() >= ends_at:
                done(len(confirmed) + 1)
                return

            def answered(count: int) -> None:
                if all(name in confirmed for name in left):
                    attempt()
                else:
                    context.clock.call_later(TELL_AGAIN_S, attempt)

            answers = _FactHolders(len(left), answered, confirmed)
            context.messenger.request(left, Tell([self.facts.rumor(me, kind)]), ends_at, answers.take, LANE_CONTROL)

        context.clock.call_soon(attempt)

    def tell_all(self, kind: str, done: Callable[[int], None]) -> None:
        """As `tell`, and again to those that have not answered, until all live members have what was announced last:
        something newer than now, if there is any by then."""
        context, confirmed = self.context, dict[str, None]()
        me = context.me.name
        rumor = self.facts.rumor(me, kind)

        def attempt() -> None:
            nonlocal rumor
            newest = self.facts.rumor(me, kind)
            if rumor.version != newest.version:
                rumor = newest
                confirmed.clear()
            left = [name for name in context.table.alive() if name != me and name not in confirmed]
            if not left:
                done(len(confirmed) + 1)
                return
            answers = _FactHolders(len(left), lambda count: context.clock.call_later(TELL_AGAIN_S, attempt), confirmed)
            deadline = context.clock.now() + TELL_TIMEOUT_S
            context.messenger.request(left, Tell([rumor]), deadline, answers.take, LANE_CONTROL)

        context.clock.call_soon(attempt)

    def take(self, rumor: Rumor, via: str) -> None:
        """A rumor of a fact."""
        if self.facts.knows(rumor):
            return  # as most rumors are
        member = self.context.table.members.get(rumor.name)
        if member is None or rumor.name == self.context.me.name:
            return
        effect = self.facts.merge(rumor, member.incarnation.epoch)
        if effect is FactEffect.NEW:
            small = self.facts.for_packet(rumor)
            if small is rumor or self.facts.is_news(rumor):
                self._gossip.add(small)
            self._notify(rumor.name, rumor.kind, rumor.body)
        elif effect is FactEffect.FIRST_PULL or effect is FactEffect.PULL:
            if effect is FactEffect.FIRST_PULL:
                self._gossip.add(rumor)
            self._push_pulls.with_peer(rumor.name)
        elif effect is FactEffect.REFUSED:
            self.context.count("rumors_refused")

    def expire(self, name: str, epoch: int) -> None:
        """A member booted: what it announced before is void."""
        for kind in self.facts.expire(name, epoch):
            self._notify(name, kind, b"")

    def _notify(self, name: str, kind: str, body: bytes) -> None:
        for listener in tuple(self.on_fact):
            listener(name, kind, body)


class _FactHolders:
    """Counts who holds the fact."""

    def __init__(self, waiting: int, done: Callable[[int], object], confirmed: dict[str, None]) -> None:
        self.waiting = waiting
        self.confirmed = confirmed
        self.done = done

    def take(self, peer: str, outcome: Outcome) -> None:
        self.waiting -= 1
        if isinstance(outcome, Told):
            self.confirmed[peer] = None
        if self.waiting == 0:
            self.done(len(self.confirmed) + 1)
