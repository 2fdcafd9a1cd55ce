"""The command line, and a second door to the Python API: `dsectl.connect` is `cluster.connect`, and so with each name.

Any project may have a package `cluster` of its own, and Python then finds that one: whoever writes `dsectl.connect` or
`except dsectl.Maybe` gets one sentence with its path instead of a riddle. Importing this package loads nothing, so that
it costs the command line nothing; each name is loaded when it is first asked for.
"""

from importlib import import_module
from os.path import abspath, dirname
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster import AlreadyExists as AlreadyExists
    from cluster import BadContext as BadContext
    from cluster import BadMessage as BadMessage
    from cluster import BlockingCluster as BlockingCluster
    from cluster import CallResult as CallResult
    from cluster import Client as Client
    from cluster import ClockFull as ClockFull
    from cluster import ClusterError as ClusterError
    from cluster import Damaged as Damaged
    from cluster import DeadlinePassed as DeadlinePassed
    from cluster import Failed as Failed
    from cluster import Forbidden as Forbidden
    from cluster import GetResult as GetResult
    from cluster import HandshakeRefused as HandshakeRefused
    from cluster import Inconclusive as Inconclusive
    from cluster import KeysResult as KeysResult
    from cluster import LimitReached as LimitReached
    from cluster import Maybe as Maybe
    from cluster import NoResponders as NoResponders
    from cluster import NotFound as NotFound
    from cluster import NotYet as NotYet
    from cluster import Overloaded as Overloaded
    from cluster import PublishResult as PublishResult
    from cluster import PutResult as PutResult
    from cluster import QuorumMissing as QuorumMissing
    from cluster import ServiceError as ServiceError
    from cluster import StaleLayout as StaleLayout
    from cluster import StorageFull as StorageFull
    from cluster import Subscription as Subscription
    from cluster import TooFewNodes as TooFewNodes
    from cluster import TooFewOwners as TooFewOwners
    from cluster import TooLarge as TooLarge
    from cluster import TooManySiblings as TooManySiblings
    from cluster import TopicMessage as TopicMessage
    from cluster import TransitionUnderWay as TransitionUnderWay
    from cluster import UnknownCluster as UnknownCluster
    from cluster import Unreachable as Unreachable
    from cluster import Usage as Usage
    from cluster import connect as connect
    from cluster import connect_blocking as connect_blocking
    from cluster import errors as errors

ROOT = dirname(dirname(abspath(__file__)))
"""The folder of this package and of the `cluster` that belongs to it."""
OWN_CLUSTER = f"{ROOT}/cluster"


def check_cluster() -> None:
    """Raises ImportError when the package `cluster` that Python finds is not the one that belongs to this package."""
    from importlib.util import find_spec

    try:
        spec = find_spec("cluster")
    except ValueError:  # it was made by hand, and says nothing of itself
        spec = None
    places = (
        [] if spec is None else [dirname(spec.origin)] if spec.origin else list(spec.submodule_search_locations or ())
    )
    if OWN_CLUSTER not in map(abspath, places):
        found = "nothing" if spec is None else spec.origin or ", ".join(places)
        raise ImportError(
            f"dsectl needs its own package `cluster`, in {OWN_CLUSTER}, and Python finds {found} under that name: "
            "start Python from another folder, or rename that one"
        )


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(f"module 'dsectl' has no attribute {name!r}")
        check_cluster()
        cluster = import_module("cluster")
        if name not in cluster.__all__:
            raise AttributeError(f"module 'dsectl' has no attribute {name!r}")
        value = globals()[name] = getattr(cluster, name)
        return value


def __dir__() -> list[str]:
    check_cluster()
    return sorted({*globals(), *import_module("cluster").__all__})
