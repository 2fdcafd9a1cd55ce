"""The contract of datagrams: cluster/env/seam.py, `Network.datagrams` and `DatagramSocket`."""

import pytest

from cluster.env import Address
from tests.env.stages import Stage


def test_datagrams_arrive_whole_with_their_sender(stage: Stage) -> None:
    here, there = stage.address(), stage.address()
    got: list[tuple[bytes, Address]] = []
    receiver = stage.env("receiver").network.datagrams(there, lambda data, sender: got.append((data, sender)))
    sender = stage.env("sender").network.datagrams(here, lambda data, sender: None)
    for number in range(100):
        sender.send(b"%d" % number, there)
    stage.until(lambda: len(got) == 100)
    assert sorted(int(data) for data, _ in got) == list(range(100))
    assert {address for _, address in got} == {here}
    sender.close()
    receiver.close()


def test_errors_are_silent(stage: Stage) -> None:
    got: list[bytes] = []
    here = stage.address()
    receiver = stage.env("node").network.datagrams(here, lambda data, sender: got.append(data))
    receiver.send(b"nobody is there", stage.address())
    receiver.send(bytes(100_000), here)  # longer than a datagram can be
    receiver.send(b"to myself", here)
    stage.until(lambda: bool(got))
    assert got == [b"to myself"]
    receiver.close()
    receiver.close()
    receiver.send(b"closed", here)


def test_a_taken_address_raises_until_it_is_closed(stage: Stage) -> None:
    at = stage.address()
    network = stage.env("node").network
    taken = network.datagrams(at, lambda data, sender: None)
    with pytest.raises(OSError, match="in use"):
        network.datagrams(at, lambda data, sender: None)
    taken.close()
    network.datagrams(at, lambda data, sender: None).close()


def test_the_receiver_may_close_the_socket(stage: Stage) -> None:
    here, there = stage.address(), stage.address()
    got: list[bytes] = []
    sender = stage.env("sender").network.datagrams(here, lambda data, sender: None)

    def receive(data: bytes, sender: Address) -> None:
        got.append(data)
        receiver.close()

    receiver = stage.env("receiver").network.datagrams(there, receive)
    for _ in range(5):
        sender.send(b"x", there)
    stage.until(lambda: bool(got))
    sender.send(b"a later one", there)
    sender.close()
    assert got == [b"x"]
