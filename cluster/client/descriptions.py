"""Descriptions of services as a client finds them: all versions that a cluster offers, and what tells two apart."""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError, NotFound
from cluster.requests.compatibility import VersionChange, compare, is_compatible
from cluster.requests.description import describe, openapi

__all__ = ["VersionChange", "compare", "describe", "is_compatible", "offered_versions", "openapi"]

Description = dict[str, Any]
Ask = Callable[[str, dict[str, object]], Mapping[str, Any]]
"""An admin query to all nodes, with its arguments: what each answers, or its ClusterError."""


def offered_versions(cluster: str, service: str, ask: Ask) -> dict[int, dict[str, Description]]:
    """The descriptions of a service by version, the newest first, and by the node that gave it. A version has one
    definition, unless somebody changed it without a new number. Raises NotFound, or what kept all nodes from
    answering."""
    versions = {0: None}  # 0: whichever a node has
    for told in ask("services", {}).values():
        if not isinstance(told, ClusterError):
            endpoints = [end for one in told if one["service"] == service for end in one["endpoints"]]
            versions |= dict.fromkeys(end["version"] for end in endpoints)
    found: dict[int, dict[str, Description]] = {}
    errors: dict[str, ClusterError] = {}
    for version in versions:
        for node, answer in ask("describe", {"service": service, "version": version}).items():
            if isinstance(answer, ClusterError):
                errors[node] = answer
            else:
                found.setdefault(answer["version"], {})[node] = answer
    if not found and errors and not any(isinstance(error, NotFound) for error in errors.values()):
        raise nobody(cluster, errors)
    if not found:
        raise NotFound(f"no live node offers a service {service!r}", help="`dsectl services` lists those there are.")
    return dict(sorted(found.items(), reverse=True))
