"""The command line, and a second door to the Python API: `dsectl.connect` is `cluster.connect`, and so with each name.

Any project may have a package `cluster` of its own, and Python then finds that one: whoever writes `dsectl.connect` or
`except dsectl.Maybe` gets one sentence with its path instead of a riddle. Importing this package loads nothing, so that
it costs the command line nothing; each name is loaded when it is first asked for.
"""

from importlib import import_module
from os.path import abspath, dirname
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster import *  # noqa: F403 - each with its type

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
