"""How long a suspicion lasts before the member is declared dead: the fewer confirm it, the longer.

Lifeguard (Dadgar, Phillips, Currey, 2018) section IV.B, "LHA-Suspicion", in the form of hashicorp/memberlist's
suspicion.go:

    timeout = max - (max - min) * log(c + 1) / log(k + 1)

with c independent confirmations out of the k that are expected.

Independent means by other accusers, or by time: a kernel that refuses this node's dial once may serve a process that
restarts; one that refuses again and again, a probe interval apart, has none. When all who could confirm are down too
(two of three killed), nothing else can shorten a suspicion.

`Suspicion` is pure; `Suspicions` runs the timers. A suspicion that lasts is sent to the suspect itself by everyone who
holds it, again and again: its refutation may have missed a few, who would otherwise hold it to the end, and the first
time may have met a partition that has healed since. Three guards keep a live member from being declared dead on a
starved host: a suspicion whose last part this process slept through runs on for a while; without evidence of a closed
port the member gets a last ping; and it is declared dead only when that stays unanswered.
"""

import math
from collections.abc import Callable

from cluster.env import Timer
from cluster.membership.context import MembershipContext
from cluster.membership.detector import Detector
from cluster.membership.gossip import Gossip
from cluster.membership.member import DEAD, Incarnation, Member
from cluster.wire.membership import Rumor


def confirmations_expected(suspicion_mult: int, members: int) -> int:
    """k = min(multiplier - 2, n - 2): the accuser and the accused confirm nothing. 0 or less: do not wait for any."""
    return min(suspicion_mult - 2, members - 2)


def suspicion_timeout_s(confirmations: int, expected: int, min_s: float, max_s: float) -> float:
    """The whole length of a suspicion; `min_s` when nobody could confirm it."""
    if expected <= 0:
        return min_s
    fraction = math.log(confirmations + 1) / math.log(expected + 1)
    return max(min_s, max_s - fraction * (max_s - min_s))


class Suspicion:
    """A suspicion that runs against one incarnation of a member.

    `refusals` counts how often this node itself found the member's port closed, a probe interval apart. Time that this
    process slept is given back through `extended_s`.
    """

    __slots__ = (
        "checked",
        "confirmed_by",
        "expected",
        "extended_s",
        "incarnation",
        "max_s",
        "min_s",
        "refusals",
        "refused_at",
        "started",
    )

    def __init__(
        self, incarnation: Incarnation, by: str, expected: int, min_s: float, max_s: float, started: float
    ) -> None:
        assert 0 < min_s <= max_s
        self.incarnation = incarnation
        self.confirmed_by = {by: None}  # ordered, with the first accuser, who is no confirmation
        self.expected = expected
        self.min_s = min_s
        self.max_s = max_s
        self.started = started
        self.extended_s = 0.0
        self.refusals = 0
        self.refused_at = float("-inf")
        self.checked = False

    @property
    def confirmations(self) -> int:
        """How many besides the first evidence: other accusers, and own dials that were refused again."""
        return len(self.confirmed_by) - 1 + max(0, self.refusals - 1)

    @property
    def is_confirmed(self) -> bool:
        """Whether more evidence would change nothing."""
        return self.confirmations >= self.expected

    @property
    def deadline(self) -> float:
        """When the member is to be declared dead."""
        whole = suspicion_timeout_s(self.confirmations, self.expected, self.min_s, self.max_s)
        return self.started + whole + self.extended_s

    def confirm(self, by: str) -> bool:
        """Count an accuser. False when it is none that shortens the suspicion: repeated, or beyond those expected."""
        if by in self.confirmed_by or self.is_confirmed:
            return False
        self.confirmed_by[by] = None
        return True

    def refuse(self, now: float, apart_s: float) -> bool:
        """This node's dial was refused. True when it counts: the first, or one `apart_s` behind the last that did."""
        if now - self.refused_at < apart_s or (self.refusals and self.is_confirmed):
            return False
        self.refusals += 1
        self.refused_at = now
        return True

    def extend(self, until: float) -> None:
        """Move the deadline to `until`, when that is later."""
        self.extended_s += max(0.0, until - self.deadline)


REMINDER_PERIODS = (2.0, 4.0)
"""Probe intervals between two reminders, at random between these: gossip has done its work by then."""


class _Running:
    __slots__ = ("reminder", "suspicion", "timer")

    def __init__(self, suspicion: Suspicion, timer: Timer, reminder: Timer) -> None:
        self.suspicion = suspicion
        self.timer = timer
        self.reminder = reminder

    def cancel(self) -> None:
        self.timer.cancel()
        self.reminder.cancel()


