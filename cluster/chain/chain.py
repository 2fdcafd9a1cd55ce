"""One node's part in the control chain: it votes, proposes, learns, and hands what is decided to the rest of the node.

Decided entries are files, one a slot, written before anything is done under them; promises are written before they are
given. An entry reaches the others three ways: whoever had it decided pushes it, what members announce says who is
behind, and a request routed by another layout number says so at once. A node takes entries in the order of their slots,
none left out: each may take a partition away from it, or give it back.

After a fork by force (`entry.forced`) the two branches never mix: ballots and questions name the entry that they go on
from, and a node that meets the branch with the higher fork number stops, and says so.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from cluster.ballot.acceptor import Accepted, Acceptor, AcceptorState, Promised
from cluster.ballot.proposer import Phase, Proposer
from cluster.chain.entry import (
    FOLDER,
    ChainEntry,
    Change,
    behind,
    decode_chain,
    digest,
    encode_chain,
    entry_path,
    genesis,
)
from cluster.env import Env
from cluster.errors import ClusterError, Damaged, Maybe, NotYet, OtherChain, QuorumMissing, StaleLayout, StorageFull
from cluster.layout.entry import LayoutEntry
from cluster.ports import Inbound, Messenger, Outcome, Recorder
from cluster.wire.chain import Accept, AcceptAnswer, Adopted, Decided, Entries, Prepare, Promise
from cluster.wire.handshake import LANE_CONTROL

BALLOT_FILE: Final = "ballot.json"
CALL_S: Final = 0.5
"""How long an acceptor may take: it writes a small file and syncs it."""
RETRY_S: Final = 0.2
"""About so long a proposer rests before it tries again, so that two of them come apart."""
ROOM_RETRY_S: Final = 1.0
"""A disk that was full is asked so often whether it has room again: as the log asks."""
PAGE: Final = 16
"""Entries in one answer: a few kibibytes each."""

ChangeDone = Callable[[ChainEntry | ClusterError], None]


class Kept(msgspec.Struct, frozen=True):
    """The promise file: under which id this node votes, and what it has promised."""

    id: str
    state: AcceptorState


def read_chain(env: Env, first: LayoutEntry) -> list[ChainEntry]:
    """The entries on the disk, in order, from the first layout on. One that cannot be read, and all behind it, are left
    out: the peers have them."""
    entries = [genesis(first)]
    for name in env.disk.names(FOLDER):
        try:
            entry = decode_chain(env.disk.read(f"{FOLDER}/{name}"))
        except (Damaged, OSError):
            break
        if entry.slot == entries[-1].slot + 1:
            if entry.follows != digest(entries[-1]):
                break
            entries.append(behind(entries[-1], entry))
    return entries


class Chain:
    """See above. `before(entry)` makes ready for an entry, on the disk, and may raise; `after(entry)` goes on by it.
    `stop(why)`: this node is on a branch that was forked off."""

    def __init__(
        self,
        env: Env,
        me: str,
        newborn: bool,
        entries: list[ChainEntry],
        messenger: Messenger,
        record: Recorder,
        before: Callable[[ChainEntry], None],
        after: Callable[[ChainEntry], None],
        stop: Callable[[str], None],
    ) -> None:
        self.env = env
        self.me = me
        self.entries = entries
        self.messenger = messenger
        self.record = record
        self._before = before
        self._after = after
        self._stop = stop
        self.digest = digest(entries[-1])
        """Of the last entry."""
        self._fetching: dict[str, None] = {}
        self._waits_for_room = False
        self.full = False
        """Whether the last entry that came could not be written down."""
        self._proposal: _Proposal | None = None
        kept = self._read_ballot(newborn)
        self.id = kept.id
        """Under which this node votes; an id that the chain does not name has no vote."""
        self._acceptor = Acceptor(kept.state)
        self._acceptor.advance(self.entry.slot + 1)
        messenger.handle(Prepare, self._prepare)
        messenger.handle(Accept, self._accept)
        messenger.handle(Entries, lambda asked: asked.reply(Decided(self._behind(asked.body.after, asked.body.digest))))
        messenger.handle(Decided, self._pushed)

    @property
    def entry(self) -> ChainEntry:
        """The last one that is decided, as far as this node knows."""
        return self.entries[-1]

    # -- promises

    def _read_ballot(self, newborn: bool) -> Kept:
        try:
            return msgspec.json.decode(self.env.disk.read(BALLOT_FILE), type=Kept)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            pass  # there is none, or it is lost with all that it promised: then this node votes under another id
        entry = self.entry
        named = entry.acceptors.get(self.me) or entry.joining.get(self.me)
        id = named if newborn and named else f"{self.me}-{self.env.random.randbytes(4).hex()}"
        kept = Kept(id, AcceptorState(entry.slot + 1))
        try:
            self.env.disk.write(BALLOT_FILE, msgspec.json.encode(kept))
        except OSError as error:
            raise StorageFull(f"{BALLOT_FILE} cannot be written: {error}") from error
        return kept

    def _keep(self, before: AcceptorState) -> None:
        """Write down what the acceptor says now, or take it back. Raises StorageFull."""
        if self._acceptor.state == before:
            return
        try:
            self.env.disk.write(BALLOT_FILE, msgspec.json.encode(Kept(self.id, self._acceptor.state)))
        except OSError as error:
            self._acceptor.state = before
            raise StorageFull(f"{BALLOT_FILE} cannot be written: {error}") from error

    @property
    def bound(self) -> ChainEntry | None:
        """The fork that this node has accepted and that is not decided as far as it knows: it may be, so no other entry
        takes its place here, and this node has it decided. None when there is none."""
        value = self._acceptor.state.value
        entry = decode_chain(value) if value else self.entry
        return entry if entry.fork > self.entry.fork else None

    def prepare(self, body: Prepare) -> Promise | Decided:
        """Vote. Raises StaleLayout for a slot that is not the next one here, OtherChain, StorageFull."""
        decided = self._check_slot(body.slot, body.follows)
        if decided is not None:
            return decided
        before = self._acceptor.state
        answer = self._acceptor.prepare(body.slot, body.ballot)
        self._keep(before)
        return Promise(self.id, answer.granted, answer.promised, answer.accepted, answer.value)

    def accept(self, body: Accept) -> AcceptAnswer | Decided:
        """Vote; see `prepare`."""
        value = decode_chain(body.value)
        decided = self._check_slot(body.slot, value.follows)
        if decided is not None:
            return decided
        fork = self.bound
        if fork is not None and value.fork <= self.entry.fork:
            # A majority that did not ask this node: its ballot need not have met that of the fork.
            raise OtherChain(f"{self.me} has accepted {fork.what}")
        before = self._acceptor.state
        answer = self._acceptor.accept(body.slot, body.ballot, body.value)
        self._keep(before)
        return AcceptAnswer(self.id, answer.granted, answer.promised)

    def _check_slot(self, slot: int, follows: str) -> Decided | None:
        if slot <= self.entry.slot:
            return Decided(self._behind(slot - 1, follows))
        if slot != self.entry.slot + 1 or slot != self._acceptor.state.slot:
            raise StaleLayout(f"{self.me} has slot {self.entry.slot} of the chain")
        if follows != self.digest:
            raise OtherChain(f"slot {self.entry.slot} of the chain is another one at {self.me}")
        return None

    def _prepare(self, inbound: Inbound) -> None:
        try:
            inbound.reply(self.prepare(inbound.body))
        except ClusterError as error:
            if inbound.body.slot > self.entry.slot + 1:
                self.fetch(inbound.sender)
            inbound.fail(error)

    def _accept(self, inbound: Inbound) -> None:
        try:
            inbound.reply(self.accept(inbound.body))
        except ClusterError as error:
            inbound.fail(error)

    # -- what is decided

    def _behind(self, slot: int, has: str) -> list[bytes]:
        """The entries behind a slot, for who has the entry with the digest `has` there. Another one than ours, or one
        that we do not have, may be of another branch: then all since the fork."""
        if slot > self.entry.slot or has != digest(self.entries[slot - 1]):
            forked = [entry.slot for entry in self.entries if 0 < entry.fork == self.entry.fork]
            slot = min([slot, *(first - 1 for first in forked)])
        return [encode_chain(entry) for entry in self.entries if entry.slot > slot][:PAGE]

    def _pushed(self, inbound: Inbound) -> None:
        body: Decided = inbound.body
        self.learn(body.entries, inbound.sender)
        inbound.reply(Adopted(self.entry.slot))

    def fetch(self, peer: str) -> None:
        """Ask a peer for the entries that it has and this node does not; one question to a peer at a time."""
        if not peer or peer == self.me or peer in self._fetching or self._waits_for_room:
            return
        self._fetching[peer] = None

        def answered(_: str, outcome: Outcome) -> None:
            del self._fetching[peer]
            if type(outcome) is Decided and outcome.entries:
                had = self.entry.slot
                self.learn(outcome.entries, peer)
                if len(outcome.entries) == PAGE and self.entry.slot > had:
                    self.fetch(peer)

        deadline = self.env.clock.now() + CALL_S
        self.messenger.request([peer], Entries(self.entry.slot, self.digest), deadline, answered, LANE_CONTROL)

    def learn(self, blobs: list[bytes], peer: str, *, bound: bool = True) -> ClusterError | None:
        """Take over decided entries, in order. What is missing before them is fetched from `peer`. Returns why one was
        not. `bound`: not in place of a fork that this node has accepted."""
        for blob in blobs:
            try:
                entry = decode_chain(blob)
                if entry.slot > self.entry.slot + 1:
                    self.fetch(peer)
                    return None
                self._check_branch(entry)
                fork = self.bound if bound else None
                if entry.slot == self.entry.slot + 1:
                    if fork is not None and fork != entry:
                        raise OtherChain(f"{self.me} has accepted {fork.what}, and slot {entry.slot} is {entry.what}")
                    self._adopt(entry)
            except StorageFull as error:
                self._wait_for_room(error, peer)
                return error
            except ClusterError as error:
                self.record("chain.refused", error.message, peer=peer)
                return error
        return None

    def _check_branch(self, entry: ChainEntry) -> None:
        """Raise OtherChain for an entry of another branch, and stop if that one is right."""
        mine = self.entry
        if entry.slot <= mine.slot:
            same = entry.fork <= mine.fork or entry == self.entries[entry.slot - 1]
        else:
            same = entry.follows == self.digest
        if not same:
            if entry.fork > mine.fork:
                where = f"at slot {entry.slot} of the chain ({entry.what}); this node has another slot {mine.slot}"
                self._stop(f"the members went on without {self.me}'s side by force, {where} ({mine.what})")
            raise OtherChain(f"slot {entry.slot} ({entry.what}) does not follow slot {mine.slot} here ({mine.what})")

    def _wait_for_room(self, error: StorageFull, peer: str) -> None:
        """Ask again in a while. Each answer says that there is more of the chain than is here, so that a node which
        cannot write it down would ask, and be answered, as fast as it can."""

        def retry() -> None:
            self._waits_for_room = False
            self.fetch(peer)

        if not self.full:
            self.record("chain.refused", error.message, peer=peer)
        if not self._waits_for_room:
            self.env.clock.call_later(ROOM_RETRY_S, retry)
        self.full = self._waits_for_room = True

    def _adopt(self, entry: ChainEntry) -> None:
        entry = behind(self.entry, entry)
        self._before(entry)
        try:
            self.env.disk.write(entry_path(entry.slot), encode_chain(entry))
        except OSError as error:
            raise StorageFull(f"the chain cannot be written: {error}") from error
        self.full = False
        self.entries.append(entry)
        self.digest = digest(entry)
        self._acceptor.advance(entry.slot + 1)
        self.record("chain.decided", entry.what, slot=entry.slot, layout=entry.layout.number)
        self._after(entry)

    # -- changes

    def propose(self, change: Change, deadline: float, done: ChangeDone, change_id: str = "") -> None:
        """Have the entry that `change` makes of the last one decided. `done` comes once: with the entry, or why it is
        not to be (definite), or `Maybe` when it may still be decided. An entry that was decided under the same
        `change_id` before, by whichever node, is the answer."""
        if self._proposal is not None:
            done(NotYet(f"{self.me} has another change of the cluster under way"))
            return
        id = change_id or f"{self.id}.{self.env.random.randbytes(4).hex()}"
        self._proposal = _Proposal(self, change, id, deadline, done)
        self._proposal.next()

    def proposed(self, outcome: ChainEntry | ClusterError, done: ChangeDone) -> None:
        """A proposal has ended."""
        self._proposal = None
        done(outcome)

    def give(self, peers: list[str], entry: ChainEntry, deadline: float, done: Callable[[str], None]) -> None:
        """Push an entry that is decided to these; `done` with each that has it then."""

        def answered(peer: str, outcome: Outcome) -> None:
            if type(outcome) is Adopted and outcome.slot >= entry.slot:
                done(peer)

        if peers:
            self.messenger.request(peers, Decided([encode_chain(entry)]), deadline, answered, LANE_CONTROL)

    def announce(self, blob: bytes) -> None:
        """Push the entry that was just decided to every member, and to those that are none any more."""
        members = [member for entry in self.entries[-2:] for member in entry.layout.all_members]
        for name in dict.fromkeys(member.name for member in members):
            if name != self.me:
                self.messenger.send(name, Decided([blob]), LANE_CONTROL)


class _Proposal:
    """A change on its way: one attempt after the other, each for the slot that is next by then."""

    def __init__(self, chain: Chain, change: Change, id: str, deadline: float, done: ChangeDone) -> None:
        self.chain = chain
        self.change = change
        self.id = id
        """Whoever finishes the ballot, the entry is this change if it carries this. Who proposes for a slot has all
        entries before it, and looks for the id there: so a change that several nodes propose is decided once."""
        self.deadline = deadline
        self.done = done
        self.round = 1
        self.slot = 0
        self.own = b""
        """What was to be decided for `slot`."""
        self.sent = False
        """Whether acceptors may have accepted it: then the outcome is not known before the slot is decided."""
        self.attempt: Proposer | None = None
        self.voters: dict[str, str] = {}
        self.forks = False
        """Whether all of the voters must agree, since they are no majority."""

    def next(self) -> None:
        """Begin an attempt."""
        chain, now = self.chain, self.chain.env.clock.now()
        found = next((entry for entry in chain.entries if entry.change_id == self.id), None)
        if found is not None:
            chain.proposed(found, self.done)
            return
        if self.slot <= chain.entry.slot:
            self.sent = False
        try:
            changed = self.change(chain.entry)
        except ClusterError as error:
            chain.proposed(error, self.done)
            return
        if changed is chain.entry:
            chain.proposed(changed, self.done)
            return
        entry = replace(changed, change_id=self.id, follows=chain.digest)
        if now >= self.deadline:
            chain.proposed(self._give_up(), self.done)
            return
        self.forks = entry.fork > chain.entry.fork
        self.voters = entry.acceptors if self.forks else chain.entry.acceptors
        self.slot, self.own = entry.slot, encode_chain(entry)
        ballot = (self.round, chain.id)
        attempt = self.attempt = Proposer(self.voters.values(), ballot, self.own, unanimous=self.forks)
        self._call(Prepare(entry.slot, attempt.ballot, chain.digest), attempt)

    def _call(self, body: Prepare | Accept, attempt: Proposer) -> None:
        chain, voters = self.chain, self.voters
        deadline = min(chain.env.clock.now() + CALL_S, self.deadline)
        others = [name for name in voters if name != chain.me]

        def answered(name: str, outcome: Outcome) -> None:
            if attempt is self.attempt:
                self._answered(attempt, voters[name], outcome)

        if others:
            chain.messenger.request(others, body, deadline, answered, LANE_CONTROL)
        if voters.get(chain.me) == chain.id:
            try:
                own: Outcome = chain.prepare(body) if type(body) is Prepare else chain.accept(body)  # type: ignore[arg-type]
            except ClusterError as error:
                own = error
            chain.env.clock.call_soon(answered, chain.me, own)
        elif chain.me in voters:
            chain.env.clock.call_soon(answered, chain.me, StaleLayout("this node lost its promises"))

    def _answered(self, attempt: Proposer, voter: str, outcome: Outcome) -> None:
        chain, before = self.chain, attempt.phase
        if type(outcome) is Decided:  # the slot is decided: go on with the next one
            error = chain.learn(outcome.entries, voter, bound=not self.forks)  # one that has it did not accept ours
            if chain.entry.slot < self.slot:
                self._not_kept(error)
            else:
                self._again(0.0)
        elif type(outcome) is Promise and before is Phase.PREPARE:
            answer = Promised(outcome.granted, outcome.promised, outcome.accepted, outcome.value)
            attempt.on_promise(outcome.id, answer)
        elif type(outcome) is AcceptAnswer and before is Phase.ACCEPT:
            attempt.on_accepted(outcome.id, Accepted(outcome.granted, outcome.promised))
        elif isinstance(outcome, ClusterError):
            attempt.on_silence(voter)
        if attempt is not self.attempt or attempt.phase is before:
            return
        if attempt.phase is Phase.ACCEPT:
            self.sent = self.sent or attempt.value == self.own
            self._call(Accept(self.slot, attempt.ballot, attempt.value), attempt)
        elif attempt.phase is Phase.DECIDED:
            error = chain.learn([attempt.value], chain.me)
            if chain.entry.slot < self.slot:
                self._not_kept(error)
                return
            chain.announce(attempt.value)
            self._again(0.0)
        else:
            self.round = max(self.round, attempt.higher[0]) + 1
            self._again(RETRY_S * chain.env.random.uniform(0.5, 1.5))

    def _not_kept(self, error: ClusterError | None) -> None:
        """The slot is decided, and the entry could not be taken over here: no attempt gets any further."""
        self.attempt = None
        what = f"{self.chain.me} cannot keep the entry that was decided"
        refusal = error if isinstance(error, OtherChain) else StorageFull(what)
        self.chain.proposed(Maybe(what) if self.sent else refusal, self.done)

    def _again(self, delay_s: float) -> None:
        self.attempt = None
        self.chain.env.clock.call_later(delay_s, self.next)

    def _give_up(self) -> ClusterError:
        members = ", ".join(self.voters)
        if self.sent:
            return Maybe(f"too few of {members} answered in time: the change may still be decided")
        if self.forks:
            return QuorumMissing(f"all of {members} must agree, and not all answered: forget the others as well")
        return QuorumMissing(f"a majority of {members} is needed to change the cluster, and too few answered")
