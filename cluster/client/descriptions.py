"""Descriptions of services as a client finds them: all versions that a cluster offers, and what tells two apart."""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, NotFound
from cluster.requests.compatibility import VersionChange, compare, is_compatible
from cluster.requests.description import describe, openapi

__all__ = ["VersionChange", "compare", "describe", "is_compatible", "offered_versions", "openapi"]

Description = dict[str, Any]
Ask = Callable[[str, dict[str, object]], Mapping[str, Description | ClusterError]]
"""An admin query to all nodes, with its arguments."""


def offered_versions(cluster: str, service: str, ask: Ask) -> dict[int, dict[str, Description]]:
    """The descriptions of a service by version, the newest first, and by the node that gave it. A version has one
    definition, unless somebody changed it without a new number. Raises NotFound, or what kept all nodes from
    answering."""
    found: dict[int, dict[str, Description]] = {}
    wanted: dict[int, None] = {0: None}  # 0: whichever is a node's newest
    asked: dict[int, None] = {}
    while wanted:
        version = wanted.popitem()[0]
        asked[version] = None
        answers = ask("describe", {"service": service, "version": version})
        for node, answer in answers.items():
            if isinstance(answer, ClusterError):
                continue
            found.setdefault(answer["version"], {})[node] = answer
            wanted |= dict.fromkeys(one for one in answer.get("versions", []) if one not in asked)
        if not found:
            errors = {
                node: answer
                for node, answer in answers.items()
                if isinstance(answer, ClusterError) and not isinstance(answer, NotFound)
            }
            if len(errors) == len(answers):
                raise nobody(cluster, errors)
            raise NotFound(
                f"no live node offers a service {service!r}", help="`dsectl services` lists those there are."
            )
    return dict(sorted(found.items(), reverse=True))
