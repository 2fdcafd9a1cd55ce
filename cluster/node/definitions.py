"""How a node has a definition decided: of a bucket or a queue, as an entry of the chain.

A majority of the members decides, whatever else is under way, and whoever asked is answered once all live members have
taken the entry over, with the names of those that have not: they do when they answer again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cluster.chain.entry import ChainEntry, Change
from cluster.errors import ClusterError, NotYet
from cluster.ports import Inbound
from cluster.wire.admin import AdminAnswer

if TYPE_CHECKING:
    from cluster.node.node import Node

LOOK_S: Final = 0.005
ANSWER_S: Final = 0.1
"""So long before its deadline a wait ends, so that what was decided still arrives, with who has not taken it over."""

Decided = Callable[[ChainEntry | ClusterError, list[str]], None]
"""(the entry, the members that have not taken it over); or (why not, [])."""


class Definitions:
    """One node's way to have definitions decided."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def decide(self, change: Change, change_id: str, deadline: float, done: Decided) -> None:
        """Have it decided, and wait until all live members have the entry. `change_id` names the change, which is made
        once, however often and wherever it is asked for."""
        node, given = self._node, list[str]()

        def decided(outcome: ChainEntry | ClusterError) -> None:
            if isinstance(outcome, ChainEntry):
                others = [name for name in node.membership.alive() if name != node.member.name]
                node.layouts.chain.give(others, outcome, deadline - ANSWER_S, given.append)
                wait(outcome)
            elif isinstance(outcome, NotYet) and node.env.clock.now() < deadline - 2 * ANSWER_S:
                # This node has another change under way.
                node.env.clock.call_later(LOOK_S, self.decide, change, change_id, deadline, done)
            else:
                done(outcome, [])

        def wait(entry: ChainEntry) -> None:
            # What members announce comes with gossip, from those too that were away when it was given to them.
            progress = node.layouts.all_progress()
            has = {*given, *(name for name, one in progress.items() if one.slot >= entry.slot)}
            behind = [name for name in node.membership.alive() if name not in has]
            if not behind or node.env.clock.now() >= deadline - ANSWER_S:
                done(entry, [name for name in node.view.members if name not in has])
            else:
                node.env.clock.call_later(LOOK_S, wait, entry)

        node.layouts.chain.propose(change, deadline - ANSWER_S, decided, change_id)


def answering(inbound: Inbound, answer: Callable[[ChainEntry], dict[str, Any]]) -> Decided:
    """Replies to an admin query with what `answer` says of the entry, its slot, and who has not taken it over."""

    def decided(outcome: ChainEntry | ClusterError, late: list[str]) -> None:
        if isinstance(outcome, ClusterError):
            inbound.fail(outcome)
        else:
            inbound.reply(AdminAnswer({**answer(outcome), "slot": outcome.slot, "late": late}))

    return decided
