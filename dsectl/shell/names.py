"""Names for completion, looked up when they are wanted. It runs beside the prompt, and gives up soon."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cluster.emulator.home import find_home, load_cluster
from cluster.errors import ClusterError, Usage
from dsectl.cli.completion.grammar import Kind
from dsectl.cli.invocation import Session
from dsectl.script.check import refuse_polling
from dsectl.script.execution import Job, carry_out
from dsectl.script.values import MISSING
from dsectl.shell.toolbar import View

LOOK_S = 0.3
"""What takes longer is not offered: nobody waits longer behind a Tab."""
KEYS_MAX = 100


class LiveNames:
    """The names of the cluster in use, by kind. One thread at a time."""

    def __init__(self, view: Callable[[], View], jobs: Mapping[str, Job]) -> None:
        self._view = view
        self._jobs = jobs
        self._kinds: dict[Kind, Callable[[str], Iterable[str]]] = {
            Kind.NODE: lambda begun: self._view().nodes,
            Kind.CLUSTER: lambda begun: find_home().names(),
            Kind.ZONE: lambda begun: dict.fromkeys(place.zone for place in load_cluster(self._cluster).record.places),
            Kind.FILE: files,
            Kind.KEY: self._keys,
            Kind.SUBJECT: lambda begun: self._admin("patterns") or (),
            Kind.SERVICE: lambda begun: (one["service"] for one in self._look(["services"]) or ()),
            Kind.OPERATION: self._operations,
            Kind.FAULT: lambda begun: (one["id"] for one in self._look(["faults", "--active"]) or ()),
        }

    def of(self, kind: Kind, begun: str) -> list[str]:
        """The names of a kind, at least those that begin with `begun`; none when nobody answers in time."""
        find = self._kinds.get(kind)
        try:
            return list(find(begun)) if find is not None else []
        except (ClusterError, OSError):
            return []

    def result(self, argv: list[str]) -> Any:
        """The JSON of a command that only reads, or of a job; MISSING where there is none soon."""
        if len(argv) == 1 and argv[0] in self._jobs:
            return self._jobs[argv[0]].value
        try:
            refuse_polling(argv)
        except Usage:
            return MISSING
        found = self._look(argv)
        return MISSING if found is None else found

    @property
    def _cluster(self) -> str:
        return self._view().cluster

    def _look(self, argv: list[str]) -> Any:
        if not self._view().serves:
            return None
        session = Session(self._cluster)
        try:
            found = carry_out(argv, session, timeout_s=LOOK_S)
        finally:
            session.close()
        return found.value if found.code == 0 else None

    def _admin(self, what: str) -> Any:
        if not self._view().serves:
            return None
        session = Session(self._cluster)
        try:
            return session.client(self._cluster, None).ask(None, what, timeout=LOOK_S)
        finally:
            session.close()

    def _keys(self, begun: str) -> Iterable[str]:
        found = self._look(["keys", "--limit", str(KEYS_MAX), "--", begun])
        keys: list[str] = found["keys"] if isinstance(found, dict) else []
        return keys

    def _operations(self, begun: str) -> Iterable[str]:
        """Services with a dot behind them; once one is typed, its operations."""
        service, dot, _ = begun.partition(".")
        if not dot:
            return [f"{one['service']}." for one in self._look(["services"]) or ()]
        described = self._look(["describe", service])
        operations = described["operations"] if isinstance(described, dict) else {}
        return [f"{service}.{operation}" for operation in operations]


def files(begun: str) -> list[str]:
    """The files and folders that a path may become; a folder ends with a slash."""
    folder, _, _ = begun.rpartition("/")
    lead = f"{folder}/" if "/" in begun else ""
    with os.scandir(os.path.expanduser(lead) or ".") as entries:
        return sorted(f"{lead}{one.name}{'/' if one.is_dir() else ''}" for one in entries if one.name[0] != ".")
