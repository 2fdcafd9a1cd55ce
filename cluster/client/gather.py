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
    targets: dict[str, Address], secret: bytes, me: Party, body: Body, timeout: float, layout: int = 0
) -> dict[str, Body | ClusterError]:
    """What each node answers to `body` within `timeout` seconds, or why it did not; in the order of `targets`."""
    deadline = monotonic() + timeout + GRACE_S
    exchanges = [_Exchange(Link(name, address, secret, me), body, layout) for name, address in targets.items()]
    try:
        while True:
            remaining = deadline - monotonic()
            for exchange in exchanges:
                exchange.advance(remaining - GRACE_S)
            waiting = [exchange.link for exchange in exchanges if exchange.outcome is None]
            if not waiting or remaining <= 0:
                break
            turn(waiting, remaining)
    finally:
        for exchange in exchanges:
            exchange.link.close()
    return {exchange.link.name: exchange.outcome or exchange.silent(timeout) for exchange in exchanges}


class _Exchange:
    """One node's part: dial, then ask, then listen."""

    def __init__(self, link: Link, body: Body, layout: int) -> None:
        self.link = link
        self.body = body
        self.layout = layout
        self.end: int | None = None
        self.outcome: Body | ClusterError | None = None

    def advance(self, remaining: float) -> None:
        """Send the question once the link is ready; take the answer, or the link's end."""
        if self.outcome is not None:
            return
        if self.end is None and self.link.ready:
            self.end = self.link.push(Request(1, max(1, int(remaining * 1000)), self.layout, self.body))
        for frame in self.link.inbox:
            if isinstance(frame, Reply) and frame.id == 1:
                self.outcome = frame.body
            elif isinstance(frame, Failure) and frame.id == 1:
                self.outcome = from_code(frame.code, frame.message)
        self.link.inbox.clear()
        if self.outcome is None and self.link.error is not None:
            self.outcome = lost(self.body, self.link.name, self.link.error.message) if self._sent() else self.link.error

    def silent(self, timeout: float) -> ClusterError:
        """What to say when time is up."""
        if self._sent():
            return expired(self.body, self.link.name, timeout)
        return Unreachable(f"{self.link.name}: silent")

    def _sent(self) -> bool:
        return self.end is not None and self.link.written >= self.end


def answer_value(outcome: Body | ClusterError) -> Any:
    """The value in an answer to an Ask; an error stays one."""
    if isinstance(outcome, Answer):
        return outcome.value
    if isinstance(outcome, ClusterError):
        return outcome
    return BadMessage(f"a {type(outcome).__name__} is no answer to this question")
