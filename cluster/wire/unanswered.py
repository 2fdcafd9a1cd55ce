"""What may be said of a call that was sent and whose answer did not come: of a body that changes nothing, that none
came; of any other, that it may have happened, also where to do it twice is harmless. Pure.
"""

from cluster.errors import ClusterError, DeadlinePassed, Maybe, Unreachable
from cluster.wire.admin import ACTIONS, AdminQuery
from cluster.wire.frames import Body
from cluster.wire.kv import Get, Keys
from cluster.wire.queues import QueueAck, QueueExtend
from cluster.wire.topics import Subscribe, Unsubscribe

READS = frozenset({Get, Keys, AdminQuery, Subscribe, Unsubscribe})
"""Bodies that leave nothing behind, but for the queries that are `ACTIONS`."""
REPEATABLE = READS | {QueueAck, QueueExtend}
"""Bodies that may be sent twice. A query that acts (`reload-faults`) acts the same when it is repeated; what is done
with a message of a queue is done once, and its lease extended from when it was asked for last."""


def changes_nothing(body: Body) -> bool:
    """Whether it surely has no effect, also where its answer is lost."""
    return type(body) in READS and not (isinstance(body, AdminQuery) and body.what in ACTIONS)


def lost(body: Body, node: str, reason: str) -> ClusterError:
    """The connection ended after `body` was sent. A Maybe says to which node in its detail."""
    if changes_nothing(body):
        return Unreachable(f"{node}: {reason}")
    return Maybe(f"{node} was lost before it answered ({reason}): the operation may have happened", node=node)


def expired(body: Body, node: str) -> ClusterError:
    """No answer came in time after `body` was sent."""
    if changes_nothing(body):
        return DeadlinePassed(f"{node} did not answer in time")
    return Maybe(f"{node} did not answer in time: the operation may have happened", node=node)
