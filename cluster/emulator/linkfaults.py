"""The faults of links: recorded in the cluster's document, so that every node meets them, and ended there.

The nodes themselves drop, delay and count; no packet filter and no privilege is needed.
"""

from collections.abc import Callable, Sequence

from cluster.emulator import cluster
from cluster.emulator.faultsfile import read_faults
from cluster.emulator.home import load_cluster
from cluster.emulator.spec import timestamp
from cluster.errors import Damaged, Usage
from cluster.faults import Fault, FaultDocument, add_fault
from cluster.faults import heal as heal_document
from cluster.faults.kind import EVERYONE

__all__ = ["Fault", "faults", "faults_readable", "heal", "partition", "readable_faults", "separated", "slow"]

REST = "rest"


def partition(
    name: str, groups: Sequence[Sequence[str]], one_way: bool = False, *, world: cluster.LocalMachine | None = None
) -> Fault:
    """Cut the links between groups; `rest` alone in a group is all nodes that no group names. `one_way` drops only what
    the first group sends to the others. Raises Usage or NotFound."""
    where = world or cluster.LocalMachine()
    files = load_cluster(name, where.home)
    named = [node for group in groups for node in group if node != REST]
    for node in named:
        files.node(node)
    if sum(REST in group for group in groups) > 1:
        raise Usage(f"{REST!r} is allowed in one group only")
    rest = [node for node in files.nodes if node not in named]
    sides = [[node for one in group for node in (rest if one == REST else [one])] for group in groups]
    if not all(sides):
        raise Usage(
            f"a group is empty: there are {len(files.nodes)} nodes, {', '.join(files.nodes)}",
            help="Groups are comma lists of nodes, as in `dsectl partition n1,n2 rest`.",
        )
    return _add(name, lambda at: Fault(kind="partition", at=at, groups=sides, one_way=one_way), where)


def slow(
    name: str,
    source: str,
    target: str,
    *,
    both: bool = False,
    delay_ms: float = 0.0,
    jitter_ms: float = 0.0,
    loss: float = 0.0,
    duplicate: float = 0.0,
    reorder: float = 0.0,
    rate_bytes_s: float = 0.0,
    world: cluster.LocalMachine | None = None,
) -> Fault:
    """Add delay, loss or a limit to the link from `source` to `target`, each a node or `all`. Raises Usage or
    NotFound."""
    where = world or cluster.LocalMachine()
    files = load_cluster(name, where.home)
    for node in (source, target):
        if node != EVERYONE:
            files.node(node)

    def make(at: str) -> Fault:
        return Fault(
            kind="slow", at=at, source=source, target=target, both=both, delay_ms=delay_ms, jitter_ms=jitter_ms,
            loss=loss, duplicate=duplicate, reorder=reorder, rate_bytes_s=rate_bytes_s,
        )  # fmt: skip

    return _add(name, make, where)


def heal(
    name: str, ids: Sequence[str] | None = None, *, world: cluster.LocalMachine | None = None
) -> tuple[str, list[Fault]]:
    """End the named faults of links, or all of them; returns when, and those that were active."""
    at = timestamp()
    ended: list[Fault] = []

    def edit(document: FaultDocument) -> FaultDocument:
        after = heal_document(document, ids, at)
        before = {fault.id for fault in document.faults if fault.active}
        ended[:] = [fault for fault in after.faults if fault.id in before and not fault.active]
        return after

    cluster.change(name, edit, world=world)
    return at, ended


def faults(name: str, *, world: cluster.LocalMachine | None = None) -> list[Fault]:
    """All faults since `up`, oldest first."""
    where = world or cluster.LocalMachine()
    return read_faults(load_cluster(name, where.home).folder).faults


def faults_readable(name: str, *, world: cluster.LocalMachine | None = None) -> bool:
    """Whether the file of faults can be read."""
    try:
        faults(name, world=world)
    except Damaged:
        return False
    return True


def readable_faults(name: str, *, world: cluster.LocalMachine | None = None) -> list[Fault]:
    """As `faults`; none when the file cannot be read, which must not keep a command from looking at the rest."""
    try:
        return faults(name, world=world)
    except Damaged:
        return []


def separated(found: Sequence[Fault], one: str, other: str) -> bool:
    """Whether an active fault stops what `one` or `other` sends the other."""
    rules = [rule for fault in found if fault.active and (rule := fault.of.rule(fault)) is not None]
    return any(rule.stops(one, other) or rule.stops(other, one) for rule in rules)


def _add(name: str, make: Callable[[str], Fault], where: cluster.LocalMachine) -> Fault:
    document = cluster.change(name, lambda document: add_fault(document, make(timestamp())), world=where)
    return document.faults[-1]
