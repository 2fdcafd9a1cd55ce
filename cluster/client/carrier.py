"""What a session does for its router, and what a router does for subscriptions: the seam between deciding and carrying.

The asyncio session, the blocking one and the simulated one are carriers, each of a hundred lines. For types alone, so
that a one-shot command does not load it.
"""

from collections.abc import Callable
from typing import Protocol

from cluster.client.locate import Address
from cluster.env import Timer
from cluster.wire.caller import Caller
from cluster.wire.topics import Message


class Stream(Protocol):
    """One connection, being made or made."""

    def close(self) -> object:
        """End it. Harmless when it has ended."""


class Carrier(Protocol):
    """What a session does for its router: time, randomness and streams. Calls nothing back before it returns."""

    def now(self) -> float:
        """Seconds of the machine's monotonic clock: deadlines travel in it, and nodes of this machine share it."""

    def boot_id(self) -> str:
        """Which boot of the machine this is; see `cluster.env`."""

    def call_later(self, delay_s: float, function: Callable[[], object]) -> Timer:
        """Call `function` after so long; never before this returns."""

    def random_bytes(self, size: int) -> bytes:
        """For identities, nonces and jitter."""

    def dial(self, address: Address, caller: Caller) -> Stream:
        """Connect, then carry: write what `caller.take` gives, after each `caller.on_output`; `feed` what comes; `end`
        it when the stream ends or cannot be made."""


class Receiver(Protocol):
    """Takes the messages of one subscription."""

    def receive(self, message: Message) -> None:
        """A message came."""

    def end(self) -> None:
        """The client was closed."""
