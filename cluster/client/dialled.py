"""A client's connection over the seam's network, real or simulated: bytes between a link and a `Caller`."""

from functools import partial

from cluster.client.locate import Address
from cluster.env import Env, Link
from cluster.errors import Unreachable
from cluster.wire.caller import Caller


class DialledStream:
    """One connection, from the dial on."""

    def __init__(self, env: Env, address: Address, caller: Caller, timeout_s: float) -> None:
        self._env = env
        self._caller = caller
        self._link: Link | None = None
        self._paused = False
        caller.on_output = partial(env.clock.call_soon, self._flush)
        env.network.dial(address, self, timeout_s)

    def connected(self, link: Link) -> None:
        """The stream is open: the handshake begins."""
        self._link = link
        if self._caller.error is not None:
            link.abort()
        else:
            self._flush()

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self._caller.feed(data, self._env.clock.now())

    def lost(self, reason: str) -> None:
        """The stream ended, or could not be made."""
        self._link = None
        self._caller.end(Unreachable(f"{self._caller.name}: {reason}"))

    def pause(self) -> None:
        """The node reads slower than this side writes."""
        self._paused = True

    def resume(self) -> None:
        """The node has caught up."""
        self._paused = False
        self._flush()

    def close(self) -> None:
        """End it, after what was written."""
        if self._link is not None:
            self._flush()
            self._link.close()

    def _flush(self) -> None:
        if self._link is not None and not self._paused:
            frames = self._caller.take(self._env.clock.now())
            if frames:
                self._link.write(b"".join(frames.values()))
