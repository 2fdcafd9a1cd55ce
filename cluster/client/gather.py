"""Asking many nodes the same thing at once, each directly, with one thread.

Used to see the cluster as each node sees it: a silent node costs the others nothing, and an error takes its place.
"""

from time import monotonic
from typing import Any

from cluster.client.certainty import GRACE_S, expired, lost
from cluster.client.link import Link, turn
from cluster.client.locate import Address
from cluster.errors import BadMessage, ClusterError, Unreachable, from_code
from cluster.wire.admin import Answer
from cluster.wire.frames import Body, Failure, Reply, Request
from cluster.wire.handshake import Party


def gather(
    targets: dict[str, Address],
    secret: bytes,
    me: Party,
    body: Body,
    timeout: float,
    layout: int = 0,
    retry_s: float | None = None,
) -> dict[str, Body | ClusterError]:
    """What each node answers to `body` within `timeout` seconds, or why it did not; in the order of `targets`.

    With `retry_s`, a node that cannot be reached is dialled again after so many seconds, until time is up.
    """
    deadline = monotonic() + timeout
    exchanges = [_Exchange(name, address, secret, me) for name, address in targets.items()]
    try:
        while True:
            now = monotonic()
            for exchange in exchanges:
                exchange.advance(body, layout, deadline - now)
                if retry_s is not None and isinstance(exchange.outcome, Unreachable):
                    exchange.wait(now + retry_s)
                exchange.wake(now)
            open_ones = [exchange for exchange in exchanges if exchange.outcome is None]
            if not open_ones or now >= deadline + GRACE_S:
                break
            wake_at = min([deadline + GRACE_S, *(one.wake_at for one in open_ones if one.wake_at is not None)])
            turn([one.link for one in open_ones if one.wake_at is None], wake_at - now)
    finally:
        for exchange in exchanges:
            exchange.link.close()
    return {one.link.name: one.outcome if one.outcome is not None else one.silent(body) for one in exchanges}


class _Exchange:
    """One node's part: dial, then ask, then listen; or wait until it is dialled again at `wake_at`."""

    def __init__(self, name: str, address: Address, secret: bytes, me: Party) -> None:
        self.secret = secret
        self.me = me
        self.link = Link(name, address, secret, me)
        self.end: int | None = None
        self.outcome: Body | ClusterError | None = None
        self.wake_at: float | None = None
        self.last: ClusterError | None = None

    def advance(self, body: Body, layout: int, remaining: float) -> None:
        """Send the question once the link is ready; take the answer, or the link's end."""
        if self.outcome is not None or self.wake_at is not None:
            return
        if self.end is None and self.link.ready:
            self.end = self.link.push(Request(1, max(1, int(remaining * 1000)), layout, body))
        for frame in self.link.inbox:
            if isinstance(frame, Reply) and frame.id == 1:
                self.outcome = frame.body
            elif isinstance(frame, Failure) and frame.id == 1:
                self.outcome = from_code(frame.code, frame.message)
        self.link.inbox.clear()
        error = self.link.error
        if self.outcome is None and error is not None:
            self.outcome = lost(body, self.link.name, error.message) if self._sent() else error

    def wait(self, until: float) -> None:
        """Forget the failure for now."""
        assert isinstance(self.outcome, ClusterError)
        self.last, self.outcome, self.wake_at = self.outcome, None, until
        self.link.close()

    def wake(self, now: float) -> None:
        """Dial again when it is time."""
        if self.wake_at is not None and now >= self.wake_at:
            self.wake_at, self.end = None, None
            self.link = Link(self.link.name, self.link.address, self.secret, self.me)

    def silent(self, body: Body) -> ClusterError:
        """What to say when time is up."""
        if self._sent():
            return expired(body, self.link.name)
        return self.last or Unreachable(f"{self.link.name}: silent")

    def _sent(self) -> bool:
        return self.end is not None and self.link.written >= self.end


def answer_value(outcome: Body | ClusterError) -> Any:
    """The value in an answer to an Ask; an error stays one."""
    if isinstance(outcome, Answer):
        return outcome.value
    if isinstance(outcome, ClusterError):
        return outcome
    return BadMessage(f"a {type(outcome).__name__} is no answer to this question")
