"""Which peers a node leaves out of its new operations: those that are not alive, and those that do not answer it.

Local evidence (the principle autonomy): it accuses nobody, needs nobody's consent, and heals by itself. A peer does not
answer once a call to it failed while nothing else came from it, or once it is *silent*: something is due from it, no
byte comes for 0.2 s, and another peer answered meanwhile (`cluster.wire.silence` says when, and longer where answers
have lately been slower). Time in which this node itself stood still does not count: then nothing was read, whoever had
answered. Bytes are those on the connections that this node has dialled, since answers come there; a peer whose own
requests come through, but no answer, is behind a cut that is one way.

Whoever does not answer is probed until a byte comes, and takes part again at once: no operation has to find out.
"""

from collections.abc import Callable, Iterable, Sequence

from cluster.env import Clock
from cluster.errors import ClusterError, Maybe
from cluster.ports import Messenger, Outcome, Recorder
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.membership import StreamPing
from cluster.wire.silence import BEAT_LATE_S, SILENT_MAX_S, Silence

BEAT_S = 0.02
"""How often silence is judged while something is due: the sweeps of calls in flight."""
PROBE_INTERVAL_S = 0.1
PROBE_TIMEOUT_S = 0.5
WITNESSES = 2
"""Peers that are probed beside one that is quiet: a silence is judged against them, also where nothing else is due."""


class SilenceDetector:
    """Tells the silence of one peer from a standstill of all, this node included. Pure."""

    __slots__ = ("_heard_at", "_silences", "_watched_s")

    def __init__(self) -> None:
        self._silences: dict[str, Silence] = {}
        self._heard_at: dict[str, float] = {}
        self._watched_s = 0.0  # the beats, without those that came late

    def heard(self, peer: str) -> None:
        """Bytes came from a peer."""
        self._heard_at[peer] = self._watched_s
        silence = self._silences.get(peer)
        if silence is not None and silence.quiet_s:
            silence.heard()

    def beat(self, elapsed_s: float, due: Iterable[str]) -> list[str]:
        """The time since the last beat, and the peers whose answers are due. Returns those that are silent."""
        if elapsed_s <= BEAT_LATE_S:
            self._watched_s += elapsed_s
        silent: list[str] = []
        for peer in due:
            silence = self._silences.get(peer)
            if silence is None:
                silence = self._silences[peer] = Silence()
            silence.beat(elapsed_s)
            if silence.silent and (silence.quiet_s >= SILENT_MAX_S or self.another_answered(peer)):
                silent.append(peer)
        return silent

    def quiet(self, peer: str) -> bool:
        """Whether the peer should be probed, long before its silence means anything."""
        silence = self._silences.get(peer)
        return silence is not None and silence.quiet

    def quiet_s(self, peer: str) -> float:
        """How long nothing has come from a peer that is judged."""
        return self._silences[peer].quiet_s

    def another_answered(self, peer: str) -> bool:
        """Whether anybody was heard in the second half of the peer's silence: before a standstill of the whole machine
        all may have answered as well."""
        since = self._watched_s - self.quiet_s(peer) / 2
        return any(heard_at >= since for other, heard_at in self._heard_at.items() if other != peer)


