"""The layout of a running node: what is served, what is on the disk, and how it hears of the next one.

An entry is durable before anything is served under it, so that a restart never goes back. A placed message that was
routed by another number says who is behind: its receiver, which fetches the entry from the sender and holds the message
meanwhile; or its sender, which is refused, fetches the entry in turn, and goes on with the same operation. So one node
that holds an entry is enough for all others to find it.
"""

from typing import Final

from cluster.env import Env
from cluster.errors import ClusterError, StorageFull, Usage
from cluster.layout import LayoutEntry, View, decode_entry, encode_entry
from cluster.ports import Inbound, Outcome, Recorder
from cluster.rpc.inbound import HOLD, PROCEED, STALE
from cluster.rpc.rpc import Rpc
from cluster.wire.admin import Answer, Ask
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.rights import ROLE_NODE

LAYOUT_FILE: Final = "layout.json"
FETCH_TIMEOUT_S: Final = 0.5


class Layouts:
    """One node's entry of the chain, and the way to the next."""

    def __init__(self, env: Env, view: View, rpc: Rpc, record: Recorder) -> None:
        self._env = env
        self._view = view
        self._rpc = rpc
        self._record = record
        self._fetching: dict[str, None] = {}

    def judge(self, number: int, inbound: Inbound) -> str:
        """What to do with a placed message that was routed by another number than ours. A client that is behind is
        served: whichever node it found forwards to the owners of now."""
        if number > self._view.number:
            for name in [inbound.sender] if inbound.role == ROLE_NODE else self._view.members:
                self.fetch(name)
            return HOLD
        return STALE if inbound.role == ROLE_NODE else PROCEED

    def fetch(self, peer: str) -> None:
        """Take over the entry that a peer holds, if it is newer; one question to a peer at a time."""
        if peer in self._fetching or peer == self._view.me:
            return
        self._fetching[peer] = None
        deadline = self._env.clock.now() + FETCH_TIMEOUT_S
        self._rpc.request([peer], Ask("layout", {}), deadline, self._fetched, LANE_CONTROL)

    def _fetched(self, peer: str, outcome: Outcome) -> None:
        del self._fetching[peer]
        if type(outcome) is not Answer:
            return  # whatever waits for it asks again, or ends at its deadline
        before = self._view.number
        try:
            self.adopt(str(outcome.value["entry"]))
        except ClusterError as error:
            self._record("layout.refused", error.message, peer=peer)
        else:
            if self._view.number == before:  # it came another way, before the refusal: what waits was sent too early
                self._rpc.layout_changed(before)

    def current(self) -> dict[str, object]:
        """The entry that is served."""
        return {"number": self._view.number, "entry": encode_entry(self._view.entry).decode()}

    def adopt(self, text: str) -> int:
        """Serve under this entry from now on, if it is newer; it is on the disk before. Returns the number that is
        served. Raises Damaged, Usage for an entry that would move data, StorageFull."""
        entry, held = decode_entry(text.encode()), self._view.entry
        if entry.number <= held.number:
            return held.number
        if _shape(entry) != _shape(held):
            raise Usage(f"layout {entry.number} has other members or quorums than {held.number}: it would move data")
        try:
            self._env.disk.write(LAYOUT_FILE, encode_entry(entry))
        except OSError as error:
            raise StorageFull(f"{LAYOUT_FILE} cannot be written: {error}") from error
        self._record("layout.adopted", f"layout {entry.number} follows {held.number}", number=entry.number)
        self._view.adopt(entry)
        return entry.number


def _shape(entry: LayoutEntry) -> tuple[object, ...]:
    """What owners follow from, and quorums."""
    return entry.cluster, sorted(entry.members, key=lambda member: member.name), entry.n, entry.r, entry.w
