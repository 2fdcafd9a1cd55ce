"""What a node remembers of the others across its own restarts: names, addresses, ids, last epochs.

Written at most once a second and only when something changed. It is a convenience: a node whose file is missing or
damaged starts from its layout alone and hears the rest from the others.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec import Struct

from cluster.env import Clock, Disk, Timer
from cluster.membership.member import Member
from cluster.membership.table import MEMBERS_MAX

PATH = "peers.json"
WRITE_INTERVAL_S = 1.0


class Peer(Struct, frozen=True):
    """One remembered member."""

    name: str
    id: str
    epoch: int
    zone: str
    host: str
    port: int


class _Document(Struct, frozen=True):
    peers: list[Peer]


_decode = msgspec.json.Decoder(_Document).decode


def decode_peers(data: bytes) -> list[Peer]:
    """The peers of a document. Raises ValueError for what is none."""
    peers = _decode(data).peers
    if len(peers) > MEMBERS_MAX:
        raise ValueError(f"{len(peers)} peers are more than {MEMBERS_MAX}")
    return peers


def encode_peers(members: Iterable[Member]) -> bytes:
    """The document of those members that were heard once, sorted by name."""
    peers = [
        Peer(member.name, member.id, member.incarnation.epoch, member.zone, *member.address)
        for member in sorted(members, key=lambda member: member.name)
        if member.id
    ]
    return msgspec.json.format(msgspec.json.encode(_Document(peers)), indent=1) + b"\n"


class PeersFile:
    """The document of `members` on the disk. `failed(cause)`: it could not be read or written."""

    def __init__(
        self, clock: Clock, disk: Disk, members: Mapping[str, Member], failed: Callable[[str], object]
    ) -> None:
        self._clock = clock
        self._disk = disk
        self._members = members
        self._failed = failed
        self._timer: Timer | None = None
        self._written = b""

    def read(self) -> list[Peer]:
        """What a former boot wrote; nothing when it cannot be read."""
        try:
            self._written = self._disk.read(PATH)
            return decode_peers(self._written)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._failed(f"{PATH} cannot be read ({error}): starting from the layout alone")
            return []

    def changed(self) -> None:
        """Write soon."""
        if self._timer is None:
            self._timer = self._clock.call_later(WRITE_INTERVAL_S, self._write)

    def stop(self) -> None:
        """Write what is not yet written, and no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._write()

    def _write(self) -> None:
        self._timer = None
        data = encode_peers(self._members.values())
        if data == self._written:
            return
        try:
            self._disk.write(PATH, data)
            self._written = data
        except OSError as error:
            self._failed(f"{PATH} cannot be written: {error}")
