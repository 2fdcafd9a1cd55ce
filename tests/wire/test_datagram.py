"""Sealed datagrams: only those of the cluster are opened."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.wire.datagram import DatagramSeal

SEAL = DatagramSeal(b"s" * 32, "demo", "boot-a")


@given(st.binary(max_size=1400))
def test_what_is_sealed_opens(body: bytes) -> None:
    assert SEAL.open(SEAL.seal("n1", body, 5.0), 6.0) == ("n1", body, 5.0)


@given(st.integers(0, 40), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    sealed = bytearray(SEAL.seal("n1", b"a body of some length, enough", 5.0))
    sealed[at] ^= change
    assert SEAL.open(bytes(sealed), 6.0) is None


def test_another_cluster_or_secret_is_not_ours() -> None:
    assert DatagramSeal(b"s" * 32, "other").open(SEAL.seal("n1", b"x", 5.0), 6.0) is None
    assert DatagramSeal(b"t" * 32, "demo").open(SEAL.seal("n1", b"x", 5.0), 6.0) is None


@given(st.binary(max_size=60))
def test_garbage_is_dropped(data: bytes) -> None:
    assert SEAL.open(data, 6.0) is None


def test_another_machine_has_another_clock() -> None:
    there = DatagramSeal(b"s" * 32, "demo", "boot-b")
    first = SEAL.open(there.seal("n2", b"x", 5000.0), 6.0)
    second = SEAL.open(there.seal("n2", b"x", 5001.0), 9.0)
    assert first is not None and first.sent == 6.0
    assert second is not None and second.sent == 7.0, "two seconds on the way"
