"""The short way between processes of one machine, and when it is not taken: cluster/env/real_local.py."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from cluster.env import Address
from cluster.env.real_local import bound_locally, dialled_locally
from tests.env.stages import RealStage, Recorder, tcp_ends

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no short way here")

HOLD = """
import sys
from cluster.env.real_local import bound_locally
bound = bound_locally("127.0.0.1", int(sys.argv[1]))
bound.listen()
print("listens", flush=True)
sys.stdin.read()
"""


def echo(stage: RealStage, at: Address) -> Recorder:
    """Listen there, dial it, and send something to and fro. The dialling side."""
    client = Recorder()
    listener = stage.env("server").network.listen(at, lambda peer: Recorder(echo=True))
    stage.cleanup(listener.close)
    stage.env("client").network.dial(at, client, timeout=5.0)
    stage.until(lambda: bool(client.links))
    stage.cleanup(client.link.abort)
    client.link.write(b"to and fro")
    stage.until(lambda: client.data == b"to and fro")
    return client


def test_a_loopback_address_is_reached_without_tcp(real_stage: RealStage) -> None:
    at = real_stage.address()
    echo(real_stage, at)
    assert tcp_ends(at[1]) == 0


def test_tcp_goes_on_beside_it(real_stage: RealStage) -> None:
    at = real_stage.address()
    echo(real_stage, at)
    with socket.create_connection(at) as plain:
        plain.sendall(b"anybody")
        plain.setblocking(False)
        came = bytearray()

        def answered() -> bool:
            try:
                came.extend(plain.recv(100))
            except BlockingIOError:
                pass
            return came == b"anybody"

        real_stage.until(answered)


def test_a_process_that_is_killed_leaves_nothing_behind(real_stage: RealStage) -> None:
    at = real_stage.address()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(at[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == "listens\n"
    held = dialled_locally(*at)
    assert held is not None and bound_locally(*at) is None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    held.close()
    assert dialled_locally(*at) is None
    echo(real_stage, at)
    assert tcp_ends(at[1]) == 0


def test_a_name_that_somebody_holds_costs_only_the_short_way(real_stage: RealStage) -> None:
    at = real_stage.address()
    squatter = bound_locally(*at)
    assert squatter is not None
    with squatter:
        echo(real_stage, at)
        assert tcp_ends(at[1]) == 2, "both ends are of this machine"


def test_another_users_process_is_passed_over(real_stage: RealStage, monkeypatch: pytest.MonkeyPatch) -> None:
    at = real_stage.address()
    squatter = bound_locally(*at)
    assert squatter is not None
    with squatter:
        squatter.listen()
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
        echo(real_stage, at)
        assert tcp_ends(at[1]) == 2


def test_a_full_queue_leaves_it_to_tcp(real_stage: RealStage) -> None:
    at = real_stage.address()
    bound = bound_locally(*at)
    assert bound is not None
    with bound:
        bound.listen(0)
        dialled = [dialled_locally(*at) for _ in range(3)]
        assert dialled[0] is not None and dialled[-1] is None
        for one in dialled:
            if one is not None:
                one.close()


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost", "127.0.0.2", "fe80::1"])
def test_only_a_loopback_address_has_a_short_way(host: str) -> None:
    assert bound_locally(host, 7001) is None and dialled_locally(host, 7001) is None


def test_a_taken_port_frees_the_name(real_stage: RealStage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at: Address = taken.getsockname()
        with pytest.raises(OSError, match="in use"):
            real_stage.env("server").network.listen(at, lambda peer: None)
        again = bound_locally(*at)
        assert again is not None
        again.close()
