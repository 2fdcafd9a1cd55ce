"""The ports of gateways: one a node, and where the system has it one that all nodes share. Persisted, like the nodes'.

`redis:6379` asks for that port at n1 and for the next ones at the next nodes; without a port a free block is chosen.
Clients that know one address are given the shared port: a new connection goes to a node that listens (SO_REUSEPORT,
socket(7); elsewhere than on Linux the last node to listen would get them all, so there is none).
"""

import sys
from collections.abc import Mapping
from random import SystemRandom
from typing import Final

import msgspec

from cluster.emulator.ports import check_ports, choose_ports, ephemeral_range, is_free, usable_ports
from cluster.emulator.spec import ClusterRecord, Place

SHARES: Final = sys.platform == "linux"


def allot(record: ClusterRecord, owned: Mapping[int, str], *, exactly: bool = False) -> ClusterRecord:
    """Give each place the gateways' ports that it lacks. `owned`: port -> cluster. `exactly`: raise Usage when a port
    that was asked for by number cannot be had; else another is chosen. The caller holds the lock under which ports are
    chosen."""
    taken = {**owned, **dict.fromkeys(ports_of(record), record.name)}
    places, shared = list(record.places), dict(record.shared_ports)

    def choose(count: int) -> list[int]:
        usable = usable_ports(count, ephemeral_range())
        return choose_ports(count, taken, is_free, usable, SystemRandom()) if count else []

    for name, first in record.spec.gateways().items():
        given = {
            place.name: first + int(place.name[1:]) - 1 for place in places if first and name not in place.gateways
        }
        if exactly:
            check_ports(list(given.values()), taken, is_free, f"--gateway {name}:PORT")
        chosen = {node: port for node, port in given.items() if port < 65_536 and port not in taken and is_free(port)}
        lacking = [place.name for place in places if name not in place.gateways and place.name not in chosen]
        shares = SHARES and name not in shared
        ports = choose(len(lacking) + shares)
        chosen |= dict(zip(lacking, ports, strict=False))
        if shares:
            shared[name] = ports[-1]
        taken |= dict.fromkeys([*chosen.values(), *ports], record.name)
        places = [_with(place, name, chosen.get(place.name)) for place in places]
    return msgspec.structs.replace(record, places=places, shared_ports=shared)


def ports_of(record: ClusterRecord) -> list[int]:
    """All ports of a cluster."""
    gateways = [port for place in record.places for port in place.gateways.values()]
    return [*(place.port for place in record.places), *gateways, *record.shared_ports.values()]


def _with(place: Place, name: str, port: int | None) -> Place:
    return place if port is None else msgspec.structs.replace(place, gateways={**place.gateways, name: port})
