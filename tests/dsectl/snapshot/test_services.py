"""How callers see endpoints: the worst state, who says so, and what a node of another version may leave out."""

import msgspec

from dsectl.snapshot.services import ServicesSnapshot, ServiceStats, service_views
from tests.dsectl.snapshot.services import endpoint, service


def seen(**callers: list[dict[str, object]]) -> ServicesSnapshot:
    return ServicesSnapshot("c", 0.0, 0.0, views={name: service_views(said) for name, said in callers.items()})


def test_the_worst_state_counts_and_names_those_who_see_it() -> None:
    ejected = service("flaky", endpoint("n1"), endpoint("n2", "ejected", "failed too often in a row"))
    well = service("flaky", endpoint("n1"), endpoint("n2"))
    one, other = seen(n1=[ejected], n2=[well], n3=[ejected]).endpoints()
    assert (one.endpoint, one.state, one.told) == ("n1", "ready", "")
    assert (other.state, other.by) == ("ejected", ("n1", "n3"))
    assert other.told == "failed too often in a row; as n1, n3 sees it"
    (drained,) = seen(n1=[service("flaky", endpoint("n2", "draining", "no new ones"))]).endpoints()
    assert drained.told == "no new ones", "all say so"


def test_panic_and_weights_are_of_a_whole_service() -> None:
    views = seen(
        n1=[service("a", panic=True), service("b", v1=90.0, v2=10.0)], n2=[service("a"), service("b", v1=90.0, v2=10.0)]
    )
    assert views.panics() == {"a": ["n1"]} and views.weights() == {"b": {"1": 90.0, "2": 10.0}}


def test_a_node_of_another_version_may_say_more_or_less() -> None:
    (one,) = service_views([{"service": "a", "endpoints": [{"endpoint": "n1", "node": "n1", "more": 1}]}])
    assert one.endpoints[0].state == "ready" and not one.panic
    said = msgspec.convert({"epoch": 1, "uptime_s": 1.0, "rows": [{"service": "a", "operation": "b"}]}, ServiceStats)
    assert said.rows[0].calls == 0
