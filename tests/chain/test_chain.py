"""What one node asks the others for, and how often."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from msgspec.structs import replace

from cluster.chain.chain import PAGE, Chain
from cluster.chain.entry import ChainEntry, digest, forced, genesis, renamed
from cluster.layout import LayoutEntry, LayoutMember
from cluster.ports import Done, Messenger
from cluster.simulation import World
from cluster.wire.chain import Decided, Entries

FIRST = genesis(LayoutEntry(1, "c", tuple(LayoutMember(f"n{place}", "z1", "h", place) for place in (1, 2, 3)), 3, 2, 2))


def forked(slots: int) -> list[ChainEntry]:
    """A chain of so many entries, the second of which was forced."""
    entries = [FIRST]
    while len(entries) < slots:
        before = entries[-1]
        if before.fork:
            next = renamed(before, "n1", f"n1-{len(entries)}")
        else:
            next = forced(before, ["n2", "n3"], 0, lossy=True)
        entries.append(replace(next, follows=digest(before)))
    return entries


class Asked:
    def __init__(self, body: Entries, reply: Callable[[Decided], None]) -> None:
        self.body, self.reply = body, reply


class Node:
    """A chain whose calls all go to `peer`."""

    def __init__(self, world: World, name: str, entries: list[ChainEntry], peer: "Node | None" = None) -> None:
        self.env, self.peer = world.env(name), peer
        self.asked = 0
        self.handlers: dict[type, Callable[[Any], None]] = {}
        self.handle = self.handlers.__setitem__

        def ignore(*_: object, **__: object) -> None:
            pass

        messenger = cast(Messenger, self)
        self.chain = Chain(self.env, name, False, entries, messenger, ignore, ignore, ignore, ignore)

    def request(self, peers: Sequence[str], body: Entries, deadline: float, done: Done, lane: int = 0) -> int:
        assert self.peer is not None
        self.asked += 1

        def answer(decided: Decided) -> None:
            self.env.clock.call_later(0.01, done, peers[0], decided)

        self.peer.handlers[Entries](Asked(body, answer))
        return 1


def test_a_long_chain_is_fetched_page_by_page() -> None:
    with World(1) as world:
        entries = forked(2 * PAGE + 5)
        ahead = Node(world, "n3", entries)
        behind = Node(world, "n1", entries[:1], ahead)
        behind.env.clock.call_soon(behind.chain.fetch, "n3")
        world.run_for(1.0)
        assert behind.chain.entries == entries and behind.asked == 3


def test_a_peer_that_is_behind_is_asked_once() -> None:
    """It gives all since the fork to whoever is ahead of it, since that may be another branch: nothing new, here."""
    with World(1) as world:
        entries = forked(PAGE + 5)
        behind = Node(world, "n3", entries[:-1])
        ahead = Node(world, "n1", entries, behind)
        ahead.env.clock.call_soon(ahead.chain.fetch, "n3")
        world.run_for(1.0)
        assert ahead.asked == 1 and ahead.chain.entries == entries


def test_a_peer_of_another_branch_is_asked_once() -> None:
    with World(1) as world:
        ours, theirs = forked(2), [FIRST]
        for number in range(PAGE + 1):
            before = theirs[-1]
            theirs.append(replace(renamed(before, "n2", f"n2-{number}"), follows=digest(before)))
        one, other = Node(world, "n1", ours), Node(world, "n3", theirs)
        one.peer = other
        one.env.clock.call_soon(one.chain.fetch, "n3")
        world.run_for(1.0)
        assert one.asked == 1 and one.chain.entries == ours
