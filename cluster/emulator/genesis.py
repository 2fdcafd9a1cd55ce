"""The birth of a cluster on disk: everything that a node needs to boot, before any node runs.

Layout 1 is written, not discovered: a node serves only under a layout that it reads from its own disk (or that a ballot
decided). The folder is filled under another name and appears by rename: a full disk or a kill leaves nothing half-made.
"""

import secrets
import shutil
import time
from pathlib import Path
from random import SystemRandom

import msgspec

from cluster.chain.entry import encode_chain, entry_path, first_entries
from cluster.client.locate import LAYOUT_FILE, SECRET_BYTES, SECRET_FILE
from cluster.emulator.disk import disk_errors, locked, make_folder, read, replace, sync_folder, write_new
from cluster.emulator.gateports import allot, ports_of
from cluster.emulator.home import (
    FAULTS_FILE,
    NEW,
    NODE_LAYOUT_FILE,
    RECORD_FILE,
    ClusterFiles,
    Home,
)
from cluster.emulator.ports import check_ports, choose_ports, ephemeral_range, is_free, usable_ports
from cluster.emulator.spec import ClusterRecord, ClusterSpec, decode_record, encode_record, places, timestamp
from cluster.errors import Damaged
from cluster.faults import FaultDocument, encode_faults
from cluster.gateways.buckets import BUCKETS
from cluster.layout import encode_entry
from cluster.storage import newborn_files

ID_BYTES = 4
PORTS_WAIT_S = 10.0


def create(home: Home, asked: ClusterSpec) -> ClusterFiles:
    """A new cluster with ports of its own; nothing of it stays when this fails. The caller holds the cluster's lock."""
    spec = asked.resolved()
    folder = home.cluster(spec.name)
    draft = folder.with_name(NEW + spec.name)
    with locked(home.ports_lock, PORTS_WAIT_S), disk_errors(f"make {folder}"):
        make_folder(folder.parent)
        try:
            if draft.exists():
                shutil.rmtree(draft)
            owned, count = owned_ports(home), spec.nodes or 0
            if spec.base_port is None:
                ports = choose_ports(count, owned, is_free, usable_ports(count, ephemeral_range()), SystemRandom())
            else:
                ports = list(range(spec.base_port, spec.base_port + count))
                check_ports(ports, owned, is_free)
            now, rows = timestamp(), places(spec, ports)
            record = ClusterRecord(
                name=spec.name, spec=spec, places=rows, created=now, started=now, expires_at=_expiry(spec.ttl_s)
            )
            record = allot(record, owned, exactly=True)
            secret = secrets.token_bytes(SECRET_BYTES)
            _write(draft, record, secret)
            draft.rename(folder)
            if spec.durability == "always":
                sync_folder(folder.parent)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return ClusterFiles(folder, record, secret)


def owned_ports(home: Home) -> dict[int, str]:
    """The ports of all clusters of this home, stopped ones too; of a damaged one nothing is known."""
    owned: dict[int, str] = {}
    for name in home.names():
        try:
            record = decode_record(read(home.cluster(name) / RECORD_FILE))
        except Damaged:
            continue
        owned |= dict.fromkeys(ports_of(record), name)
    return owned


def _expiry(ttl_s: float | None) -> float | None:
    return None if ttl_s is None else time.time() + ttl_s


def _write(folder: Path, record: ClusterRecord, secret: bytes) -> None:
    durable = record.spec.durability == "always"  # what is promised to outlive power loss needs a cluster that does
    make_folder(folder / "nodes")
    layout = encode_entry(record.entry())
    buckets = {name: BUCKETS[name] for name in record.spec.gateways() if name in BUCKETS}
    chain = {entry_path(entry.slot): encode_chain(entry) for entry in first_entries(record.entry(), buckets)[1:]}
    write_new(folder / SECRET_FILE, secret, durable)
    write_new(folder / LAYOUT_FILE, layout, durable)
    write_new(folder / FAULTS_FILE, encode_faults(FaultDocument()), durable)
    for place in record.places:
        node = folder / "nodes" / place.name
        make_folder(node)
        write_new(node / NODE_LAYOUT_FILE, layout, durable)
        files = newborn_files(place.name, f"{place.name}-{secrets.token_hex(ID_BYTES)}")
        for path, data in (files | chain).items():
            make_folder((node / path).parent)
            write_new(node / path, data, durable)
            if durable:
                sync_folder((node / path).parent)
    write_new(folder / RECORD_FILE, encode_record(record), durable)
    if durable:
        sync_folder(folder / "nodes")
        sync_folder(folder)


def note_start(files: ClusterFiles, ttl_s: float | None) -> ClusterFiles:
    """Remember that an existing cluster is started now, and for how long."""
    record = msgspec.structs.replace(files.record, started=timestamp(), expires_at=_expiry(ttl_s))
    with disk_errors(f"write {files.folder / RECORD_FILE}"):
        replace(files.folder / RECORD_FILE, encode_record(record))
    return ClusterFiles(files.folder, record, files.secret)