class Suspicions:
    """All suspicions that run, by member. `take(rumor, via, words)` takes in what one comes to."""

    def __init__(
        self,
        context: MembershipContext,
        gossip: Gossip,
        detector: Detector,
        take: Callable[[Rumor, str, str], bool],
    ) -> None:
        self.context = context
        self._gossip = gossip
        self._detector = detector
        self._take = take
        self._running: dict[str, _Running] = {}

    def begin(self, member: Member, by: str) -> None:
        """The member is suspected, or suspected in a higher incarnation."""
        self.clear(member.name)
        settings, n = self.context.settings, self.context.table.size()
        suspicion = Suspicion(
            member.incarnation,
            by,
            confirmations_expected(settings.suspicion_mult, n),
            settings.suspicion_min_s(n),
            settings.suspicion_max_s(n),
            self.context.clock.now(),
        )
        timer = self._timer(member.name, suspicion.deadline)
        self._running[member.name] = _Running(suspicion, timer, self._reminder(member.name))

    def confirm(self, name: str, by: str) -> bool:
        """Another accuser. True when it counts, and should be passed on."""
        running = self._running.get(name)
        if running is None or not running.suspicion.confirm(by):
            return False
        self._rearm(name, running)
        return True

    def refused(self, name: str) -> int:
        """This node's dial of a suspect was refused. How often, if it counts this time; else 0."""
        running = self._running.get(name)
        apart_s = self.context.settings.probe_interval_s
        if running is None or not running.suspicion.refuse(self.context.clock.now(), apart_s):
            return 0
        self._rearm(name, running)
        return running.suspicion.refusals

    def running(self, name: str) -> Suspicion | None:
        """The suspicion against a member."""
        running = self._running.get(name)
        return None if running is None else running.suspicion

    def clear(self, name: str) -> None:
        """The member is suspected no longer."""
        running = self._running.pop(name, None)
        if running is not None:
            running.cancel()

    def stop(self) -> None:
        """Let all suspicions go."""
        for name in list(self._running):
            self.clear(name)

    def _timer(self, name: str, when: float) -> Timer:
        return self.context.clock.call_at(when, self._expire, name)

    def _rearm(self, name: str, running: _Running) -> None:
        running.timer.cancel()
        running.timer = self._timer(name, running.suspicion.deadline)

    def _reminder(self, name: str) -> Timer:
        def remind() -> None:
            self._running[name].reminder = self._reminder(name)
            self._gossip.send(name, None, (self.context.table.members[name].rumor(),))

        wait_s = self.context.settings.probe_interval_s * self.context.random.uniform(*REMINDER_PERIODS)
        return self.context.clock.call_later(wait_s, remind)

    def _expire(self, name: str) -> None:
        running, context = self._running[name], self.context
        suspicion, member = running.suspicion, context.table.members[name]
        now = context.clock.now()
        last_part_s = context.settings.probe_interval_s
        if context.stall.overlaps(suspicion.deadline - last_part_s, now):
            suspicion.extend(now + last_part_s)
            self._rearm(name, running)
            cause = f"this process was stalled when the suspicion of {name} ran out"
            context.record("probe.void", cause, member=name, health=context.awareness.score)
        elif suspicion.refusals:
            self._declare_dead(member, self._grounds(suspicion, now))
        else:

            def pinged(answered: bool) -> None:
                if self._running.get(name) is not running:
                    return
                now = context.clock.now()
                if answered:  # the contradiction is on its way, or lost: ask again later
                    suspicion.extend(now + context.settings.probe_interval_s)
                    self._rearm(name, running)
                else:
                    words = f"; a last ping got no ack in {context.probe_timeout_s() * 1000:.0f} ms"
                    self._declare_dead(context.table.members[name], self._grounds(suspicion, now) + words)

            self._detector.challenge(member, member.rumor(), pinged)

    def _declare_dead(self, member: Member, words: str) -> None:
        me = self.context.me.name
        self._take(Rumor(DEAD, member.name, *member.incarnation, by=me), me, words)

    def _grounds(self, suspicion: Suspicion, now: float) -> str:
        accusers = ", ".join(suspicion.confirmed_by)
        text = f"suspected for {now - suspicion.started:.1f} s by {accusers}"
        if not suspicion.refusals:
            return text
        often = f" in {suspicion.refusals} dials" if suspicion.refusals > 1 else ""
        return f"{text}, and its port is closed{often}"
