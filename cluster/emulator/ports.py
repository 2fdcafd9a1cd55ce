"""Choosing ports: a block of free ones below the ephemeral range, which no other cluster of this home has.

Ports are persisted and stay with a stopped cluster, so its addresses are stable. Below the ephemeral range, because the
system would give any port inside it to some outgoing connection while the node is down (ip_local_port_range(7)).
"""

import errno
import socket
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from random import Random
from typing import Final

from cluster.errors import Failed, Usage

LOWEST: Final = 10_000  # under it are the ports that services are known by
EPHEMERAL_DEFAULT: Final = (32_768, 60_999)  # Linux's; macOS starts at 49152, which is above it
ALIGNMENT: Final = 10  # n1 on a round number is easier to read
RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def ephemeral_range(path: Path = RANGE_FILE) -> tuple[int, int]:
    """The first and last port that the system gives away by itself."""
    try:
        low, high = (int(word) for word in path.read_text().split())
    except (OSError, ValueError):
        return EPHEMERAL_DEFAULT
    return low, high


def usable_ports(count: int, ephemeral: tuple[int, int]) -> range:
    """Where to look for `count` ports: below the ephemeral range, above it where there is no room, or anywhere."""
    low, high = ephemeral
    spacious = 4 * count  # so that a few taken ports leave a block
    if low - LOWEST >= spacious:
        return range(LOWEST, low)
    if 65_536 - (high + 1) >= spacious:
        return range(high + 1, 65_536)
    return range(LOWEST, 65_536)


def choose_ports(
    count: int, owned: Mapping[int, str], free: Callable[[int], bool], usable: range, random: Random
) -> list[int]:
    """A block of `count` ports that are `free` and in no cluster (`owned`: port -> cluster).

    The search starts anywhere, so that two homes on one machine, which do not know each other, seldom meet.
    """
    starts = range(usable.start, usable.stop - count + 1, ALIGNMENT)
    if not starts:
        raise Failed(f"not enough room for {count} ports from {usable.start} to {usable.stop - 1}")
    first = random.randrange(len(starts))
    for step in range(len(starts)):
        start = starts[(first + step) % len(starts)]
        block = range(start, start + count)
        if not any(port in owned for port in block) and all(free(port) for port in block):
            return list(block)
    raise Failed(f"found no {count} free ports in a row from {usable.start} to {usable.stop - 1}")


def check_ports(
    ports: Collection[int], owned: Mapping[int, str], free: Callable[[int], bool], option: str = "--base-port"
) -> None:
    """Raise Usage, naming the port, when one of the ports that `option` asks for is another cluster's or in use."""
    for port in ports:
        if port in owned:
            raise Usage(f"port {port} belongs to cluster {owned[port]!r}", help=f"Choose another {option}.")
        if not free(port):
            raise Usage(f"port {port} is in use on 127.0.0.1", help=f"Choose another {option}, or leave it out.")


def is_free(port: int) -> bool:
    """Whether a node could bind this port now, for TCP and UDP. Says nothing about the next moment."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:  # what old connections left behind does not keep a listener out
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
                raise
    return True
