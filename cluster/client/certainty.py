"""What a client may say about a request whose answer did not come.

A request that was not sent whole did not happen: Unreachable, definite. One that was sent may have happened: a write is
`Maybe` and is never sent again; a read changes nothing, so it may go to another node. Shared by both clients.
"""

from cluster.errors import ClusterError, DeadlinePassed, HandshakeRefused, Maybe, Overloaded, Unreachable
from cluster.wire.admin import Ask
from cluster.wire.frames import Body
from cluster.wire.kv import Get, Keys
from cluster.wire.topics import Subscribe, Unsubscribe

REPEATABLE = frozenset({Get, Keys, Ask, Subscribe, Unsubscribe})
"""Bodies that may be sent twice. An Ask that acts (`poke`) acts the same when it is repeated."""

READ_ATTEMPT_S = 1.25
"""How long one node may be silent on a read before another is asked: its own limit is 1 s, and the way there."""

GRACE_S = 0.05
"""How much longer a client waits than it tells the node, so that the node's better informed `maybe` gets through."""


def lost(body: Body, node: str, reason: str) -> ClusterError:
    """The connection ended after `body` was sent."""
    if type(body) in REPEATABLE:
        return Unreachable(f"{node}: {reason}")
    return Maybe(f"{node} was lost before it answered ({reason}): the operation may have happened")


def expired(body: Body, node: str) -> ClusterError:
    """No answer came in time after `body` was sent."""
    if type(body) in REPEATABLE:
        return DeadlinePassed(f"{node} did not answer in time")
    return Maybe(f"{node} did not answer in time: the operation may have happened")


def may_go_elsewhere(body: Body, error: ClusterError) -> bool:
    """Whether another node may be tried after `error` from one: it surely did nothing, or doing it twice is harmless.

    Definite refusals with a reason of their own (no quorum, overload, a bad argument) are answers, not obstacles.
    """
    if isinstance(error, Unreachable | HandshakeRefused):
        return True
    return isinstance(error, DeadlinePassed) and type(body) in REPEATABLE


def nobody(cluster: str, errors: dict[str, ClusterError]) -> ClusterError:
    """The one error to raise when no node could be reached; `errors` says why, by node."""
    for kind in (HandshakeRefused, DeadlinePassed, Overloaded):  # these say more than that a node is not there
        for error in errors.values():
            if isinstance(error, kind):
                return error
    if not errors:
        return DeadlinePassed("no time is left to ask anybody")
    if len(errors) == 1:
        return next(iter(errors.values()))
    reasons = "; ".join(error.message for error in errors.values())
    return Unreachable(f"no node of cluster {cluster!r} can be reached: {reasons}")
