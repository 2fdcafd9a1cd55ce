"""The scrubber: reads the log again, slowly, and verifies each record, so that damage is found while what it took is
still known elsewhere.

The tables of a node that runs are whole: what a boot could not read is missing in them and noted, and nothing has been
read from the log since. So damage that appears later takes nothing as long as the node lives, and needs no quarantine:
all partitions are copied forward (see `checkpoints`), and the damaged segment goes. A crash before that leaves the
damage to the next boot, which charges it to the partitions that it may have touched.

Latent errors are found by nobody who only reads what is asked for (Schwarz et al., "Disk Scrubbing in Large Archival
Storage Systems", MASCOTS 2004).
"""

from collections.abc import Callable

from cluster.env import Clock, Disk
from cluster.ports import Position
from cluster.storage.record import HEADER_BYTES, decode_segment_header, seed_of, verify
from cluster.storage.segments import SegmentLog, segment_path

READ_BYTES = 1 << 16
"""At a time, or one record."""
REST_S = 0.06
"""Between two of them: 1 MiB a second, and less than a hundredth of a core."""
ROUND_S = 300.0
"""Between two rounds, and before the first: a boot has just read everything."""


class Scrubber:
    """Of one log. `on_damage` gets the segment and what is wrong with it."""

    def __init__(self, clock: Clock, disk: Disk, log: SegmentLog, on_damage: Callable[[int, str], None]) -> None:
        self._clock = clock
        self._disk = disk
        self._log = log
        self._on_damage = on_damage
        self._at: Position = (0, 0)
        """The place of the next record."""
        self._until: Position = (0, 0)
        """Where the log ended when this round began: what is written meanwhile is of the next."""
        self.rounds = 0
        self.damaged = 0
        """Segments, since the boot."""

    def start(self) -> None:
        """The first round comes in a while."""
        self._clock.call_later(ROUND_S, self._begin)

    def _begin(self) -> None:
        self._at, self._until = (self._log.first, 0), self._log.end
        self._read(READ_BYTES)

    def _read(self, size: int) -> None:
        """The next record, in so many bytes at least."""
        segment, offset = self._at = self._next()
        if self._log.stopped:
            return
        left = self._log.size_of(segment) - offset
        if left <= 0 or self._at >= self._until:
            self.rounds += 1
            self._clock.call_later(ROUND_S, self._begin)
            return
        self._disk.read_part(segment_path(segment), offset, min(left, size), self._verify)

    def _next(self) -> Position:
        """Where to go on: in the same segment, or in the next that there is."""
        segment, offset = self._at
        while (segment, offset) < self._until and offset >= self._log.size_of(segment):
            segment, offset = segment + 1, 0
        return segment, offset

    def _verify(self, read: bytes | OSError) -> None:
        segment, offset = self._at
        if self._log.size_of(segment) == 0:  # it was cut meanwhile
            self._clock.call_later(REST_S, self._read, READ_BYTES)
            return
        if isinstance(read, OSError):
            self._damage(f"it cannot be read: {read}")
            return
        good = 0
        if offset == 0:
            if decode_segment_header(read[:HEADER_BYTES], segment) is None:
                self._damage("its header fails its checksum")
                return
            good = HEADER_BYTES
        whole, need = verify(read[good:], seed_of(segment), offset + good)
        self._at = segment, offset + good + whole
        if need < 0 or offset + good + whole + need > self._log.size_of(segment):
            self._damage(f"the record at byte {self._at[1]} fails its checksum")
            return
        self._clock.call_later(REST_S, self._read, max(READ_BYTES, need))

    def _damage(self, what: str) -> None:
        """The rest of the segment is of no interest: it goes."""
        segment, _ = self._at
        self.damaged += 1
        self._on_damage(segment, f"{segment_path(segment)} is damaged: {what}")
        self._at = (segment + 1, 0)
        self._clock.call_later(REST_S, self._read, READ_BYTES)
