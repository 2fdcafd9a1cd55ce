"""The cluster's own files follow the chain: the layout by which clients find the nodes, and a place for every member.

Nobody writes them when a change is decided: the nodes know of no cluster folder, and who had the members changed need
not have waited. They are brought in line by whoever looks.
"""

from pathlib import Path
from typing import Final

import msgspec

from cluster.chain.entry import ChainEntry
from cluster.client.locate import LAYOUT_FILE
from cluster.emulator.disk import disk_errors, locked, make_folder, numbered, read, replace
from cluster.emulator.faultsfile import change_faults
from cluster.emulator.gateports import allot
from cluster.emulator.genesis import PORTS_WAIT_S, owned_ports
from cluster.emulator.home import RECORD_FILE, ClusterFiles, Home, load_cluster
from cluster.emulator.inspect import inspect_node
from cluster.emulator.nodefiles import newest_entry
from cluster.emulator.spec import Place, encode_record, timestamp
from cluster.errors import ClusterError, Damaged
from cluster.faults import mark_left
from cluster.layout import LayoutMember, encode_entry

LEFT_FOLDER: Final = "left"


def tidy(home: Home, name: str) -> ClusterFiles:
    """Bring the cluster's own files in line with the chain: the layout that clients read, a place for every member, and
    none for those that have left and do not run, nor a fault that only these met. The caller holds the cluster's
    lock."""
    files = load_cluster(name, home)
    entry = newest_entry(files)
    if entry is None:
        return files
    members = _members(entry)

    def lives(name: str) -> bool:
        return inspect_node(files.folder / "nodes" / name).alive

    places = [place for place in files.record.places if place.name in members or lives(place.name)]
    known = {place.name for place in places}
    for member in members.values():
        if member.name not in known and (files.folder / "nodes" / member.name).is_dir():
            places.append(Place(member.name, member.zone, member.port))
    places.sort(key=lambda place: (len(place.name), place.name))
    with disk_errors(f"write {files.folder}"):
        for place in files.record.places:
            if place not in places and (files.folder / "nodes" / place.name).is_dir():
                move_out(files, files.folder / "nodes" / place.name, place.name)
        record = msgspec.structs.replace(files.record, places=places)
        if any(place.gateways.keys() != record.spec.gateways().keys() for place in places):
            with locked(home.ports_lock, PORTS_WAIT_S):
                record = allot(record, owned_ports(home))
        if record != files.record:
            names = [place.name for place in places]
            names += [one for one in files.workers() if one.partition("/")[0] in names]
            change_faults(files.folder, lambda document: mark_left(document, names, timestamp()))
            replace(files.folder / RECORD_FILE, encode_record(record))
        blob = encode_entry(entry.layout)
        try:
            same = read(files.folder / LAYOUT_FILE) == blob
        except Damaged:
            same = False
        if not same:
            replace(files.folder / LAYOUT_FILE, blob)
    return load_cluster(name, home)


def _members(entry: ChainEntry) -> dict[str, LayoutMember]:
    """Without the forgotten, who own on paper until others do: they would stop at once, and `up` with them."""
    return {member.name: member for member in entry.layout.all_members if member.name not in entry.gone}


def current(name: str, home: Home) -> ClusterFiles:
    """The cluster's files, in line with the chain as far as nobody else is at work on them: who reads sees the members
    of now, also when whoever had them changed did not wait. Raises UnknownCluster or Damaged."""
    files = load_cluster(name, home)
    try:
        entry = newest_entry(files)
        if entry is None or (
            _members(entry).keys() == set(files.nodes)
            and read(files.folder / LAYOUT_FILE) == encode_entry(entry.layout)
        ):
            return files
        with locked(home.lock(name), 0.0):
            return tidy(home, name)
    except ClusterError:
        return files


def move_out(files: ClusterFiles, folder: Path, name: str) -> Path:
    """Keep the folder of a node that has left, or never began, beside those of the members."""
    left = files.folder / LEFT_FOLDER
    make_folder(left)
    return folder.rename(numbered(left, f"{name}-"))
