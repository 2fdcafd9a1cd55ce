"""One command being carried out: its options, its streams, and the session that outlives it in a shell or a recipe.

Commands take none of this as a parameter: they ask `current()`, which differs for each thread, so that background jobs
do not meet.
"""

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from msgspec import Struct

from cluster.errors import Failed, Usage
from dsectl.cli.console import Console
from dsectl.cli.options import Options
from dsectl.cli.streams import ask

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster
    from cluster.emulator.home import ClusterFiles

DEFAULT_CLUSTER = "default"


class Session:
    """What stays between commands: connections, and with them the contexts of the keys read or written."""

    def __init__(self, cluster: str | None = None) -> None:
        self.cluster = cluster
        """The cluster of commands that name none."""
        self.receipts: dict[str, None] = {}
        """Of messages that were received and are not settled yet, the latest last: long words, which Tab offers."""
        self._clients: dict[tuple[str, str | None, int, int], BlockingCluster] = {}

    def client(self, cluster: str, via: str | None) -> "BlockingCluster":
        """The client of a cluster; the same one every time, until the cluster is removed and another takes its name, or
        its members change. Whichever node was spoken to, it is one session that has seen what it has seen."""
        from cluster.client.blocking import connect_blocking
        from cluster.client.locate import LAYOUT_FILE, SECRET_FILE, cluster_folder

        # By the time of its secret it is told from another of its name, and by that of the layout its nodes are found.
        written = []
        for file in (SECRET_FILE, LAYOUT_FILE):
            try:
                written.append(os.stat(os.path.join(cluster_folder(cluster), file)).st_mtime_ns)
            except OSError:
                written.append(0)
        made_at, laid_at = written
        key = (cluster, via, made_at, laid_at)
        client = self._clients.get(key)
        if client is None:
            others = [
                other for (name, _, made, _), other in self._clients.items() if (name, made) == (cluster, made_at)
            ]
            client = connect_blocking(cluster, via=via)
            if others:
                client.contexts = others[0].contexts
            self._clients[key] = client
        return client

    def close(self) -> None:
        """End the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()


class Invocation(Struct):
    """One command."""

    options: Options
    console: Console
    session: Session
    ready: Callable[[], None]
    """Called by a command that goes on, once it does what it was started for."""
    stopped: Callable[[], bool]
    """Asked by a command that goes on, whether it shall end."""
    swept: bool = False

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self.options.cluster or self.session.cluster or os.environ.get("DSECTL_CLUSTER") or DEFAULT_CLUSTER

    def confirm(self, what: str, question: str, again: str) -> None:
        """Ask on a terminal. Raises Usage where nobody can be asked, and Failed for any answer but yes."""
        if self.options.no_input or self.options.json or not sys.stdin.isatty():
            raise Usage(f"{what} and cannot ask here", help=f"`dsectl {again} --yes` does not ask.")
        if ask(f"{question} [y/N] ", self.console.err).strip().lower() not in ("y", "yes"):
            raise Failed("not confirmed: nothing was done", help="Answer y to go on.")

    def client(self) -> "BlockingCluster":
        """A client of the cluster, with this invocation's timeout."""
        from cluster.limits import CLIENT_TIMEOUT_S

        client = self.session.client(self.cluster, self.options.via)
        client.timeout = self.options.timeout_s or CLIENT_TIMEOUT_S
        return client

    def files(self) -> "ClusterFiles":
        """The cluster's files on this machine, after what has outlived its time to live or its leash was ended, and
        with the members of now.

        Raises UnknownCluster or Damaged.
        """
        from cluster.emulator.home import find_home
        from cluster.emulator.members import current
        from cluster.emulator.sweep import sweep

        if not self.swept:
            self.swept = True
            sweep(find_home())
        return current(self.cluster, find_home())

    def nodes(self, named: list[str] | None, command: str) -> list[str]:
        """The nodes that are named for a command, each once. Raises Usage for none, NotFound for one that is none."""
        files = self.files()
        if not named:
            raise Usage(
                f"{command} needs nodes", help=f"`dsectl {command} n3`, for example; `dsectl members` lists the nodes."
            )
        for name in named:
            if "," in name and name not in files.nodes:
                help = f"Nodes are separated by spaces: `{' '.join(name.split(',')).strip()}`."
                raise Usage(f"{name!r} is not a node", help=help)
            if "/" in name:
                help = f"Its node is {name.partition('/')[0]}; `dsectl unserve {name}` drains and ends a worker."
                raise Usage(f"{command} takes nodes, and {name!r} is a worker", help=help)
            files.node(name)
        return list(dict.fromkeys(named))


_current: ContextVar[Invocation] = ContextVar("invocation")


def current() -> Invocation:
    """The invocation that this thread carries out."""
    return _current.get()


def set_current(invocation: Invocation) -> Callable[[], None]:
    """Make it the current one; call what is returned at its end."""
    token = _current.set(invocation)
    return lambda: _current.reset(token)
