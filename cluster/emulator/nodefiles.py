"""What must stand in a node's folder before the node can boot, and what to do about a folder where it does not.

A node needs its layout and its boot record. The layout is the cluster's and so can be given again: the newest one that
the cluster has on disk. The boot record is the node's own identity and cannot: without it nobody knows which actor
wrote what stands in the log. Such a node stays down, the others start without it, and `restart NODE --replace` starts
it under a new id with an empty store that is completed from its peers.

Nothing is deleted here (`dsectl disk NODE --wipe` does that): what cannot be read, or is replaced, is set aside in the
node's folder.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from cluster.chain.entry import ChainEntry, decode_chain, digest, encode_chain, entry_path
from cluster.client.locate import LAYOUT_FILE
from cluster.emulator.disk import disk_errors, make_folder, numbered, read, replace, write_new
from cluster.emulator.home import (
    NODE_BOOT_FILE,
    NODE_CHAIN_FOLDER,
    NODE_LAYOUT_FILE,
    NODE_LOCK_FILE,
    NODE_LOG_FILE,
    WORKERS_FOLDER,
    ClusterFiles,
)
from cluster.errors import ClusterError, Damaged, StorageFull
from cluster.layout import LayoutEntry, decode_entry, encode_entry
from cluster.storage.identity import BOOT, BootRecord
from cluster.storage.record import FOLDER as LOG_FOLDER

assert BOOT == NODE_BOOT_FILE

ASIDE: Final = "aside-"
DAMAGED: Final = ".damaged"
KEPT: Final = (NODE_LOCK_FILE, NODE_LOG_FILE, WORKERS_FOLDER)
"""Whoever holds the lock is alive, whatever the data; the log says how it came to this; and workers keep no data."""
ROOM_BYTES: Final = 64 * 1024
"""What a booting node writes before it serves, many times over: its boot record and the header of a segment."""

_boot_decoder = msgspec.json.Decoder(BootRecord)


def cure(cluster: str, node: str, nodes: int) -> str:
    """What brings back one of `nodes` nodes whose folder cannot be booted from."""
    if nodes == 1:
        return "Restore this one file from a copy: no other node holds what this one does."
    option = "" if cluster == "default" else f" -C {cluster}"
    return (
        f"`dsectl{option} restart {node} --replace` starts it with an empty store, completed from its peers; "
        "what it holds now is set aside."
    )


def identity_damage(files: ClusterFiles, node: str) -> str | None:
    """Why the node cannot boot from its folder; None when it can. A folder without boot record and without a log was
    wiped, which is no damage: the node takes a new id."""
    folder = files.node(node)
    path = folder / NODE_BOOT_FILE
    try:
        record = _boot_decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return f"{path} is missing beside a log" if any_files(folder / LOG_FOLDER) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"{path} is not a boot record: {error}"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None if record.name == node else f"{path} belongs to node {record.name!r}"


def damaged_nodes(files: ClusterFiles, nodes: Iterable[str]) -> dict[str, Damaged]:
    """Those of `nodes` that cannot boot, with what is wrong and the command that helps."""
    found = {}
    for node in nodes:
        reason = identity_damage(files, node)
        if reason is not None:
            found[node] = Damaged(f"node {node}: {reason}", help=cure(files.name, node, len(files.nodes)))
    return found


def combined(failed: Mapping[str, ClusterError]) -> ClusterError:
    """One error for all nodes whose own files keep them down; of the first one's class."""
    errors = list(failed.values())
    message = "; ".join(error.message for error in errors)
    help = "\n".join(dict.fromkeys(error.help for error in errors))
    return type(errors[0])(message, help=help, failed=list(failed))


