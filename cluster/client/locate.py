"""Where clusters keep their state on this machine, and how a client finds one by name.

`clusters/NAME/` lies below `$DSECTL_HOME`, or below the platform's state directory. A client needs two files of it:
`layout.json` (the layout entry: names and addresses) and `secret` (32 bytes). Nothing here writes.
"""

import os
import sys

from msgspec import Struct

from cluster.errors import Damaged, UnknownCluster, Usage
from cluster.layout.entry import NAME, LayoutEntry, decode_entry

Address = tuple[str, int]
"""Host and port."""

SECRET_BYTES = 32
LAYOUT_FILE, SECRET_FILE = "layout.json", "secret"
HELP_HOME = "Set DSECTL_HOME to the absolute path of a folder for the state of clusters."


class Location(Struct, frozen=True):
    """How to reach a cluster. `entry` is None when only addresses are known; names are then `host:port`."""

    name: str
    secret: bytes
    nodes: dict[str, Address]
    entry: LayoutEntry | None = None

    def __repr__(self) -> str:  # the secret stays out of logs and tracebacks
        return f"Location(name={self.name!r}, nodes={self.nodes!r})"

    @property
    def layout(self) -> int:
        """The number of the layout that requests are routed by; 0 when it is not known."""
        return 0 if self.entry is None else self.entry.number


def home() -> str:
    """The directory that holds `clusters/`, as an absolute path. It need not exist. Raises Usage where none can be
    named: for a user without a home, or relative to a working directory that is gone."""
    chosen = os.environ.get("DSECTL_HOME", "")
    if (
        not chosen and sys.platform == "linux"
    ):  # what platformdirs answers too, without half the cost of starting Python
        base = os.environ.get("XDG_STATE_HOME", "")
        chosen = os.path.join(base if base.strip() else "~/.local/state", "dsectl")
    elif not chosen:
        from platformdirs import user_state_dir

        chosen = user_state_dir("dsectl", appauthor=False)
    expanded = os.path.expanduser(chosen)
    if expanded.startswith("~") or (chosen.startswith("~/") and os.environ.get("HOME") == ""):
        user = chosen.partition("/")[0].removeprefix("~")
        raise Usage(f"{f'the user {user}' if user else 'this user'} has no home directory", help=HELP_HOME)
    try:
        return os.path.abspath(expanded)
    except FileNotFoundError:
        raise Usage(f"{chosen} is a relative path, and the working directory was deleted", help=HELP_HOME) from None


def cluster_folder(name: str) -> str:
    """The directory of cluster `name`, whether it exists or not. Raises Usage for what cannot be a name."""
    if not NAME.fullmatch(name):
        raise Usage(
            f"invalid name of a cluster {name!r}",
            help="A name is a lower-case letter, then up to 31 lower-case letters, digits or hyphens.",
        )
    return os.path.join(home(), "clusters", name)


def locate(name: str) -> Location:
    """The addresses and the secret of cluster `name`. Raises UnknownCluster or Damaged."""
    folder = cluster_folder(name)
    check_reachable(folder)
    if not os.path.isdir(folder) or not os.listdir(folder):
        raise UnknownCluster(f"unknown cluster {name!r}")
    secret = _read(folder, SECRET_FILE)
    if len(secret) != SECRET_BYTES:
        raise Damaged(f"the secret of cluster {name!r} has {len(secret)} bytes instead of {SECRET_BYTES}")
    entry = decode_entry(_read(folder, LAYOUT_FILE))
    return Location(name, secret, addresses(entry), entry)


def check_reachable(folder: str) -> None:
    """Raises Damaged when the rights of a folder, or of the one that holds it, keep this user out: it is another's."""
    for path in (os.path.dirname(folder), folder):
        if os.path.lexists(path) and not is_reachable(path):
            raise Damaged(
                f"{path} belongs to {owner(path)}: no access",
                help="Work as that user, or set DSECTL_HOME to a folder of your own.",
            )


def is_reachable(path: str) -> bool:
    """Whether this user may read a folder, and write in it unless it is the disk that forbids that."""
    if not os.access(path, os.R_OK | os.X_OK):
        return os.path.isfile(path) or not os.path.exists(path)
    return os.access(path, os.W_OK) or os.stat(path).st_uid == os.geteuid()


def owner(path: str) -> str:
    """Whose a file is, for people."""
    import pwd

    try:
        uid = os.stat(path).st_uid
    except OSError:
        return "another user"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def addresses(entry: LayoutEntry) -> dict[str, Address]:
    """Where each member of a layout listens, in the layout's order."""
    return {member.name: (member.host, member.port) for member in entry.all_members}


def locate_addresses(targets: list[str] | list[Address], secret: bytes | None, cluster: str) -> Location:
    """A location from addresses alone, each `host:port` or (host, port). Raises Usage for what is neither."""
    if secret is None:
        raise Usage("addresses need the cluster's secret beside them")
    nodes: dict[str, Address] = {}
    for target in targets:
        if isinstance(target, str):
            host, _, digits = target.rpartition(":")
            port = int(digits) if digits.isascii() and digits.isdigit() else 0
            form, host = "host:port", host.strip("[]")
        else:
            host, port = target if isinstance(target, tuple | list) and len(target) == 2 else ("", 0)
            form = "(host, port)"
        if not isinstance(host, str) or not host or type(port) is not int or not 1 <= port <= 65535:
            raise Usage(f"{target!r} is not an address: {form}")
        nodes[f"{host}:{port}"] = host, port
    if not nodes:
        raise Usage("at least one address is needed")
    return Location(cluster, secret, nodes)


def find(target: str | list[str] | list[Address], secret: bytes | None, cluster: str | None) -> Location:
    """What `connect` was given, as a location: a cluster's name, or addresses with a secret."""
    if secret is not None and not isinstance(secret, bytes):
        raise Usage(f"the secret is bytes, not {type(secret).__name__}")
    if cluster is not None and not isinstance(cluster, str):
        raise Usage(f"the cluster's name is text (str), not {type(cluster).__name__}")
    if not isinstance(target, str | list | tuple):
        raise Usage(f"a target is the name of a cluster or a list of addresses, not {type(target).__name__}")
    if isinstance(target, str):
        found = locate(target)
        return found if secret is None else Location(found.name, secret, found.nodes, found.entry)
    return locate_addresses(target, secret, cluster or "default")


def _read(folder: str, name: str) -> bytes:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise Damaged(f"{os.path.join(folder, name)} is missing") from None
    except OSError as error:
        raise Damaged(f"{os.path.join(folder, name)} cannot be read: {error.strerror}") from error
