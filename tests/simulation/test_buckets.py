"""Buckets are defined once, everywhere, whatever crashes or is cut off meanwhile; their rules hold for their keys."""

from random import Random
from typing import Any

from cluster.errors import AlreadyExists, ClusterError, QuorumMissing, Usage
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.admin import AdminAnswer
from cluster.wire.kv import PutDone
from tests.simulation.nemesis import Nemesis
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, got, settle


def create(fleet: Fleet, via: str, name: str, timeout: float = 5.0, **options: Any) -> SimulatedRequest:
    return fleet.ask(via, "create-bucket", {"name": name, **options}, timeout)


def created(fleet: Fleet, via: str, name: str, **options: Any) -> dict[str, Any]:
    result = fleet.wait(create(fleet, via, name, **options), 10.0)
    assert isinstance(result.answer, AdminAnswer), result.error
    value: dict[str, Any] = result.answer.value
    return value


def refused(fleet: Fleet, via: str, name: str, **options: Any) -> ClusterError:
    result = fleet.wait(create(fleet, via, name, **options), 10.0)
    assert result.error is not None, result.answer
    return result.error


def whats(fleet: Fleet) -> set[tuple[str, ...]]:
    return {tuple(entry.what for entry in node.layouts.chain.entries) for node in fleet.nodes.values()}