def give_layouts(files: ClusterFiles, nodes: Iterable[str]) -> list[str]:
    """Give the first layout and the chain, as the cluster has them on disk, to those of `nodes` that have no layout, or
    one that cannot be read (which is set aside), and the newest layout to the cluster's own folder when that has none.
    Returns the nodes. Raises Damaged when there is none."""
    paths = {path.parent.name: path for path in sorted((files.folder / "nodes").glob(f"*/{NODE_LAYOUT_FILE}"))}
    known = {name: entry for name, path in paths.items() if (entry := _layout(path)) is not None}
    first = encode_entry(next(iter(known.values()), None) or files.record.entry())
    chain = chain_files(files)
    given = [node for node in nodes if node not in known]
    for folder in [files.node(node) for node in given]:
        path = folder / NODE_LAYOUT_FILE
        with disk_errors(f"write {path}"):
            make_folder(folder)
            if chain:
                make_folder(folder / NODE_CHAIN_FOLDER)
            for name, blob in chain.items():
                if not (folder / NODE_CHAIN_FOLDER / name).exists():
                    replace(folder / NODE_CHAIN_FOLDER / name, blob)
            _give(path, first)
    if _layout(files.folder / LAYOUT_FILE) is None:
        newest = newest_entry(files)
        with disk_errors(f"write {files.folder / LAYOUT_FILE}"):
            _give(files.folder / LAYOUT_FILE, first if newest is None else encode_entry(newest.layout))
    return given


def _give(path: Path, blob: bytes) -> None:
    if path.exists():
        path.replace(path.with_name(path.name + DAMAGED))
    replace(path, blob)


def newest_entry(files: ClusterFiles) -> ChainEntry | None:
    """The last entry of the chain, of its last fork, that a node has on its disk and that can be read; None while there
    is none but the first layout."""
    last = (next((entry for path in paths if (entry := _entry(path)) is not None), None) for paths in _chains(files))
    return max((entry for entry in last if entry is not None), key=lambda entry: (entry.fork, entry.slot), default=None)


def chain_files(files: ClusterFiles) -> dict[str, bytes]:
    """The chain that ends with the newest entry, as far as the nodes have it: file name -> content."""
    found: dict[str, bytes] = {}
    entry = newest_entry(files)
    while entry is not None:
        name = Path(entry_path(entry.slot)).name
        found[name] = encode_chain(entry)
        before = Path(entry_path(entry.slot - 1)).name
        earlier = (_entry(path) for paths in _chains(files) for path in paths if path.name == before)
        entry = next((one for one in earlier if one is not None and digest(one) == entry.follows), None)
    return dict(sorted(found.items()))


def _chains(files: ClusterFiles) -> list[list[Path]]:
    """The files of the chain of each node, the newest first."""
    folders = sorted((files.folder / "nodes").glob(f"*/{NODE_CHAIN_FOLDER}"))
    return [sorted((path for path in folder.glob("*.json") if path.name[0] != "."), reverse=True) for folder in folders]


def _entry(path: Path) -> ChainEntry | None:
    try:
        return _decoded(read(path))
    except Damaged:
        return None


_decoded = lru_cache(64)(decode_chain)
"""All nodes have the same entry, as a rule."""


def set_aside(folder: Path) -> Path | None:
    """Move what a node that does not run holds into a folder of its own beside it; returns that folder, None when there
    was nothing. The caller holds the cluster's lock."""
    held = held_entries(folder)
    if not held:
        return None
    aside = numbered(folder, ASIDE)
    with disk_errors(f"set {folder} aside"):
        make_folder(aside)
        for entry in held:
            entry.rename(aside / entry.name)
    return aside


def held_entries(folder: Path) -> list[Path]:
    """The files and folders that are the node's own data."""
    if not folder.is_dir():
        return []
    return [entry for entry in sorted(folder.iterdir()) if entry.name not in KEPT and not entry.name.startswith(ASIDE)]


def check_room(folder: Path) -> None:
    """Raise StorageFull when a node could not even write its boot record into `folder`: who runs is better left alone
    than ended and not started again."""
    probe = folder / ".room"
    try:
        with disk_errors(f"write to {folder}"):
            probe.unlink(missing_ok=True)
            write_new(probe, bytes(ROOM_BYTES), durable=True)
    except StorageFull as error:
        raise StorageFull(error.message, help=f"Nothing was ended. {StorageFull.help_text}") from error
    finally:
        probe.unlink(missing_ok=True)


def any_files(folder: Path) -> bool:
    """Whether the folder exists and holds something."""
    return folder.is_dir() and any(folder.iterdir())


def _layout(path: Path) -> LayoutEntry | None:
    try:
        return decode_entry(read(path))
    except Damaged:
        return None
