"""Names that only nodes know, looked up for a Tab and given up soon.

It loads little, since `dsectl complete` is a process for each Tab of bash, zsh and fish.
"""

import threading
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from cluster.errors import ClusterError
from dsectl.cli.invocation import Session

T = TypeVar("T")
LOOK_S = 0.3
"""What takes longer is not offered: a Tab that hangs is worse than one that offers less."""
KEYS_MAX = 100
ASKED = ("key", "bucket", "queue", "subject", "service", "operation")
"""The kinds of names that only nodes know; `NameKind` calls them so, too."""


def soon(find: Callable[[], T], otherwise: T) -> T:
    """What `find` returns, or `otherwise` if it fails or takes too long: each of its requests has a limit of its own,
    but a cluster that hangs takes several."""
    found: list[T] = []

    def run() -> None:
        try:
            found.append(find())
        except Exception:  # a name that cannot be offered is no error; later than the limit, nobody waits any more
            return

    thread = threading.Thread(target=run, name="names", daemon=True)
    thread.start()
    thread.join(LOOK_S)
    return found[0] if found else otherwise


def names_in_cluster(cluster: str, kind: str, begun: str) -> list[str]:
    """The names of one of these kinds, at least those that begin with `begun`. Raises ClusterError.

    The session is its own, so that a look that was given up keeps nobody from closing theirs.
    """
    with closing(Session(cluster)) as session:
        client = session.client(cluster, None)
        client.timeout = LOOK_S
        match kind:
            case "key":
                return client.kv.keys(begun, limit=KEYS_MAX).keys
            case "bucket":
                return [one["bucket"] for one in client.admin.buckets()]
            case "queue":
                return [one["name"] for one in client.admin.queues(timeout=LOOK_S)]
            case "subject":
                return list(client.ask(None, "patterns", timeout=LOOK_S))
            case "service":
                return [one["service"] for one in client.admin.services()]
            case "operation":
                service, dot, _ = begun.partition(".")
                if not dot:
                    return [f"{one['service']}." for one in client.admin.services()]
                answers = client.ask_all(None, "describe", {"service": service}, timeout=LOOK_S).values()
                found = [one["operations"] for one in answers if not isinstance(one, ClusterError)]
                return [f"{service}.{operation}" for operation in (found[0] if found else ())]
    return []
