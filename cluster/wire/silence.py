"""When a connection counts as silent: an answer is due on it, and no byte comes. Pure: fed with beats and bytes.

Two thresholds. *Quiet* (50 ms) costs little when it is wrong: the node is probed, new operations prefer others, reads
are hedged. *Silent* (0.2 s) ends what cannot be repeated as `maybe`, so it is judged with care: longer where answers
have lately been slower (as the retransmission timeout of TCP follows the round trips, RFC 6298), and time in which this
very process stood still does not count. Who asks adds that another node must have answered meanwhile.
"""

QUIET_S = 0.05
"""Some ten times what a node takes to answer a probe while it works."""
SILENT_S = 0.2
"""Four quiet times: what a client may lose when a node stops, and what every writer in a loop soon waits for."""
SILENT_MAX_S = 0.8
"""Still within the second that a write has."""
SLOWNESS = 4
"""How many of the longest recent pauses make a silence."""
STOPPED_S = 1.0
"""A pause longer than this was a stop, and says nothing about how fast the node answers."""
HALF_LIFE_S = 2.0
"""After so long, half of a pause is forgotten."""
BEAT_LATE_S = 0.06
"""Beats come every 20 ms; one that comes later than this shows that the observer itself stood still."""


class Silence:
    """One connection's. Call `heard` with every arrival, and `beat` regularly while anything waits for an answer."""

    __slots__ = ("pause_s", "quiet_s")

    def __init__(self) -> None:
        self.quiet_s = 0.0
        """How long nothing has come although something was due, without the observer's own stalls."""
        self.pause_s = 0.0
        """The longest recent pause that ended with an answer; fades."""

    def heard(self) -> None:
        """Bytes came."""
        if self.pause_s < self.quiet_s < STOPPED_S:
            self.pause_s = self.quiet_s
        self.quiet_s = 0.0

    def beat(self, elapsed_s: float) -> None:
        """So much time has passed since the last beat, while something was due."""
        if elapsed_s <= BEAT_LATE_S:
            self.quiet_s += elapsed_s
            self.pause_s *= 1 - elapsed_s / HALF_LIFE_S / 1.44  # 1 / ln 2

    @property
    def quiet(self) -> bool:
        """Whether to probe it."""
        return self.quiet_s >= QUIET_S

    @property
    def silent(self) -> bool:
        """Whether to give up what waits there."""
        return self.quiet_s >= min(SILENT_MAX_S, max(SILENT_S, SLOWNESS * self.pause_s))
