"""What the shell looks up by itself: names for completion, given up soon, and what a look saw, for an export."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from cluster.emulator.home import find_home, load_cluster
from cluster.errors import Usage
from dsectl.cli.completion.cluster import LOOK_S, names_in_cluster, soon
from dsectl.cli.completion.grammar import NameKind
from dsectl.cli.invocation import Session
from dsectl.cli.table import lookup
from dsectl.script.check import refuse_polling
from dsectl.script.execution import Job, carry_out
from dsectl.script.values import MISSING
from dsectl.shell.evaluate import EnteredLine
from dsectl.shell.toolbar import ClusterView


class LiveNames:
    """The names of the cluster in use, by kind."""

    def __init__(self, view: Callable[[], ClusterView], jobs: Mapping[str, Job], receipts: dict[str, None]) -> None:
        self._view = view
        self._jobs = jobs
        self._receipts = receipts

    def of(self, kind: NameKind, begun: str) -> list[str]:
        """The names of a kind, at least those that begin with `begun`; none when no node answers in time."""
        if kind is NameKind.RECEIPT:
            return list(reversed(self._receipts))

        def find() -> Iterable[str]:
            view = self._view()
            match kind:
                case NameKind.NODE:
                    return view.nodes
                case NameKind.PROCESS:
                    return [*view.nodes, *load_cluster(view.cluster).workers()]
                case NameKind.SERVED:
                    served = names_in_cluster(view.cluster, NameKind.SERVICE, begun) if view.serves else []
                    return [*served, *load_cluster(view.cluster).workers()]
                case NameKind.CLUSTER:
                    return find_home().names()
                case NameKind.ZONE:
                    return dict.fromkeys(place.zone for place in load_cluster(view.cluster).record.places)
                case NameKind.FILE:
                    return files(begun)
                case NameKind.FAULT:
                    faults = self.result(["faults", "--active"])
                    return [] if faults is MISSING else [one["id"] for one in faults]
            return names_in_cluster(view.cluster, kind, begun) if view.serves else ()

        return soon(lambda: list(find()), [])

    def result(self, argv: list[str]) -> Any:
        """The JSON of a command that only reads, or of a job; MISSING where there is none soon."""
        if len(argv) == 1 and argv[0] in self._jobs:
            return self._jobs[argv[0]].value
        try:
            refuse_polling(argv)
        except Usage:
            return MISSING
        view = self._view()
        return soon(lambda: look(argv, view.cluster, LOOK_S), MISSING) if view.serves else MISSING


def look(argv: list[str], cluster: str, timeout_s: float) -> Any:
    """The JSON of a command; MISSING if it fails."""
    with closing(Session(cluster)) as session:
        found = carry_out(argv, session, timeout_s=timeout_s)
    return MISSING if found.code else found.value


def files(begun: str) -> list[str]:
    """The files and folders that a path may become; a folder ends with a slash."""
    folder, _, _ = begun.rpartition("/")
    lead = f"{folder}/" if "/" in begun else ""
    with os.scandir(os.path.expanduser(lead) or ".") as entries:
        return sorted(f"{lead}{one.name}{'/' if one.is_dir() else ''}" for one in entries if one.name[0] != ".")


REMEMBER_S = 1.0


class Remember:
    """Asks again what a line that only looks has asked, one after the other, in a thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "shell remember")

    def look(self, entry: EnteredLine, argv: list[str], cluster: str) -> None:
        """Keep with the entry what `argv` sees now, if it only looks."""
        found = lookup(argv)
        if found is None or "-" in argv:
            return
        command = found[0]
        if not command.readonly or command.streams or command.barred or command.aside:  # long, or polled by nobody
            return

        def ask() -> None:
            entry.value = look(argv, cluster, REMEMBER_S)

        self._pool.submit(ask)

    def settle(self) -> None:
        """Wait until all that was asked has been answered."""
        self._pool.submit(lambda: None).result()

    def close(self) -> None:
        """Forget what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)
