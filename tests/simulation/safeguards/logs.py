"""The log: what leaves a node is in it, and it never claims more than the disk has."""

import pytest

from cluster.config import node_settings
from cluster.simulation.fleet import Fleet
from cluster.storage.store import Store
from cluster.wire.kv import PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot, settled_siblings


def the_only_owner_dies_when_it_has_answered(seed: int) -> None:
    """Its client was told `ok`, in the last write to a socket that it made."""
    with Fleet.running(seed, 3, settings=node_settings(replication="1/1/1")) as fleet:
        (owner,) = fleet.owners("cart")
        client = fleet.client("client", via=owner)
        fleet.until(lambda: client.router.ready)
        fleet.crash_inside(owner, "write")
        answer = fleet.wait(client.put("cart", b"book")).answer
        assert isinstance(answer, PutDone) and answer.outcome == "ok", "it died before it had answered"
        fleet.until(lambda: owner not in fleet.nodes)
        boot(fleet, owner)
        assert settled_siblings(fleet, "cart") == [b"book"]


def acknowledge_before_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Store._write

    def acknowledge(self: Store) -> None:
        dones, self._dones = self._dones, []
        for done in dones:
            done(None)
        self._env.clock.call_soon(write, self)

    monkeypatch.setattr(Store, "_write", acknowledge)


SAFEGUARDS = [
    Safeguard(
        "what is acknowledged is in the log",
        "An acknowledged write survives the SIGKILL of all who hold it.",
        acknowledge_before_the_log,
        the_only_owner_dies_when_it_has_answered,
    ),
]
