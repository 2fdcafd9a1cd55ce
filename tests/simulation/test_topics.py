"""Topics under seeds: interest over restarts of nodes, and groups whose nodes fail; see safeguards/topics.py."""

from tests.simulation.safeguards.topics import a_node_boots_and_takes_messages_at_once, nodes_of_a_group_fail


def test_a_node_that_boots_loses_nothing_that_it_takes(seed: int) -> None:
    """Its first publishes reach the subscribers of nodes that it has not heard yet."""
    a_node_boots_and_takes_messages_at_once(seed)


def test_a_group_goes_on_without_the_nodes_that_fail(seed: int) -> None:
    """Nobody gets a message twice; once a node does not answer, all messages go to the other members."""
    nodes_of_a_group_fail(seed)
