"""Tagged datagrams: each carries a keyed BLAKE2b tag over the cluster, the time of sending, the sender and the body.

The key is that of the role node. A datagram without the right tag is dropped without a word. Replays are harmless by
construction: probes carry sequence numbers and rumors carry incarnations. Layout: tag (16 bytes) | seconds on the
sender's monotonic clock (8) | its machine's boot, hashed (4; zero: unknown) | length of its name (1) | name | body.
"""

import struct
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from cluster.wire.clock import SenderClock

TAG_BYTES = 16
_HEAD = struct.Struct(">d4sB")
CLOCKS_MAX = 1024
UNKNOWN = bytes(4)


def seal_bytes(sender: str) -> int:
    """What a seal adds to a body."""
    return TAG_BYTES + _HEAD.size + len(sender.encode())


class Opened(NamedTuple):
    """A datagram that is of this cluster. `sent` is on the receiver's clock."""

    sender: str
    body: bytes
    sent: float


class DatagramSeal:
    """Seals and opens the datagrams of one cluster on a machine whose boot is `boot`, with the key of the nodes."""

    __slots__ = ("_boot", "_clocks", "_keyed")

    def __init__(self, key: bytes, cluster: str, boot: str = "") -> None:
        self._keyed = blake2b(key=key, digest_size=TAG_BYTES)
        self._keyed.update(len(cluster.encode()).to_bytes(2, "big") + cluster.encode())
        self._boot = blake2b(boot.encode(), digest_size=4).digest() if boot else UNKNOWN
        self._clocks: dict[tuple[str, bytes], SenderClock] = {}  # a sender, in one boot of its machine

    def _tag(self, rest: bytes) -> bytes:
        state = self._keyed.copy()
        state.update(rest)
        return state.digest()

    def seal(self, sender: str, body: bytes, now: float) -> bytes:
        """A datagram from `sender`, sent `now`."""
        name = sender.encode()
        rest = _HEAD.pack(now, self._boot, len(name)) + name + body
        return self._tag(rest) + rest

    def open(self, datagram: bytes, now: float) -> Opened | None:
        """What is in a datagram that is read `now`, or None for what is not of this cluster."""
        if len(datagram) < TAG_BYTES + _HEAD.size:
            return None
        rest = datagram[TAG_BYTES:]
        if not compare_digest(datagram[:TAG_BYTES], self._tag(rest)):
            return None
        at, boot, size = _HEAD.unpack_from(rest)
        end = _HEAD.size + size
        try:
            sender = rest[_HEAD.size : end].decode()
        except UnicodeDecodeError:
            return None
        clock = self._clocks.get((sender, boot))
        if clock is None:
            if len(self._clocks) >= CLOCKS_MAX:
                self._clocks.clear()
            clock = self._clocks[sender, boot] = SenderClock(same=boot == self._boot != UNKNOWN)
        return Opened(sender, rest[end:], clock.stamped(at, now))
