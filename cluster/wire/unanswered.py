"""What may be said of a call that was sent and whose answer did not come: of a body that may be sent twice, that none
came; of any other, that it may have happened. Pure.
"""

from cluster.errors import ClusterError, DeadlinePassed, Maybe, Unreachable
from cluster.wire.admin import AdminQuery
from cluster.wire.frames import Body
from cluster.wire.kv import Get, Keys
from cluster.wire.queues import QueueAck, QueueExtend
from cluster.wire.topics import Subscribe, Unsubscribe

REPEATABLE = frozenset({Get, Keys, AdminQuery, Subscribe, Unsubscribe, QueueAck, QueueExtend})
"""Bodies that may be sent twice. An Ask that acts (`reload-faults`) acts the same when it is repeated; what is done
with a message of a queue is done once, and its lease extended from when it was asked for last."""


def lost(body: Body, node: str, reason: str) -> ClusterError:
    """The connection ended after `body` was sent. A Maybe says to which node in its detail."""
    if type(body) in REPEATABLE:
        return Unreachable(f"{node}: {reason}")
    return Maybe(f"{node} was lost before it answered ({reason}): the operation may have happened", node=node)


def expired(body: Body, node: str) -> ClusterError:
    """No answer came in time after `body` was sent."""
    if type(body) in REPEATABLE:
        return DeadlinePassed(f"{node} did not answer in time")
    return Maybe(f"{node} did not answer in time: the operation may have happened", node=node)