class Reach:
    """Who is left out, and the probes behind it.

    Whoever has calls in flight adds to `waited_for` a function that adds the peers it waits for, and calls `beat` each
    time that it sweeps them. `members` gives the names of those that are alive.
    """

    def __init__(
        self, clock: Clock, messenger: Messenger, members: Callable[[], Sequence[str]], record: Recorder
    ) -> None:
        self.waited_for: list[Callable[[dict[str, None], float], None]] = []
        """`(names, now)`: adds the peers whose answer is due."""
        self.on_silent: list[Callable[[str], None]] = []
        """Called with each peer that has fallen silent: what may be repeated goes elsewhere, what may not ends."""
        self.on_quiet: list[Callable[[str, float], None]] = []
        """`(peer, seconds)`: a probe of a quiet peer is unanswered for so long; what is readonly may be hedged."""
        self.detector = SilenceDetector()
        self._clock = clock
        self._messenger = messenger
        self._members = members
        self._record = record
        self._silent: dict[str, None] = {}
        self._down: dict[str, None] = {}
        self._unanswering: dict[str, None] = {}
        self._heard_at: dict[str, float] = {}
        self._probing: dict[str, None] = {}
        self._probe_at: dict[str, float] = {}
        self._beaten = float("-inf")
        self._timer = False

    def all_well(self) -> bool:
        """Whether nobody is to be left out: the usual case, and the one that must be cheap."""
        return not self._unanswering and not self._down

    def avoided(self, peer: str) -> bool:
        """Whether to leave the peer out of a new operation."""
        return peer in self._unanswering or peer in self._down

    def heard(self, peer: str) -> None:
        """Bytes came from the peer on a connection of ours, or a connection was made."""
        self.detector.heard(peer)
        self._heard_at[peer] = self._clock.now()
        if self._unanswering:
            self._unanswering.pop(peer, None)
            if self._silent.pop(peer, peer) is None:
                self._record("peer.answers", f"a byte came from {peer}, which had been silent", peer=peer)

    def unanswered(self, peer: str, error: ClusterError) -> None:
        """A call to the peer has no answer. If it was sent, and bytes came from the peer lately, then the peer answers,
        and somebody has more to do than gets done in time: were it left out for that, one sweep in which calls to all
        peers pass their deadlines would leave out all, and refuse what they would still take."""
        heard_at = self._heard_at.get(peer)
        if isinstance(error, Maybe) and heard_at is not None and self._clock.now() - heard_at < PROBE_TIMEOUT_S:
            return
        self.failed(peer)

    def failed(self, peer: str) -> None:
        """The peer cannot be reached, or a connection to it ended."""
        if peer not in self._unanswering:
            self._unanswering[peer] = None
            self._look_after()

    def state_changed(self, peer: str, alive: bool) -> None:
        """Membership considers the peer alive, or no longer."""
        if alive:
            self._down.pop(peer, None)
            self._unanswering.pop(peer, None)
            self._silent.pop(peer, None)
        else:
            self._down[peer] = None

    def beat(self, now: float) -> None:
        """Judge who is silent, and probe who is quiet. Called by every sweep of calls in flight."""
        elapsed_s = now - self._beaten
        if elapsed_s < BEAT_S / 2:
            return  # another sweep has just been here
        self._beaten = now
        due: dict[str, None] = dict(self._probing)
        for add in self.waited_for:
            add(due, now)
        detector = self.detector
        for peer in detector.beat(elapsed_s, due):
            if peer not in self._unanswering:
                self._silent[peer] = None
                answered = "others answered" if detector.another_answered(peer) else "no node did"
                quiet_ms = detector.quiet_s(peer) * 1000
                cause = f"an answer of {peer} is due and no byte came for {quiet_ms:.0f} ms; {answered}"
                self._record("peer.silent", cause, peer=peer)
                self.failed(peer)
                for function in self.on_silent:
                    function(peer)
        quiet = [peer for peer in due if detector.quiet(peer)]
        if quiet:
            others = [name for name in self._members() if name not in due and not self.avoided(name)]
            for peer in [*quiet, *others[:WITNESSES]]:
                self._probe(peer, now)
            for peer in quiet:
                if peer in self._probing:
                    for hedge in self.on_quiet:
                        hedge(peer, now - self._probe_at[peer] + PROBE_INTERVAL_S)

    def _look_after(self) -> None:
        """Probe all that do not answer, and again from time to time, until they do or are declared dead."""

        def again() -> None:
            self._timer = False
            self._look_after()

        now = self._clock.now()
        for peer in list(self._unanswering):
            self._probe(peer, now)
        if not self._timer and any(peer not in self._down for peer in self._unanswering):
            self._timer = True
            self._clock.call_later(PROBE_INTERVAL_S, again)

    def _probe(self, peer: str, now: float) -> None:
        if peer in self._probing or peer in self._down or now < self._probe_at.get(peer, now):
            return

        def probed(peer: str, outcome: Outcome) -> None:
            self._probing.pop(peer, None)
            if isinstance(outcome, ClusterError):
                self.unanswered(peer, outcome)
            else:
                self.heard(peer)

        self._probing[peer] = None
        self._probe_at[peer] = now + PROBE_INTERVAL_S
        self._messenger.request([peer], StreamPing(peer), now + PROBE_TIMEOUT_S, probed, LANE_FOREGROUND)
