"""Choosing ports: blocks below the ephemeral range that nobody has."""

import socket
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.emulator.ports import (
    EPHEMERAL_DEFAULT,
    check_ports,
    choose_ports,
    ephemeral_range,
    is_free,
    usable_ports,
)
from cluster.errors import Failed, Usage


def always(port: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("32768\t60999\n", (32768, 60999)),
        ("1024 65000", (1024, 65000)),
        ("", EPHEMERAL_DEFAULT),
        ("a b", EPHEMERAL_DEFAULT),
    ],
)
def test_the_ephemeral_range_is_read(tmp_path: Path, content: str, expected: tuple[int, int]) -> None:
    file = tmp_path / "range"
    file.write_text(content)
    assert ephemeral_range(file) == expected
    assert ephemeral_range(tmp_path / "missing") == EPHEMERAL_DEFAULT


@pytest.mark.parametrize(
    ("count", "ephemeral", "expected"),
    [
        (5, (32768, 60999), range(10000, 32768)),
        (5, (1024, 60999), range(61000, 65536)),
        (5, (10010, 60999), range(61000, 65536)),
        (5, (1024, 65535), range(10000, 65536)),
        (200, (10500, 65000), range(10000, 65536)),
    ],
)
def test_where_ports_are_looked_for(count: int, ephemeral: tuple[int, int], expected: range) -> None:
    assert usable_ports(count, ephemeral) == expected


@given(st.integers(1, 60), st.sets(st.integers(10_000, 10_999)), st.sets(st.integers(10_000, 10_999)), st.integers())
def test_a_block_is_free_owned_by_nobody_and_in_range(count: int, owned: set[int], busy: set[int], seed: int) -> None:
    usable = range(10_000, 11_000)
    try:
        ports = choose_ports(count, dict.fromkeys(owned, "x"), lambda port: port not in busy, usable, Random(seed))
    except Failed:
        return
    assert ports == list(range(ports[0], ports[0] + count))
    assert not owned & set(ports) and not busy & set(ports)
    assert ports[0] in usable and ports[-1] in usable


def test_the_last_free_block_is_found() -> None:
    usable = range(10_000, 10_100)
    for seed in range(20):
        ports = choose_ports(5, {}, lambda port: 10_070 <= port < 10_075, usable, Random(seed))
        assert ports == list(range(10_070, 10_075))


def test_no_room_is_said() -> None:
    with pytest.raises(Failed, match="no 5 free ports"):
        choose_ports(5, {}, lambda port: False, range(10_000, 10_100), Random(1))
    with pytest.raises(Failed, match="not enough room"):
        choose_ports(500, {}, always, range(10_000, 10_100), Random(1))


def test_a_conflict_names_the_port() -> None:
    check_ports([20_000, 20_001], {20_002: "other"}, always)
    with pytest.raises(Usage, match=r"port 20001 belongs to cluster 'other'"):
        check_ports([20_000, 20_001], {20_001: "other"}, always)
    with pytest.raises(Usage, match="port 20001 is in use"):
        check_ports([20_000, 20_001], {}, lambda port: port != 20_001)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_bound_port_is_not_free(kind: int) -> None:
    # One that the system gives to nobody by itself: it would be somebody's again at once.
    (port,) = choose_ports(1, {}, is_free, usable_ports(1, ephemeral_range()), Random())
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        assert not is_free(port)
    assert is_free(port)
