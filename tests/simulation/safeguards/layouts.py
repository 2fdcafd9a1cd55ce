"""Layouts: every placed message is judged by the number that it was routed by, and no node ever goes back."""

import pytest

from cluster.chain.chain import Chain
from cluster.chain.entry import FOLDER
from cluster.node.layouts import Layouts
from cluster.rpc.inbound import PROCEED
from cluster.simulation.disk import ProcessDisk
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from cluster.wire.kv import Got, PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot


def give(fleet: Fleet, name: str) -> None:
    """Have the next layout decided, and let this node alone know it: it announces nothing, as if all of that were lost.
    Two members are named that never come, so that the transition goes no further."""
    for node in fleet.nodes.values():
        node.layouts.chain.announce = lambda blob: None  # type: ignore[method-assign]
        node.layouts._tell = lambda: None  # type: ignore[method-assign]
        node.layouts._ask_around = lambda now: None  # type: ignore[method-assign]
    answer = fleet.wait(fleet.add(2, via=name)).answer
    assert isinstance(answer, AdminAnswer) and answer.value["number"] == 2, answer


def numbers(fleet: Fleet) -> list[int]:
    return [fleet.nodes[name].view.number for name in fleet.up]


def one_node_is_given_the_next_entry(seed: int) -> None:
    """Reads and writes go on through all nodes, with the outcome that they would have had; whoever is met by a message
    of another layout holds it or sends it again, and at the end all serve the new one. One node was down."""
    with Fleet.running(seed, 5) as fleet:
        for number in range(10):
            fleet.wait(fleet.put(fleet.names[number % 5], f"k{number}", b"v"))  # connections to all are open
        late = fleet.names[seed % 5]
        others = [name for name in fleet.names if name != late]
        fleet.crash(late)
        fleet.until(lambda: all(fleet.believes(name, late) == "dead" for name in others), 60.0)
        give(fleet, others[1])
        results = []
        for number in range(60):
            results.append(fleet.put(others[number % 4], f"key-{number}", b"v"))
            results.append(fleet.get(others[(number + 2) % 4], f"k{number % 10}"))
            fleet.world.run_for(0.002)
        for result in results:
            answer = fleet.wait(result).answer
            assert (isinstance(answer, PutDone) and answer.outcome in ("ok", "ok-sloppy")) or isinstance(answer, Got), (
                result.error
            )
        assert numbers(fleet) == [2] * 4, "messages went both ways between all of them"
        boot(fleet, late)
        fleet.nodes[late].layouts._ask_around = lambda now: None  # type: ignore[method-assign]
        for number in range(20):
            result = fleet.wait(fleet.put(late, f"late-{number}", b"v"))
            assert isinstance(result.answer, PutDone) and result.answer.outcome in ("ok", "ok-sloppy"), result.error
        assert numbers(fleet) == [2] * 5


def let_everything_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layouts, "judge", lambda self, number, inbound: PROCEED)


def drop_what_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that is refused is not told the entry, and its operation has failed there."""
    monkeypatch.setattr(Chain, "fetch", lambda self, peer: None)


def all_restart_after_the_next_entry(seed: int) -> None:
    """At once, so that nobody is left who could tell."""
    with Fleet.running(seed, 3) as fleet:
        answer = fleet.wait(fleet.add(via="n1")).answer
        assert isinstance(answer, AdminAnswer), answer
        fleet.until(lambda: numbers(fleet) == [2] * 3)
        for name in list(fleet.names):
            fleet.power_loss(name)
        boot(fleet, *fleet.names)
        assert numbers(fleet) == [2] * 3, "a node went back to an older layout"


def keep_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    write = ProcessDisk.write

    def forgetful(self: ProcessDisk, path: str, data: bytes) -> None:
        if not path.startswith(FOLDER):
            write(self, path, data)

    monkeypatch.setattr(ProcessDisk, "write", forgetful)


SAFEGUARDS = [
    Safeguard(
        "the layout number is checked on receipt",
        "A receiver that is behind fetches the entry, and one that is ahead answers stale layout.",
        let_everything_pass,
        one_node_is_given_the_next_entry,
    ),
    Safeguard(
        "whoever is behind fetches the entry",
        "The sender of a stale message fetches the entry and goes on within its deadline.",
        drop_what_is_stale,
        one_node_is_given_the_next_entry,
    ),
    Safeguard(
        "an adopted layout is on the disk first",
        "A node serves only under a layout that a restart finds again.",
        keep_no_entry,
        all_restart_after_the_next_entry,
    ),
]
