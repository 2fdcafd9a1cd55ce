"""A distributed system in small blocks, and the Python API to a running one: `cluster.connect("default")`.

Importing this package loads nothing: each name below is loaded when it is first asked for (PEP 562), so that a part
does not load the whole. docs/python-api.md shows the API.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.client.aio import connect as connect
    from cluster.client.blocking import connect_blocking as connect_blocking
    from cluster.errors import ClusterError as ClusterError

__all__ = ["ClusterError", "connect", "connect_blocking"]

_WHERE = {
    "ClusterError": "cluster.errors",
    "connect": "cluster.client.aio",
    "connect_blocking": "cluster.client.blocking",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cluster' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
