"""The failure detector's driver: one probe a period, answers to the probes of others, and challenges.

SWIM (2002) section 3.1; decisions are in probe.py. At rest a period costs one ping, one ack and two timers, whatever
the size of the cluster. A *challenge* is a ping outside the rounds that carries what is said of the target, so that a
live one contradicts it: the last word before a verdict, or the check of somebody else's old verdict.

A timer that comes late tells that this process was starved: the sockets are read once more before anybody is judged.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.env import Timer
from cluster.membership.context import MembershipContext, is_refusal
from cluster.membership.gossip import Gossip
from cluster.membership.member import REACHABLE, Member
from cluster.membership.probe import Probe, ProbeOrder, ProbeOutcome
from cluster.ports import Outcome
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.membership import Ping, PingAck, PingNack, PingRequest, Rumor, StreamPing, StreamPong

LATE_S = 0.02
"""Loop timers are a few milliseconds late by nature; more than this is another process on our core."""

NACK_SHARE = 0.8
"""A helper gives up after this share of the probe timeout, so that its nack arrives in time (Lifeguard IV.A)."""

RELAYS_MAX = 256
CHALLENGE_TRIES_MAX = 3


@dataclass(slots=True)
class _RelayedProbe:
    """A probe on behalf of another node."""

    requester: str
    sequence: int
    target: str
    timer: Timer


@dataclass(slots=True)
class _DirectProbe:
    """A ping whose silence has consequences."""

    target: str
    rumor: Rumor
    done: Callable[[bool], object]
    sent: float
    tries: int
    timer: Timer | None = None


class Detector:
    """Probes others and answers probes."""

    def __init__(
        self,
        context: MembershipContext,
        gossip: Gossip,
        failed: Callable[[Probe], None],
        refused: Callable[[str, str], None],
        woke: Callable[[], None],
    ) -> None:
        self.context = context
        self.gossip = gossip
        self.order = ProbeOrder(context.random)
        self._failed = failed
        self._refused = refused
        self._woke = woke
        self._sequence = context.random.getrandbits(31)  # so that an answer to a former boot is none to this one
        self._stalls = context.stall.count
        self._probe: Probe | None = None
        self._period_timer: Timer | None = None
        self._timeout_timer: Timer | None = None
        self._relays: dict[int, _RelayedProbe] = {}
        self._challenges: dict[int, _DirectProbe] = {}

    def start(self) -> None:
        """Begin at a random moment of the first period, so that nodes that start together do not probe together."""
        now = self.context.clock.now()
        self._arm(now + self.context.random.uniform(0.5, 1.0) * self.context.settings.probe_interval_s)

    def stop(self) -> None:
        """Probe no more."""
        timers = [self._period_timer, self._timeout_timer]
        timers += [relay.timer for relay in self._relays.values()]
        timers += [challenge.timer for challenge in self._challenges.values()]
        for timer in timers:
            if timer is not None:
                timer.cancel()
        self._relays.clear()
        self._challenges.clear()
        self._probe = None

    # -- the round

    def _arm(self, due: float) -> None:
        self._period_timer = self.context.clock.call_at(due, self._period, due)

    def _period(self, due: float) -> None:
        """The end of a period is the begin of the next."""
        now = self.context.clock.now()
        probe = self._probe
        if probe is not None and not probe.answered_by and probe.patience and now - due > LATE_S:
            probe.patience -= 1
            self._arm(now + LATE_S)
            return
        if self.context.stall.count != self._stalls:
            self._stalls = self.context.stall.count
            self._woke()
        if probe is not None:
            self._judge(probe, now)
        context = self.context
        self._arm(now + context.awareness.scale(context.settings.probe_interval_s))
        target = self.order.next(context.table.others())
        if target is None:
            return
        timeout_s = context.probe_timeout_s()
        incarnation = context.table.members[target].incarnation
        self._probe = probe = Probe(target, self._next_sequence(), now, timeout_s, incarnation)
        self._timeout_timer = context.clock.call_at(now + timeout_s, self._unanswered, probe, now + timeout_s)
        context.count("probes")
        self._ping(target, probe.sequence)

    def _unanswered(self, probe: Probe, due: float) -> None:
        """The direct ping got no ack in time: ask helpers, and try a stream, in case it is datagrams that fail."""
        context = self.context
        if probe is not self._probe or probe.answered_by:
            return
        if context.clock.now() - due > LATE_S and probe.patience:
            probe.patience -= 1
            due = context.clock.now() + LATE_S
            self._timeout_timer = context.clock.call_at(due, self._unanswered, probe, due)
            return
        members = context.table.members
        able = [name for name in context.table.others() if name != probe.target and members[name].is_known()]
        probe.ask(context.random.sample(able, min(context.settings.indirect_probes, len(able))))
        for helper in probe.helpers:
            self.gossip.send(helper, PingRequest(probe.sequence, probe.target))
        probe.stream_asked = True
        deadline = probe.started + context.awareness.scale(context.settings.probe_interval_s)
        ping = StreamPing(probe.target)

        def streamed(peer: str, outcome: Outcome) -> None:
            if is_refusal(outcome):
                self._refused(peer, "its port refused a probe over a stream")
            elif isinstance(outcome, StreamPong) and probe is self._probe and probe.on_ack(peer):
                self._answered(probe)

        context.messenger.request([probe.target], ping, deadline, streamed, LANE_CONTROL)

    def _judge(self, probe: Probe, now: float) -> None:
        context = self.context
        self._probe = None
        if probe.answered_by:
            return  # the health was credited when the ack came
        verdict = probe.verdict(context.stall.overlaps(probe.started, now))
        member = context.table.members.get(probe.target)
        if verdict is ProbeOutcome.VOID:
            context.awareness.apply(probe.health_delta(verdict, ()))
            context.count("probes_void")
            cause = f"this process was stalled while it waited for {probe.target}"
            context.record("probe.void", cause, member=probe.target, health=context.awareness.score)
        elif member is not None and member.state in REACHABLE and member.incarnation == probe.incarnation:
            if member.heard:  # of one that never spoke, silence is no sign of our own slowness
                live = [name for name in probe.helpers if context.table.is_alive(name)]
                context.awareness.apply(probe.health_delta(verdict, live))
            context.count("probes_failed")
            self._failed(probe)

    def _answered(self, probe: Probe) -> None:
        if self._timeout_timer is not None:
            self._timeout_timer.cancel()
        self.context.awareness.apply(probe.health_delta(ProbeOutcome.ANSWERED, ()))

    # -- messages

    def on_ping(self, sender: str, ping: Ping, first: list[Rumor]) -> None:
        """Acknowledge, unless the address has a new owner. `first` is what the sender must hear."""
        if ping.target == self.context.me.name:
            self.gossip.send(sender, PingAck(ping.sequence), first)

    def on_ack(self, sender: str, ack: PingAck) -> None:
        """An answer: to our probe, to a challenge, or to be passed on to whom we helped."""
        probe = self._probe
        if probe is not None and probe.sequence == ack.sequence:
            if probe.on_ack(sender):
                self._answered(probe)
            return
        challenge = self._challenges.get(ack.sequence)
        if challenge is not None and challenge.target == sender:
            self._finish_challenge(ack.sequence)
            challenge.done(True)
            return
        relay = self._relays.get(ack.sequence)
        if relay is not None and relay.target == sender:
            del self._relays[ack.sequence]
            relay.timer.cancel()
            self.gossip.send(relay.requester, PingAck(relay.sequence))

    def on_nack(self, sender: str, nack: PingNack) -> None:
        """A helper is alive, but heard nothing."""
        if self._probe is not None and self._probe.sequence == nack.sequence:
            self._probe.on_nack(sender)

    def on_request(self, sender: str, request: PingRequest) -> None:
        """Probe on behalf of `sender`."""
        if request.target not in self.context.table.members or len(self._relays) >= RELAYS_MAX:
            return
        sequence = self._next_sequence()

        def give_up() -> None:
            del self._relays[sequence]
            self.gossip.send(sender, PingNack(request.sequence))

        timer = self.context.clock.call_later(NACK_SHARE * self.context.settings.probe_timeout_s, give_up)
        self._relays[sequence] = _RelayedProbe(sender, request.sequence, request.target, timer)
        self._ping(request.target, sequence)

    # -- challenges

    def challenge(self, member: Member, rumor: Rumor, done: Callable[[bool], object]) -> None:
        """Confront a member with what is said of it; `done` says, once, whether it answered."""
        now = self.context.clock.now()
        self._send_challenge(_DirectProbe(member.name, rumor, done, now, CHALLENGE_TRIES_MAX))

    def is_challenged(self, name: str) -> bool:
        """Whether a challenge of the member is under way."""
        return any(challenge.target == name for challenge in self._challenges.values())

    def _send_challenge(self, challenge: _DirectProbe) -> None:
        context = self.context
        sequence = self._next_sequence()
        challenge.sent = context.clock.now()
        due = challenge.sent + context.probe_timeout_s()

        def silent() -> None:
            self._finish_challenge(sequence)
            now = context.clock.now()
            starved = now - due > LATE_S or context.stall.overlaps(challenge.sent, now)
            if starved and challenge.tries > 0:
                self._send_challenge(challenge)
            else:
                challenge.done(False)

        challenge.tries -= 1
        challenge.timer = context.clock.call_at(due, silent)
        self._challenges[sequence] = challenge
        self.gossip.send(challenge.target, Ping(sequence, challenge.target), (challenge.rumor,))

    def _finish_challenge(self, sequence: int) -> None:
        challenge = self._challenges.pop(sequence)
        assert challenge.timer is not None
        challenge.timer.cancel()

    # -- inside

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _ping(self, target: str, sequence: int) -> None:
        """With what we believe of the target, unless that is just that it is alive."""
        member = self.context.table.members[target]
        self.gossip.send(target, Ping(sequence, target), () if member.is_known() else (member.rumor(),))
