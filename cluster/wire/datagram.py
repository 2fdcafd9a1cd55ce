"""Tagged datagrams: each carries a keyed BLAKE2b tag over the cluster, the sender and the body.

A datagram without the right tag is dropped without a word. Replays are harmless by construction: probes carry sequence
numbers and rumors carry incarnations. Layout: tag (16 bytes) | length of the sender's name (1 byte) | name | body.
"""

from hashlib import blake2b
from hmac import compare_digest

TAG_BYTES = 16


class DatagramSeal:
    """Seals and opens the datagrams of one cluster."""

    __slots__ = ("_keyed",)

    def __init__(self, secret: bytes, cluster: str) -> None:
        self._keyed = blake2b(key=secret[:64], digest_size=TAG_BYTES)
        self._keyed.update(len(cluster.encode()).to_bytes(2, "big") + cluster.encode())

    def _tag(self, rest: bytes) -> bytes:
        state = self._keyed.copy()
        state.update(rest)
        return state.digest()

    def seal(self, sender: str, body: bytes) -> bytes:
        """A datagram from `sender`."""
        name = sender.encode()
        rest = bytes((len(name),)) + name + body
        return self._tag(rest) + rest

    def open(self, datagram: bytes) -> tuple[str, bytes] | None:
        """Sender and body, or None for what is not of this cluster."""
        if len(datagram) < TAG_BYTES + 2:
            return None
        rest = datagram[TAG_BYTES:]
        if not compare_digest(datagram[:TAG_BYTES], self._tag(rest)):
            return None
        end = 1 + rest[0]
        try:
            return rest[1:end].decode(), rest[end:]
        except UnicodeDecodeError:
            return None
