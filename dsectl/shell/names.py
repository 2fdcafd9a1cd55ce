"""Names for completion, looked up when they are wanted: on disk, or in a cluster, which is given up soon."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cluster.emulator.home import find_home, load_cluster
from cluster.errors import ClusterError, Usage
from dsectl.cli.completion.grammar import NameKind
from dsectl.cli.invocation import Session
from dsectl.script.check import refuse_polling
from dsectl.script.execution import Job, carry_out
from dsectl.script.values import MISSING
from dsectl.shell.toolbar import ClusterView

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster

LOOK_S = 0.3
"""What takes longer is not offered: a Tab that hangs is worse than one that offers less."""
KEYS_MAX = 100


def names_in_cluster(client: "BlockingCluster", kind: NameKind, begun: str) -> Iterable[str]:
    """The names of a kind that only nodes know, at least those that begin with `begun`. Raises ClusterError."""
    client.timeout = LOOK_S
    match kind:
        case NameKind.KEY:
            return client.kv.keys(begun, limit=KEYS_MAX).keys
        case NameKind.SUBJECT:
            patterns: list[str] = client.ask(None, "patterns", timeout=LOOK_S)
            return patterns
        case NameKind.SERVICE:
            return [one["service"] for one in client.admin.services()]
        case NameKind.OPERATION:
            service, dot, _ = begun.partition(".")
            if not dot:
                return [f"{one['service']}." for one in client.admin.services()]
            answers = client.ask_all(None, "describe", {"service": service}, timeout=LOOK_S).values()
            described: dict[str, Any] = next(
                (one for one in answers if not isinstance(one, ClusterError)), {"operations": {}}
            )
            return [f"{service}.{operation}" for operation in described["operations"]]
    return ()


class LiveNames:
    """The names of the cluster in use, by kind. One thread at a time."""

    def __init__(self, view: Callable[[], ClusterView], jobs: Mapping[str, Job]) -> None:
        self._view = view
        self._jobs = jobs

    def of(self, kind: NameKind, begun: str) -> list[str]:
        """The names of a kind, at least those that begin with `begun`; none when no node answers in time."""
        try:
            return list(self._find(kind, begun))
        except (ClusterError, OSError):
            return []

    def _find(self, kind: NameKind, begun: str) -> Iterable[str]:
        view = self._view()
        match kind:
            case NameKind.NODE:
                return view.nodes
            case NameKind.CLUSTER:
                return find_home().names()
            case NameKind.ZONE:
                return dict.fromkeys(place.zone for place in load_cluster(view.cluster).record.places)
            case NameKind.FILE:
                return files(begun)
            case NameKind.FAULT:
                faults = self.result(["faults", "--active"])
                return [] if faults is MISSING else [one["id"] for one in faults]
        if not view.serves:
            return ()
        with closing(Session(view.cluster)) as session:
            return names_in_cluster(session.client(view.cluster, None), kind, begun)

    def result(self, argv: list[str]) -> Any:
        """The JSON of a command that only reads, or of a job; MISSING where there is none soon."""
        if len(argv) == 1 and argv[0] in self._jobs:
            return self._jobs[argv[0]].value
        try:
            refuse_polling(argv)
        except Usage:
            return MISSING
        if not self._view().serves:
            return MISSING
        with closing(Session(self._view().cluster)) as session:
            found = carry_out(argv, session, timeout_s=LOOK_S)
        return MISSING if found.code else found.value


def files(begun: str) -> list[str]:
    """The files and folders that a path may become; a folder ends with a slash."""
    folder, _, _ = begun.rpartition("/")
    lead = f"{folder}/" if "/" in begun else ""
    with os.scandir(os.path.expanduser(lead) or ".") as entries:
        return sorted(f"{lead}{one.name}{'/' if one.is_dir() else ''}" for one in entries if one.name[0] != ".")
