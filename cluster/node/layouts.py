"""The layout of a running node: the control chain, tied to those who act on it.

A placed message that was routed by another number says who is behind: its receiver, which fetches the entries of the
chain from the sender and holds the message meanwhile; or its sender, which is refused, fetches them in turn, and goes
on with the same operation. So one node that has an entry is enough for all others to find it.

Each member announces how far it is; from that everybody sees alike when a transition may end, and one of them proposes
the end of it, the first of the members that are alive at once, the others after a while each.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cluster.chain.chain import Chain
from cluster.chain.entry import FORK_NUMBERS, ChainEntry, added, forced, forgotten, left, renamed, reverted, switched
from cluster.chain.transition import (
    Progress,
    changes,
    decode_progress,
    encode_progress,
    how_far,
    not_adopted,
    obstacles,
)
from cluster.env import Env
from cluster.errors import ClusterError, NotFound, NotYet, Usage
from cluster.layout import LayoutEntry, LayoutMember, LayoutView, encode_entry
from cluster.ports import Facts, Inbound, Recorder
from cluster.replication.replication import Replication
from cluster.rpc.inbound import HOLD, PROCEED, STALE
from cluster.rpc.rpc import Rpc
from cluster.wire.admin import AdminAnswer
from cluster.wire.rights import ROLE_NODE

LAYOUT_FILE: Final = "layout.json"
KIND: Final = "chain"
LOOK_S: Final = 0.1
TURN_S: Final = 1.0
"""So much later than the one before it in the order of names a member proposes what all see to be due."""
ASK_S: Final = 1.0
"""How often the others are asked for entries that this node may have missed."""
FORGOTTEN_S: Final = 5.0
"""How often one of those that a fork left behind is asked: should it live, one of the two has to stop."""
PROPOSE_S: Final = 5.0
CHANGES_MAX: Final = 20
"""In one answer."""
ANSWER_S: Final = 0.1
"""So long before its deadline a change is given up, so that the reason why still arrives."""


class Layouts:
    """One node's chain, and what follows from it."""

    def __init__(
        self,
        env: Env,
        view: LayoutView,
        rpc: Rpc,
        facts: Facts,
        alive: Callable[[], list[str]],
        replication: Replication,
        record: Recorder,
        entries: list[ChainEntry],
        newborn: bool,
        members_changed: Callable[[LayoutEntry], None],
        definitions_changed: Callable[[ChainEntry], None],
        stop: Callable[[str], None],
    ) -> None:
        self._env = env
        self._view = view
        self._facts = facts
        self._alive = alive
        self._replication = replication
        self._record = record
        self._members_changed = members_changed
        self._definitions_changed = definitions_changed
        self._stop = stop
        self.chain = Chain(env, view.me, newborn, entries, rpc, record, self._before, self._after, stop)
        self._announced: Progress | None = None
        self._ahead: dict[str, Progress] = {}
        """Members that have announced more than this node had then."""
        self._due_since: tuple[str, float] = ("", 0.0)
        self._proposing = False
        self._asked_at = 0.0
        self._asked_forgotten_at = 0.0

    def start(self) -> None:
        """Announce how far this node is, and look at what is due, from now on."""

        def on_fact(member: str, kind: str, body: bytes) -> None:
            if kind == KIND and member != self._view.me:
                progress = decode_progress(body)
                if progress is not None and self._is_ahead(progress):
                    self._ahead[member] = progress
                    self.chain.fetch(member)

        self._facts.on_fact.append(on_fact)
        self._accept_loss()
        self._stop_if_gone()
        self._look()

    def _is_ahead(self, progress: Progress) -> bool:
        here = self.chain.entry
        return progress.slot > here.slot or progress.number > here.layout.number

    # -- messages that were routed by another number

    def judge(self, number: int, inbound: Inbound) -> str:
        """What to do with a placed message that was routed by another number than ours. A client that is behind is
        served: whichever node it found forwards to the owners of now. Nothing waits for an entry that there is no room
        for: another node can do it."""
        if number > self._view.number:
            for name in [inbound.sender] if inbound.role == ROLE_NODE else self._view.members:
                self.chain.fetch(name)
            return STALE if self.chain.full else HOLD
        return STALE if inbound.role == ROLE_NODE else PROCEED

    def fetch_newer(self, peer: str) -> bool:
        """A peer holds a newer layout. Whether what was refused for it waits until this node has it as well."""
        self.chain.fetch(peer)
        return not self.chain.full

    # -- entries

    def _before(self, entry: ChainEntry) -> None:
        """What this node is to hold under the entry, and does not hold yet, it lacks: on the disk before the entry is,
        so that it never counts as complete."""
        if entry.layout.number == self._view.number:
            return
        next = LayoutView(self._view.me, entry.layout)
        gained = [partition for partition in next.held_partitions() if not self._view.holds(partition)]
        if gained:
            self._replication.lack(gained, f"layout {entry.layout.number} gives it to this node ({entry.what})")

    def _after(self, entry: ChainEntry) -> None:
        if entry.layout.number > self._view.number:
            self._members_changed(entry.layout)
            self._accept_loss()
            self._view.adopt(entry.layout)
        self._definitions_changed(entry)
        self._stop_if_gone()
        self._tell()

    def _stop_if_gone(self) -> None:
        """What others took over without this node's data is not to be served here, though it be alive after all."""
        entry = self.chain.entry
        if self._view.me in entry.gone:
            self._stop(f"{self._view.me} was forgotten, at slot {entry.slot} of the chain ({entry.change_of_members})")

    def _accept_loss(self) -> None:
        entry, hints = self.chain.entry, self._replication.context.hints
        self._replication.completing.gone = list(entry.gone) if entry.lossy else []
        # Who leaves waits until its hints are delivered, which nobody takes who was forgotten meanwhile.
        hints.gone = entry.gone if self._is_leaving() else ()
        hints.layout_changed()

    def _is_leaving(self) -> bool:
        coming = self.chain.entry.layout.coming
        return coming is not None and all(member.name != self._view.me for member in coming.members)

    # -- how far everybody is

    def progress(self) -> Progress:
        """How far this node is."""
        entry = self.chain.entry
        hints = sum(self._replication.context.hints.by_target().values()) if self._is_leaving() else 0
        return Progress(entry.slot, self._view.number, self._replication.lacking(), hints, self.chain.id)

    def all_progress(self) -> dict[str, Progress]:
        """How far each member is that has announced it, and this node."""
        found = {self._view.me: self.progress()}
        for name, body in self._facts.facts(KIND).items():
            progress = decode_progress(body)
            if progress is not None and name != self._view.me:
                found[name] = progress
        return found

    def _tell(self) -> None:
        progress = self.progress()
        # A chain that never changed is announced by nobody, so that a cluster at its start has less to say.
        if progress != self._announced and (progress.slot > 1 or self.chain.id != self._view.me):
            self._announced = progress
            self._facts.announce(KIND, encode_progress(progress))

    def _look(self) -> None:
        self._tell()
        due = self._due()
        name = "" if due is None else due[0]
        now = self._env.clock.now()
        if name != self._due_since[0]:
            self._due_since = (name, now)
        if due is not None and not self._proposing:
            alive = self._alive()
            voters = [name for name in sorted(self.chain.entry.acceptors) if name in alive]
            turn = voters.index(self._view.me) if self._view.me in voters else len(voters)
            if now - self._due_since[1] >= turn * TURN_S:

                def proposed(outcome: ChainEntry | ClusterError) -> None:
                    self._proposing = False
                    self._due_since = ("", 0.0)

                self._proposing = True
                self.chain.propose(due[1], now + PROPOSE_S, proposed)
        self._ask_around(now)
        if self.chain.entry.fork and now - self._asked_forgotten_at >= FORGOTTEN_S:
            self._asked_forgotten_at = now
            left_behind = forgotten(self.chain.entries)
            if left_behind:
                self.chain.fetch(self._env.random.choice(left_behind).name)
        self._env.clock.call_later(LOOK_S, self._look)

    def _ask_around(self, now: float) -> None:
        """Ask one of the others for what this node may have missed: while a change is under way, as long as somebody
        has announced more, since an answer may be lost, and when it hears of nobody, since nobody speaks to a member
        that has left."""
        if now - self._asked_at < ASK_S:
            return
        if self._ahead:
            self._ahead = {name: progress for name, progress in self._ahead.items() if self._is_ahead(progress)}
        others = [name for name in self._alive() if name != self._view.me]
        if others and not self.chain.entry.moving and not self._ahead:
            return
        self._asked_at = now
        others = [name for name in others if name in self._ahead] or others
        others = others or [name for name in self._view.members if name != self._view.me]
        if others:
            self.chain.fetch(self._env.random.choice(others))

    def _due(self) -> tuple[str, Callable[[ChainEntry], ChainEntry]] | None:
        """What nobody has to ask for: the end of a transition, votes for who lost its promises, and the rest of a fork
        that this node has accepted."""
        entry, slot = self.chain.entry, self.chain.entry.slot
        if (fork := self.chain.bound) is not None:
            return f"{slot} fork", _at(slot, lambda _: fork)
        if slot == 1 and not entry.moving and not self._facts.facts(KIND) and self.chain.id == self._view.me:
            return None
        progress, alive = self.all_progress(), self._alive()
        for name, id in entry.acceptors.items():
            told = progress.get(name)
            if told is not None and told.acceptor != id and told.acceptor and name in alive:
                return f"{slot} {told.acceptor}", _at(slot, partial(renamed, name=name, acceptor=told.acceptor))
        if entry.moving and not obstacles(entry, progress, alive):
            return f"{slot} end", _at(slot, switched)
        return None

    # -- questions and changes

    def moving(self) -> dict[str, Any] | None:
        """The change that is under way, how far it is, and what its end waits for; None when there is none."""
        entry = self.chain.entry
        if not entry.moving:
            return None
        progress = self.all_progress()
        waits_for = obstacles(entry, progress, self._alive())
        forgotten = list(entry.gone)
        return {
            "what": entry.change_of_members,
            "waits_for": waits_for,
            **how_far(entry, progress),
            "forgotten": forgotten,
        }

    def changes(self) -> list[dict[str, Any]]:
        """The last changes of members, oldest first, with what they moved."""
        return changes(self.chain.entries, CHANGES_MAX)

    def status(self) -> dict[str, Any]:
        """The entry that is served, and how far a transition is."""
        entry = self.chain.entry
        found: dict[str, Any] = {
            "slot": entry.slot,
            "number": self._view.number,
            "what": entry.what,
            "entry": encode_entry(self._view.entry).decode(),
            "moving": entry.moving,
            "alive": len(self._alive()),
        }
        return found | (self.moving() or {})

    def change(self, arguments: Mapping[str, Any], inbound: Inbound) -> None:
        """Handle `change`: `add` (members), `leave` or `forget` (names), `revert`. Answers with the entry decided.
        `id` names the change: it is made once, however often and wherever it is asked for."""
        try:
            change_id = str(arguments.get("id", ""))
            change = self._change({key: value for key, value in arguments.items() if key != "id"})
        except ClusterError as error:
            inbound.fail(error)
            return

        def decided(outcome: ChainEntry | ClusterError) -> None:
            if isinstance(outcome, ClusterError):
                inbound.fail(outcome)
            else:
                inbound.reply(AdminAnswer({**self.status(), "what": outcome.what}))

        self.chain.propose(change, inbound.deadline - ANSWER_S, decided, change_id)

    def _change(self, arguments: Mapping[str, Any]) -> Callable[[ChainEntry], ChainEntry]:
        match dict(arguments):
            case {"add": [_, *_] as rows}:
                members = [_member(row) for row in rows]
                return lambda entry: added(self._ready_for(entry), members)
            case {"leave": [_, *_] as names}:
                return lambda entry: left(self._ready_for(entry), [str(name) for name in names], gone=False)
            case {"forget": [_, *_] as names, **rest}:
                lossy = rest.get("accept_loss") is True
                if rest.get("force") is True:
                    offset = self._env.random.randrange(FORK_NUMBERS // 2)
                    return lambda entry: forced(entry, [str(name) for name in names], offset, lossy=lossy)
                return lambda entry: left(self._ready_for(entry), [str(name) for name in names], gone=True, lossy=lossy)
            case {"revert": True}:
                return reverted
        raise Usage("change takes one of `add`, `leave`, `forget`, `revert`")

    def _ready_for(self, entry: ChainEntry) -> ChainEntry:
        """The entry, once as many owners have taken it over as it takes for the next to be safe."""
        late = not_adopted(entry, self.all_progress())
        if late and not entry.moving:
            raise NotYet(f"{', '.join(late)} must take over layout {entry.layout.number} first")
        return entry


def _at(slot: int, change: Callable[[ChainEntry], ChainEntry]) -> Callable[[ChainEntry], ChainEntry]:
    """`change` of the entry in this slot, and of no later one."""

    def checked(entry: ChainEntry) -> ChainEntry:
        if entry.slot != slot:
            raise NotFound(f"slot {slot} is not the last one any more")
        return change(entry)

    return checked


def _member(row: Any) -> LayoutMember:
    match row:
        case {"name": str(name), "zone": str(zone), "host": str(host), "port": int(port)}:
            member = LayoutMember(name, zone, host, port)
            member.validate()
            return member
    raise Usage("a member has a name, a zone, a host and a port")