def test_it_is_everywhere_when_its_creation_returns(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        made = created(fleet, "n2", "orders", r=1, w=3)
        assert (made["bucket"], made["resolver"], made["r"], made["w"], made["late"]) == (
            "orders",
            "siblings",
            1,
            3,
            [],
        )
        for node in fleet.nodes.values():
            assert (node.buckets.of("orders/7").r, node.buckets.of("order/7").r) == (1, 0)
            assert node.view.number == 1, "no request is stale"
            first, second = node.layouts.chain.entries
            assert second.layout is first.layout, "a definition takes no room for another layout"
        fleet.crash("n3")
        boot(fleet, "n3")
        assert fleet.nodes["n3"].buckets.of("orders/7").w == 3, "and after a restart, before anybody is asked"
        first, second = fleet.nodes["n3"].layouts.chain.entries
        assert second.layout is first.layout


def test_who_could_not_fetch_what_others_have_announced_asks_again(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        node = fleet.nodes["n3"]
        chain, facts = node.layouts.chain, node.membership.facts
        fetch, lost = chain.fetch, list[str]()
        fleet.world.partition([["n3"], [name for name in fleet.names if name != "n3"]])
        created(fleet, "n1", "orders")
        chain.fetch = lost.append  # type: ignore[method-assign,assignment]
        fleet.world.heal()
        # Unless it is sent the entry all the same, by who had it decided.
        fleet.until(lambda: chain.entry.slot == 2 or (bool(lost) and len({"n3", *facts("chain")}) == 5))
        chain.fetch = fetch  # type: ignore[method-assign]
        fleet.until(fleet.settled)


def test_who_has_not_taken_it_over_is_named_and_does_when_it_can(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        crash_and_wait(fleet, "n4")
        fleet.pause("n5")
        made = created(fleet, "n1", "orders")
        assert made["late"] == ["n4", "n5"]
        fleet.resume("n5")
        boot(fleet, "n4")
        fleet.until(lambda: all("orders" in node.buckets.defined for node in fleet.nodes.values()))


def test_the_last_that_lives_is_waited_for(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for name in ("n1", "n2", "n3", "n4"):
            fleet.fault("slow", source=name, target="n5", delay_ms=300.0)
        assert created(fleet, "n1", "orders")["late"] == []
        assert "orders" in fleet.nodes["n5"].buckets.defined


def test_the_same_one_created_at_two_nodes_at_once_is_one(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        both = [create(fleet, name, "orders", w=1) for name in ("n1", "n4")]
        for one in both:
            assert isinstance(fleet.wait(one, 10.0).answer, AdminAnswer), one.error
        assert whats(fleet) == {("the first layout", "create bucket orders")}


def test_of_two_different_ones_of_a_name_one_is_refused(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        both = [create(fleet, name, "orders", w=number) for number, name in enumerate(("n1", "n4"), 1)]
        for one in both:
            fleet.wait(one, 10.0)
        [error] = [one.error for one in both if one.error is not None]
        assert isinstance(error, AlreadyExists)
        [defined] = {tuple(node.buckets.defined.items()) for node in fleet.nodes.values()}
        assert len(defined) == 1


def test_asked_for_again_elsewhere_it_is_found_and_not_refused_for_its_own_keys(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for via in ("n1", "n3"):
            created(fleet, via, "orders", id="once")
            acknowledged(fleet, "n2", "orders/7", b"book")
        assert whats(fleet) == {("the first layout", "create bucket orders")}


def test_it_is_refused_over_keys_that_exist_and_not_over_deleted_ones(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        acknowledged(fleet, "n1", "orders/7", b"book")
        assert acknowledged(fleet, "n1", "ordersx", b"book")
        error = refused(fleet, "n5", "orders")
        assert isinstance(error, Usage) and "'orders/7'" in error.message
        acknowledged(fleet, "n1", "orders/7", b"", deleted=True, context=got(fleet, "n1", "orders/7").context)
        created(fleet, "n5", "orders")


def test_a_minority_defines_nothing(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        fleet.fault("partition", groups=[["n1", "n2"], ["n3", "n4", "n5"]])
        assert isinstance(refused(fleet, "n1", "orders"), QuorumMissing)
        created(fleet, "n4", "carts")
        fleet.heal()
        fleet.until(lambda: all("carts" in node.buckets.defined for node in fleet.nodes.values()))
        assert whats(fleet) == {("the first layout", "create bucket carts")}


def test_no_transition_stops_it_nor_is_stopped_by_it(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        acknowledged(fleet, "n1", "cart", b"book")
        assert isinstance(fleet.wait(fleet.add(via="n2")).answer, AdminAnswer)
        assert created(fleet, "n3", "orders")["late"] == ["n6"], "it does not run yet"
        state = fleet.wait(fleet.ask("n1", "layout")).answer
        assert isinstance(state, AdminAnswer) and state.value["what"] == "add n6"
        fleet.join("n6", via="n2")
        fleet.until(fleet.settled, 60.0)
        assert whats(fleet) == {("the first layout", "add n6", "create bucket orders", "add n6: done")}
        assert "orders" in fleet.nodes["n6"].buckets.defined


def test_its_quorums_are_those_of_writes_and_reads_that_name_none(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        created(fleet, "n1", "all", r=3, w=3)
        created(fleet, "n1", "one", r=1, w=1)
        for key, acks, answered in (("all/k", 3, 3), ("one/k", 1, 1), ("k", 2, 2)):
            for name in fleet.names:
                assert acknowledged(fleet, name, key, b"v").acks == acks
                assert got(fleet, name, key).answered >= answered
        assert acknowledged(fleet, "n2", "all/k", b"v", w=1).acks == 1, "but for who names one"
        crash_and_wait(fleet, fleet.owners("all/k")[0])
        assert acknowledged(fleet, fleet.up[0], "all/k", b"v").outcome == "ok-sloppy", "a fallback is the third"
        one = fleet.wait(fleet.put(fleet.up[0], "one/k", b"v")).answer
        assert isinstance(one, PutDone) and one.outcome == "ok-sloppy" and one.acks == 1, "fewer than W: never `ok`"


def test_definitions_survive_what_happens_to_nodes_and_links(seed: int) -> None:
    """What was acknowledged is everywhere, what was refused is nowhere, all in one chain. Some are asked for twice."""
    with Fleet.running(seed, 5) as fleet:
        random = Random(f"{seed}/definitions")
        nemesis = Nemesis(fleet, random, down_max=2)
        asked: list[tuple[str, str, int, SimulatedRequest]] = []
        for number in range(40):
            if number % 3 == 0:
                nemesis.act()
            if nemesis.running:
                name, w = f"b{random.randrange(12)}", random.choice((1, 1, 2))
                id = f"change-{number}"
                if asked and random.random() < 0.3:
                    id, name, w, _ = random.choice(asked)
                asked.append((id, name, w, create(fleet, random.choice(nemesis.running), name, 1.5, w=w, id=id)))
            fleet.world.run_for(random.choice((0.0, 0.02, 0.3)))
        nemesis.end()
        fleet.world.run_for(2.0)
        settle(fleet, 60.0)
        chain = fleet.nodes["n1"].layouts.chain.entries
        assert len(whats(fleet)) == 1 and {tuple(node.buckets.defined.items()) for node in fleet.nodes.values()} == {
            tuple(chain[-1].buckets.items())
        }
        changes = [entry.change_id for entry in chain[1:]]
        assert len(set(changes)) == len(changes)
        acknowledged = 0
        for id, name, w, result in asked:
            if isinstance(result.answer, AdminAnswer):
                acknowledged += 1
                assert chain[-1].buckets[name].w == w
            others = [one for one in asked if one[0] == id and one[3] is not result]
            if result.error is not None and result.error.definite and not others:
                assert id not in changes, f"{name} was refused ({result.error.message}), and is there"
        assert acknowledged > 3
