"""Who takes a write when somebody cannot be reached."""

from cluster.replication.preference import next_fallback, split_owners


def test_fallbacks_come_in_the_order_of_the_fallback_list() -> None:
    down = {"n3", "n4"}
    assert split_owners(("n1", "n2", "n3"), down.__contains__) == (("n1", "n2"), ("n3",))
    assert next_fallback(("n4", "n5", "n6"), (), down.__contains__) == "n5"
    assert next_fallback(("n4", "n5", "n6"), ("n5",), down.__contains__) == "n6"
    assert next_fallback(("n4",), (), down.__contains__) is None
