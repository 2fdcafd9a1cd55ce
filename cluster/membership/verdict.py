"""From a suspicion to a verdict: the running suspicions and their timers.

The lengths are in suspicion.py (Lifeguard IV.B). A suspicion that lasts is told to the suspect itself by everyone who
holds it, again and again: its contradiction may have missed a few, who would otherwise hold it to the end, and the
first time may have met a partition that has healed since.

Three guards keep a live member from being declared dead on a starved host: a suspicion whose last part this process
slept through runs on for a while; without evidence of a closed port the member gets a last ping; and the verdict falls
only when that stays unanswered.
"""

from collections.abc import Callable

from cluster.env import Timer
from cluster.membership.context import Context
from cluster.membership.detector import Detector
from cluster.membership.gossip import Gossip
from cluster.membership.member import Member
from cluster.membership.suspicion import Suspicion, confirmations_expected

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


class Verdicts:
    """All suspicions that run, by member."""

    def __init__(
        self, context: Context, gossip: Gossip, detector: Detector, condemn: Callable[[Member, str], None]
    ) -> None:
        self.context = context
        self._gossip = gossip
        self._detector = detector
        self._condemn = condemn
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
        wait_s = self.context.settings.probe_interval_s * self.context.random.uniform(*REMINDER_PERIODS)
        return self.context.clock.call_later(wait_s, self._remind, name)

    def _remind(self, name: str) -> None:
        self._running[name].reminder = self._reminder(name)
        self._gossip.send(name, None, (self.context.table.members[name].rumor(),))

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
            self._condemn(member, self._grounds(suspicion, now))
        else:
            self._detector.challenge(
                member,
                member.rumor(),
                on_answer=lambda: self._spare(name, suspicion),
                on_silence=lambda: self._end(name, suspicion),
            )

    def _spare(self, name: str, suspicion: Suspicion) -> None:
        """The last ping was answered: the contradiction is on its way, or lost. Ask again later."""
        running = self._running.get(name)
        if running is not None and running.suspicion is suspicion:
            suspicion.extend(self.context.clock.now() + self.context.settings.probe_interval_s)
            self._rearm(name, running)

    def _end(self, name: str, suspicion: Suspicion) -> None:
        running = self._running.get(name)
        if running is not None and running.suspicion is suspicion:
            words = f"; a last ping got no ack in {self.context.probe_timeout_s() * 1000:.0f} ms"
            grounds = self._grounds(suspicion, self.context.clock.now())
            self._condemn(self.context.table.members[name], grounds + words)

    def _grounds(self, suspicion: Suspicion, now: float) -> str:
        accusers = ", ".join(suspicion.confirmed_by)
        text = f"suspected for {now - suspicion.started:.1f} s by {accusers}"
        if not suspicion.refusals:
            return text
        often = f" in {suspicion.refusals} dials" if suspicion.refusals > 1 else ""
        return f"{text}, and its port is closed{often}"
