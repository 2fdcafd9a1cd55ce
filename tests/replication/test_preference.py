"""Who takes a write when somebody cannot be reached."""

from cluster.replication.preference import Avoidance, next_fallback, split_owners


def test_fallbacks_come_in_the_order_of_the_fallback_list() -> None:
    down = {"n3", "n4"}
    assert split_owners(("n1", "n2", "n3"), down.__contains__) == (("n1", "n2"), ("n3",))
    assert next_fallback(("n4", "n5", "n6"), (), down.__contains__) == "n5"
    assert next_fallback(("n4", "n5", "n6"), ("n5",), down.__contains__) == "n6"
    assert next_fallback(("n4",), (), down.__contains__) is None


def test_avoidance_is_local_and_heals_by_itself() -> None:
    avoidance = Avoidance(0.2, 1.6)
    assert avoidance.quiet() and not avoidance.avoided("n2", 0.0)
    avoidance.failed("n2", 10.0)
    assert avoidance.avoided("n2", 10.1) and not avoidance.avoided("n2", 10.2)
    assert avoidance.quiet(), "what has healed costs nothing any more"


def test_who_fails_again_is_avoided_twice_as_long_until_it_answers() -> None:
    avoidance = Avoidance(2, 16)
    now, waits = 0, []
    for _ in range(5):
        avoidance.failed("n2", now)
        avoidance.failed("n2", now + 1)  # another operation that met the same silence is no news
        began = now
        while avoidance.avoided("n2", now):
            now += 1
        waits.append(now - began)
    assert waits == [2, 4, 8, 16, 16]
    avoidance.heard("n2")
    avoidance.failed("n2", now)
    assert not avoidance.avoided("n2", now + 2)


def test_a_member_that_is_not_alive_is_avoided_until_it_is() -> None:
    avoidance = Avoidance(0.2, 1.6)
    avoidance.state_changed("n2", alive=False)
    avoidance.heard("n2")
    assert avoidance.avoided("n2", 99.0), "one packet does not overrule membership"
    avoidance.state_changed("n2", alive=True)
    assert not avoidance.avoided("n2", 99.0) and avoidance.quiet()
