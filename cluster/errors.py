"""Every error that a caller can meet, once: its code, whether it is definite, its exit code and what helps.

*Definite* says that the operation surely did not happen, so a retry is safe; an error that is not definite may still
have taken effect (Maelstrom's registry of errors makes the same split). The table feeds the wire (a code travels, the
class is found again by `from_code`), the exit codes of the command line and `dsectl help exit-codes`.
"""

from typing import Any, ClassVar

REGISTRY: dict[str, type["ClusterError"]] = {}

EXIT_CODES: dict[int, str] = {
    0: "ok, or passed",
    1: "the operation or an assertion failed",
    2: "wrong usage, or a file was refused",
    3: "inconclusive: the test did not test anything",
    4: "unknown cluster, or it cannot be reached",
    5: "the deadline passed and the outcome is unknown (maybe)",
    6: "unknown key, node, queue or service",
    7: "a quorum or a responder is missing (a definite no)",
    130: "interrupted",
    141: "broken pipe",
    143: "terminated",
}


class ClusterError(Exception):
    """Any failure of a cluster operation; the subclasses say which. `detail` holds fields for the JSON output."""

    code: ClassVar[str] = "internal"
    definite: ClassVar[bool] = False
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    help_text: ClassVar[str] = (
        "This is a bug in dsectl: please report what you did, with the output of `dsectl logs --all`."
    )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        assert cls.code not in REGISTRY or REGISTRY[cls.code].__name__ == cls.__name__, f"two errors share {cls.code}"
        assert cls.exit_code in EXIT_CODES, cls.code
        REGISTRY[cls.code] = cls

    def __init__(self, message: str, help: str | None = None, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.help = self.help_text if help is None else help
        self.detail = detail

    @property
    def own_help(self) -> str:
        """What helps, if it is more than the class says; this travels."""
        return "" if self.help == self.help_text else self.help

    def to_dict(self) -> dict[str, Any]:
        """The `error` object of the JSON output."""
        return {"code": self.code, "definite": self.definite, "message": self.message, "help": self.help}


REGISTRY[ClusterError.code] = ClusterError


class Failed(ClusterError):
    """The operation was carried out and did not succeed."""

    code = "failed"
    definite = True
    help_text = "The message says why; `dsectl status` shows the cluster."


class AlreadyExists(ClusterError):
    """A cluster (or another named thing) of that name is there already."""

    code = "exists"
    definite = True
    help_text = "`dsectl ps` lists the clusters; choose another name with -C, or end it with `dsectl down`."


class ServiceError(ClusterError):
    """The service answered with an error that it declares, or its handler failed."""

    code = "service-error"
    definite = False
    help_text = (
        "`dsectl describe SERVICE` lists the errors it declares; `dsectl logs ENDPOINT` has the traceback of others."
    )


class DependencyFailed(ServiceError):
    """The handler ran, and something that it called failed, in a way that it does not declare."""

    code = "dependency-failed"
    help_text = "The message says how; `dsectl services` shows the endpoints of the service that the handler called."


class Usage(ClusterError):
    """An argument, option, setting or file that cannot be accepted."""

    code = "usage"
    definite = True
    exit_code = 2
    help_text = "`dsectl help` lists the commands; `--help` after a command shows its options."


class TooLarge(Usage):
    """A key, value, name or frame over its limit."""

    code = "too-large"
    exit_code = 2
    help_text = "The limits are in docs/limits.md: 1 KiB a key, 1 MiB a value."


class BadContext(Usage):
    """A context token that belongs to another key, or that is not one."""

    code = "bad-context"
    exit_code = 2
    help_text = "Take the token from the `context` of a `get` or `put` of the same key."


class TransitionUnderWay(Usage):
    """Another change of the members has not ended yet."""

    code = "transition"
    exit_code = 2
    help_text = "`dsectl status` shows how far it is; `dsectl revert` takes it back, unless it is a forget."


class TooFewOwners(Usage):
    """Without these nodes, some partitions have too few owners to be sure of what was acknowledged."""

    code = "too-few-owners"
    exit_code = 2
    help_text = "`dsectl restart` one of them if that can be; `dsectl forget --accept-loss` goes on without."


class TooFewNodes(Usage):
    """Fewer nodes would be left than a key has copies."""

    code = "too-few-nodes"
    exit_code = 2
    help_text = "Add a node first (`dsectl add`): what every owner holds must stay on as many owners."


class OtherChain(ClusterError):
    """The chain of members was forked by force (`forget --force`), and this node is on the other branch."""

    code = "other-chain"
    definite = True
    help_text = (
        "Nothing is merged: what only this branch acknowledged is in its nodes' folders. Stop its nodes; `dsectl add` "
        "makes new ones, with empty folders."
    )


class Forbidden(ClusterError):
    """A message that the role of its sender may not send."""

    code = "forbidden"
    definite = True
    exit_code = 2
    help_text = "Clients use the operations of the Python API; what nodes send each other is theirs alone."


class StaleLayout(ClusterError):
    """The sender routed by another layout than the receiver holds: nothing was done."""

    code = "stale-layout"
    definite = True
    retryable = True
    exit_code = 7
    help_text = "Whoever is behind fetches the newer layout by itself, once its disk has room; try again."


class WrongType(ClusterError):
    """The key holds something of another kind than the operation is for: a value, a counter or a set."""

    code = "wrong-type"
    definite = True
    help_text = "`dsectl explain KEY` shows what the key holds; `dsectl delete KEY` removes it, whatever it is."


class TooManySiblings(ClusterError):
    """A put that would leave a key with more siblings, or more bytes in all of them, than are allowed."""

    code = "siblings"
    definite = True
    help_text = (
        "Read the key with `get` and write the merged value with its context, so that the siblings are replaced."
    )


class ClockFull(ClusterError):
    """A put whose coordinator the key's clock cannot name any more."""

    code = "clock-full"
    definite = True
    help_text = "Delete the key with its context and use another one; a clock goes with its tombstone, never before."


class LimitReached(ClusterError):
    """A node holds as many of something as it may: subscriptions, patterns, services."""

    code = "limit"
    definite = True
    retryable = True
    help_text = "End what is not needed any more, or use another node; the limits are in docs/limits.md."


class LeaseLost(ClusterError):
    """The lease that a receipt proves has ended: its time is over, or its node was restarted."""

    code = "lease-lost"
    definite = True
    help_text = "The message is delivered again; `dsectl ack` takes a late receipt, `nack` and `extend` do not."


class Inconclusive(ClusterError):
    """The test did not test: a fault touched nothing, or a threshold had no samples."""

    code = "inconclusive"
    definite = True
    exit_code = 3
    help_text = "Nothing was proven either way; see the message for what was missing."


class UnknownCluster(ClusterError):
    """No cluster of that name on this machine."""

    code = "unknown-cluster"
    definite = True
    exit_code = 4
    help_text = "`dsectl ps` lists the clusters; `dsectl up` starts one."


class Unreachable(ClusterError):
    """No node could be connected to, so nothing was sent."""

    code = "unreachable"
    definite = True
    retryable = True
    exit_code = 4
    help_text = "`dsectl status` shows which nodes run; `dsectl restart --all` starts those that do not."


class Damaged(ClusterError):
    """The state on disk is incomplete or unreadable."""

    code = "damaged"
    definite = True
    exit_code = 4
    help_text = (
        "Restore the file that the message names from a copy; `dsectl status` shows which nodes run, and what brings "
        "back those that do not."
    )


class HandshakeRefused(ClusterError):
    """The other side does not know the cluster's secret, or speaks another version."""

    code = "handshake"
    definite = True
    exit_code = 4
    help_text = "Client and cluster must share the secret file; `dsectl env` shows where it is."


class Maybe(ClusterError):
    """The deadline passed after the operation was sent: it may have happened, or may still happen."""

    code = "maybe"
    definite = False
    exit_code = 5
    help_text = "Read the key (or look at the effect) before you repeat it."


class DeadlinePassed(ClusterError):
    """The deadline passed before the operation was carried out, and it will not be."""

    code = "deadline"
    definite = True
    retryable = True
    exit_code = 5
    help_text = "Allow more time with --timeout, or see with `dsectl health` what is slow."


class NotFound(ClusterError):
    """The key, node, queue or service does not exist."""

    code = "not-found"
    definite = True
    exit_code = 6
    help_text = "`dsectl keys`, `dsectl members`, `dsectl queue list` and `dsectl services` list what exists."


class QuorumMissing(ClusterError):
    """Too few owners can be reached for the quorum; nothing was sent."""

    code = "no-quorum"
    definite = True
    retryable = True
    exit_code = 7
    help_text = "`dsectl members` shows who is alive, `dsectl explain KEY` who owns the key; `restart` or `heal` helps."


class NotYet(QuorumMissing):
    """The last change has not reached enough nodes for the next one, or the node asked has one under way."""

    code = "not-yet"
    definite = True
    retryable = True
    exit_code = 7
    help_text = "Try again in a moment."


class WrongClock(ClusterError):
    """A write that is stamped, at a coordinator whose wall clock is far from those of its peers."""

    code = "wrong-clock"
    definite = True
    retryable = True
    exit_code = 7
    help_text = (
        "Set the node's clock (`dsectl heal` ends a fault of it), or write through another node: `dsectl status` "
        "names them, --via chooses one."
    )


class NoResponders(ClusterError):
    """No live node offers the service, or nobody listens to the subject."""

    code = "no-responders"
    definite = True
    retryable = True
    exit_code = 7
    help_text = (
        "`dsectl services` lists the services and the state of their endpoints, `dsectl subscriptions` who listens."
    )


class Overloaded(ClusterError):
    """A bounded queue is full: refused before it was sent."""

    code = "overloaded"
    definite = True
    retryable = True
    exit_code = 7
    help_text = "Send less, or wait: the node refuses what it could not finish in time."


class QueueFull(ClusterError):
    """A queue holds as many messages, or bytes, as it may."""

    code = "queue-full"
    definite = True
    retryable = True
    exit_code = 7
    help_text = "`dsectl queue show QUEUE` shows its depth; receive and acknowledge messages, then send again."


class StorageFull(ClusterError):
    """The disk (or the hint store) refused the write, and nothing was kept."""

    code = "storage-full"
    definite = True
    retryable = True
    exit_code = 7
    help_text = "Free space on the disk that holds the cluster's state (`dsectl env` shows where)."


class BadMessage(ClusterError):
    """A frame that breaks the protocol; only that connection is closed."""

    code = "bad-message"
    definite = True
    exit_code = 1
    help_text = "Both sides must run the same version of dsectl."


def from_code(code: str, message: str, **detail: Any) -> ClusterError:
    """The error that the registry holds under `code`, as it arrived over the wire."""
    return REGISTRY.get(code, ClusterError)(message, **detail)
