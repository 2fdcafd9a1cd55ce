"""Brings calls through a gate: starts those that have a place, answers those that are refused, and keeps its timer."""

from math import inf
from typing import Generic, Protocol, TypeVar

from cluster.env import Clock, Timer
from cluster.errors import ClusterError
from cluster.requests.gate import Gate, WaitingCall


class AdmittedCall(WaitingCall, Protocol):
    """What comes through."""

    def start(self) -> None:
        """It has a place, until whoever runs it calls `Admission.leave`."""

    def refuse(self, error: ClusterError) -> None:
        """It will not be started."""


C = TypeVar("C", bound=AdmittedCall)


class Admission(Generic[C]):
    """The way to one endpoint."""

    def __init__(self, gate: Gate[C], clock: Clock) -> None:
        self.gate = gate
        self._clock = clock
        self._timer: Timer | None = None
        self._look_at = 0.0
        self._filling = False

    def submit(self, call: C) -> None:
        """Start a call, let it wait, or refuse it: perhaps before this returns."""
        gate = self.gate
        if gate.enter():
            call.start()
            return
        for refused, error in gate.wait(call, self._clock.now()):
            refused.refuse(error)
        self.look()

    def leave(self) -> None:
        """A call that was started has ended."""
        self.gate.leave()
        if self.gate.waiting and not self._filling:
            self.look()

    def look(self, until: float = inf) -> None:
        """Start whoever has a place by now, but nobody from the time `until` on, and refuse whoever waits too long."""
        gate, now = self.gate, self._clock.now
        if not self._filling:  # a call that ends in its `start` leaves its place to this very loop
            self._filling = True
            try:
                while (at := now()) < until and (call := gate.next(at)) is not None:
                    call.start()
            finally:
                self._filling = False
        for refused, error in gate.refusals(now()):
            refused.refuse(error)
        look_at = gate.look_at()
        if self._timer is not None and (look_at is None or look_at < self._look_at):
            self._timer.cancel()
            self._timer = None
        if look_at is not None and self._timer is None:
            self._look_at = look_at
            self._timer = self._clock.call_at(look_at, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.look()
