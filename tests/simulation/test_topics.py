"""Topics under seeds: interest over restarts of nodes, and groups whose nodes fail; see safeguards/topics.py."""

from cluster.simulation.fleet import Fleet
from cluster.wire.topics import Subscribe, Subscribed
from tests.simulation.safeguards.topics import a_node_boots_and_takes_messages_at_once, nodes_of_a_group_fail


def test_a_node_that_boots_loses_nothing_that_it_takes(seed: int) -> None:
    """Its first publishes reach the subscribers of nodes that it has not heard yet."""
    a_node_boots_and_takes_messages_at_once(seed)


def test_a_group_goes_on_without_the_nodes_that_fail(seed: int) -> None:
    """Nobody gets a message twice; once a node does not answer, all messages go to the other members."""
    nodes_of_a_group_fail(seed)


def test_a_subscription_waits_for_a_node_that_has_just_booted(seed: int) -> None:
    """Nobody reaches it yet in the moment in which it begins to listen, and it counts all the same."""
    with Fleet.running(seed, 3) as fleet:
        fleet.crash("n3")
        fleet.start("n3")
        subscribed = fleet._ask("n1", Subscribe(1, "a.*"), 5.0)
        fleet.until(lambda: subscribed.ended, 2.0)
        assert subscribed.answer == Subscribed(3)
