"""`only`: the endpoint that a call names answers, or nobody does."""

import pytest

from cluster.errors import NoResponders
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.requests import Call, CallDone
from tests.requests.pricing import Pricing
from tests.requests.world import World


def ask(fleet: Fleet, via: str, call: Call) -> SimulatedRequest:
    node = fleet.nodes[via]
    result = SimulatedRequest(call, node.env.clock.now() + 1.0)
    node.env.clock.call_soon(node.rpc.handler(Call), result)
    return fleet.wait(result)


@pytest.mark.parametrize("only", ["n1", "n2", "n3"])
def test_the_named_endpoint_answers(only: str) -> None:
    with Fleet(1, 3) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        fleet.world.run_for(1.0)
        for _ in range(5):
            answer = ask(fleet, "n1", Call("echo", "whoami", b"{}", only=only)).answer
            assert isinstance(answer, CallDone) and answer.node == only


def test_a_dead_one_is_not_replaced() -> None:
    with Fleet(1, 3) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        fleet.world.run_for(1.0)
        fleet.crash("n3")
        fleet.until(lambda: fleet.believes("n1", "n3") == "dead")
        error = ask(fleet, "n1", Call("echo", "whoami", b"{}", only="n3")).error
        assert error is not None and error.code == "no-responders"


def test_who_does_not_offer_it_is_said_and_who_does() -> None:
    world = World(3, lambda: [])
    for node in ("n1", "n2"):
        world.nodes[node].host(Pricing())

    def refused(only: str) -> str:
        inbound = world.ask("n1", Call("pricing", "quote", b'{"sku":"x"}', only=only))
        world.clock.advance(6.0)
        (answer,) = inbound.answers
        assert isinstance(answer, NoResponders)
        return answer.message

    assert refused("n3") == "n3 does not offer pricing; endpoints are n1, n2"
    world.nodes["n1"].registry.set_state("n2", "dead")
    assert refused("n2") == "no endpoint of pricing can be called: n2 is unreachable (dead)"
