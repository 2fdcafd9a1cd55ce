"""The endpoints of one service, as one entry node has them: which are chosen, and what it remembers of them."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import (
    ClusterError,
    DeadlinePassed,
    DependencyFailed,
    Maybe,
    NotFound,
    Overloaded,
    ServiceError,
    Unreachable,
    Usage,
)
from cluster.requests.ejection import EJECTED_S, FAILURES_IN_ROW
from cluster.requests.pool import OTHER_OPERATIONS, Pool, PoolEndpoint, Pools, shares
from cluster.requests.registry import AWAY_DRAINING, Offer, Registry
from cluster.wire.requests import Call, CallDone

EVENTS: list[str] = []


def record(kind: str, cause: str, **fields: Any) -> None:
    EVENTS.append(kind)


def offers(version: int = 1, workers: list[int] | None = None, **fields: Any) -> dict[str, list[Offer]]:
    return {"s": [Offer(version, "", [], [], workers or [0], **fields)]}


class Scene:
    """A registry and the pools of n1, in whose zone are those in `local`."""

    def __init__(self, **of: dict[str, list[Offer]]) -> None:
        self.registry = Registry()
        for node, its in of.items():
            self.registry.update(node, its, "alive")
        self.local: list[str] = list(of)
        self.pools = Pools(self.registry, Random(1), record, lambda: self.local)
        self.now = 0.0
        EVENTS.clear()

    @property
    def pool(self) -> Pool:
        pool = self.pools.of("s", self.now)
        assert pool is not None
        return pool

    def chosen(
        self, call: Call | None = None, version: int = 0, tried: tuple[str, ...] = (), avoided: tuple[str, ...] = ()
    ) -> str | None:
        pool = self.pool
        used = [one for one in pool.endpoints.values() if one.announced.name in tried]
        found = pool.choose(
            call or Call("s", "o", b""), version, used, (lambda node: node in avoided) if avoided else None, self.now
        )
        return None if found is None else f"{found.announced.name}@{found.announced.version}"

    def counted(self, calls: int = 500, **options: Any) -> Counter[str | None]:
        return Counter(self.chosen(**options) for _ in range(calls))

    def endpoint(self, name: str, version: int = 1) -> PoolEndpoint:
        return self.pool.endpoints[name, version]

    def end(self, name: str, outcome: CallDone | ClusterError, began: float | None = None, version: int = 1) -> None:
        pool, endpoint = self.pool, self.endpoint(name, version)
        endpoint.in_flight += 1
        pool.end(endpoint, "o", outcome, self.now if began is None else began, self.now)

    def states(self) -> dict[str, str]:
        return {one["endpoint"]: one["state"] for one in self.pool.told(lambda node: False, self.now)["endpoints"]}


def test_nobody_has_announced_it() -> None:
    scene = Scene()
    assert scene.pools.of("s", 0.0) is None
    assert scene.pools._pools == {}, "names come from callers, and take no room"


def test_workers_are_endpoints_of_their_own() -> None:
    scene = Scene(n1=offers(workers=[0, 1]), n2=offers(workers=[2]))
    assert set(scene.counted()) == {"n1@1", "n1/1@1", "n2/2@1"}
    assert [scene.endpoint(name).worker for name in ("n1", "n1/1")] == ["", "n1/1"]


def test_only_an_endpoint_or_those_of_a_node() -> None:
    scene = Scene(n1=offers(workers=[0, 1]), n2=offers(workers=[1, 2]))
    assert set(scene.counted(call=Call("s", "o", b"", only="n2/2"))) == {"n2/2@1"}
    assert set(scene.counted(call=Call("s", "o", b"", only="n2"))) == {"n2/1@1", "n2/2@1"}
    assert scene.chosen(Call("s", "o", b"", only="n1"), tried=("n1", "n1/1")) is None
    assert scene.chosen(Call("s", "o", b"", only="n9")) is None
    scene.registry.set_state("n1", "suspect")
    assert set(scene.counted(call=Call("s", "o", b"", only="n1"))) == {"n1@1", "n1/1@1"}
    assert set(scene.counted()) == {"n2/1@1", "n2/2@1"}


def test_a_worker_that_is_away_is_not_called_and_says_why() -> None:
    scene = Scene(n1=offers(workers=[1, 2, 3], away={1: "silent for 1 s", 2: AWAY_DRAINING}))
    assert set(scene.counted()) == {"n1/3@1"}
    assert scene.states() == {"n1/1": "ejected", "n1/2": "draining", "n1/3": "ready"}
    scene.registry.update("n1", offers(workers=[1, 2, 3]), "alive")
    assert set(scene.counted()) == {"n1/1@1", "n1/2@1", "n1/3@1"}


def test_a_version_that_is_asked_for() -> None:
    scene = Scene(n1=offers(1), n2=offers(2), n3=offers(2))
    assert set(scene.counted(version=2)) == {"n2@2", "n3@2"}
    assert set(scene.counted(version=1)) == {"n1@1"}
    assert scene.chosen(version=3) is None
    assert scene.chosen(version=1, tried=("n1",)) is None, "another version is no substitute"
    assert scene.chosen(Call("s", "o", b"", only="n2"), version=1) is None


# -- elsewhere


def test_an_attempt_goes_where_none_was() -> None:
    scene = Scene(n1=offers(workers=[1, 2]), n2=offers(), n3=offers())
    assert set(scene.counted(tried=("n1/1",))) == {"n2@1", "n3@1"}, "not to the same node while there are others"
    assert set(scene.counted(tried=("n1/1", "n2", "n3"))) == {"n1/2@1"}
    assert scene.chosen(tried=("n1/1", "n1/2", "n2", "n3")) is None


def test_nodes_that_do_not_answer_are_left_out_while_others_do() -> None:
    scene = Scene(n1=offers(), n2=offers(), n3=offers())
    assert set(scene.counted(avoided=("n1", "n3"))) == {"n2@1"}
    assert set(scene.counted(avoided=("n1", "n2", "n3"))) == {"n1@1", "n2@1", "n3@1"}
    assert set(scene.counted(avoided=("n2",), tried=("n1",))) == {"n3@1"}


def test_the_own_zone_first() -> None:
    scene = Scene(n1=offers(), n2=offers(), n3=offers(), n4=offers())
    scene.local = ["n1", "n2"]
    scene.registry.generation += 1
    assert set(scene.counted()) == {"n1@1", "n2@1"}
    assert set(scene.counted(tried=("n1", "n2"))) == {"n3@1", "n4@1"}
    assert set(scene.counted(avoided=("n1", "n2"))) == {"n3@1", "n4@1"}
    for name in ("n1", "n2"):
        scene.endpoint(name).in_flight = 5
    assert set(scene.counted()) == {"n3@1", "n4@1"}


def test_a_key_has_one_endpoint_in_whatever_zone() -> None:
    scene = Scene(**{f"n{number}": offers() for number in range(1, 6)})
    scene.local = ["n1"]
    scene.registry.generation += 1
    homes = {key: scene.counted(20, call=Call("s", "o", b"", key=key)) for key in "abcdefghij"}
    assert all(len(found) == 1 for found in homes.values())
    assert len({name for found in homes.values() for name in found}) > 2


# -- versions and weights


@pytest.mark.parametrize(
    ("counts", "weights", "expected"),
    [
        ({1: 4, 2: 1}, {2: 10.0}, {1: 0.9, 2: 0.1}),
        ({1: 1, 2: 1, 3: 3}, {1: 20.0}, {1: 0.2, 2: 0.2, 3: 0.6}),
        ({1: 1}, {2: 10.0}, {1: 1.0}),
        ({2: 1}, {2: 10.0}, {2: 1.0}),
        ({1: 1, 2: 1}, {1: 0.0, 2: 100.0}, {2: 1.0}),
        ({1: 1}, {1: 0.0, 2: 100.0}, {}),
        ({1: 1, 2: 1}, {1: 30.0, 2: 30.0}, {1: 0.5, 2: 0.5}),
        ({1: 3, 2: 1}, {3: 40.0}, {1: 0.75, 2: 0.25}),
    ],
)
def test_shares(counts: dict[int, int], weights: dict[int, float], expected: dict[int, float]) -> None:
    found, before = {}, 0.0
    for until, version in shares(counts, weights):
        found[version], before = pytest.approx(until - before), until
    assert found == expected


@given(
    st.dictionaries(st.integers(1, 5), st.integers(1, 9), min_size=1),
    st.dictionaries(st.integers(1, 5), st.floats(0, 20), max_size=5),
)
def test_shares_are_a_whole_or_nothing(counts: dict[int, int], weights: dict[int, float]) -> None:
    found = shares(counts, weights)
    assert {version for _, version in found} <= counts.keys()
    assert not found or found[-1][0] == pytest.approx(1.0)


def test_weights_share_calls_by_version() -> None:
    scene = Scene(n1=offers(1), n2=offers(1), n3=offers(2))
    assert 250 < scene.counted(1000)["n3@2"] < 420, "by endpoint, as long as nothing is said"
    scene.pools.weigh({"s": {2: 10.0}})
    assert 60 < scene.counted(1000)["n3@2"] < 140
    scene.pools.weigh({"s": {2: 0.0}})
    assert scene.counted(200)["n3@2"] == 0
    assert scene.chosen(version=2) == "n3@2", "who asks for it gets it"
    scene.registry.set_state("n1", "dead")
    scene.registry.set_state("n2", "dead")
    assert scene.chosen() is None
    scene.pools.weigh({"s": {2: 10.0}})
    assert scene.chosen() == "n3@2", "the share of those that are gone"


def test_a_retry_of_a_version_that_has_no_other_endpoint_goes_to_another_version() -> None:
    scene = Scene(n1=offers(1), n2=offers(2))
    scene.pools.weigh({"s": {2: 50.0}})
    assert set(scene.counted(tried=("n2",))) == {"n1@1"}
    scene.pools.weigh({"s": {1: 0.0}})
    assert set(scene.counted(tried=("n2",))) == {None}, "but not to one of 0%"


def test_a_version_that_gets_no_calls_says_so() -> None:
    scene = Scene(n1=offers(1), n2=offers(2))

    def reasons() -> list[str]:
        return [one["reason"] for one in scene.pool.told(lambda node: False, 0.0)["endpoints"]]

    assert reasons() == ["", ""]
    scene.pools.weigh({"s": {1: 0.0}})
    scene.chosen()
    assert reasons() == ["version 1 gets 0% of the calls", ""]
    scene.pools.weigh({"s": {2: 100.0}})
    scene.chosen()
    assert reasons() == ["version 1 gets 0% of the calls", ""], "nothing is left for it"


def test_a_key_stays_with_its_version_while_a_share_grows() -> None:
    scene = Scene(n1=offers(1), n2=offers(2))
    at: dict[float, dict[str, str | None]] = {}
    for share in (10.0, 20.0):
        scene.pools.weigh({"s": {1: 100.0 - share, 2: share}})
        at[share] = {str(key): scene.chosen(Call("s", "o", b"", key=str(key))) for key in range(500)}
    assert 30 < Counter(at[10.0].values())["n2@2"] < 70
    assert all(at[20.0][key] == "n2@2" for key, home in at[10.0].items() if home == "n2@2")


# -- what became of calls


@pytest.mark.parametrize("error", [Unreachable("no"), Maybe("lost"), DeadlinePassed("late"), ServiceError("bug")])
def test_failures_eject(error: ClusterError) -> None:
    scene = Scene(n1=offers(), n2=offers())
    for _ in range(FAILURES_IN_ROW):
        assert set(scene.counted(50)) <= {"n1@1", "n2@1"}
        scene.end("n1", error)
    assert set(scene.counted()) == {"n2@1"}
    assert scene.states() == {"n1": "ejected", "n2": "ready"} and EVENTS == ["endpoint.ejected"]
    told = scene.pool.told(lambda node: False, 10.0)["endpoints"][0]
    assert told["reason"] == "failed too often in a row; called again in 20 s"
    assert told["evidence"]["last_failure"] == f"{error.code}: {error.message}"
    scene.now = EJECTED_S - 0.1
    assert set(scene.counted()) == {"n2@1"}
    scene.now = EJECTED_S
    assert set(scene.counted()) == {"n1@1", "n2@1"}


def test_what_a_handler_found_failing_makes_its_endpoint_look_slow_and_ejects_nobody() -> None:
    scene = Scene(n1=offers(), n2=offers())
    for _ in range(3 * FAILURES_IN_ROW):
        scene.end("n1", DependencyFailed("Overloaded: busy"))
    assert scene.states() == {"n1": "ready", "n2": "ready"} and EVENTS == []
    assert set(scene.counted()) == {"n2@1"}, "perhaps the others reach it"
    assert scene.endpoint("n1").figures["o"].failed == 3 * FAILURES_IN_ROW


@pytest.mark.parametrize(
    "outcome",
    [CallDone(b"", "n1"), CallDone(b"", "n1", error="Unknown"), Overloaded("busy"), Usage("no"), NotFound("no")],
)
def test_answers_and_sheds_do_not_eject(outcome: CallDone | ClusterError) -> None:
    scene = Scene(n1=offers(), n2=offers())
    for _ in range(3 * FAILURES_IN_ROW):
        scene.end("n1", outcome)
    assert scene.states() == {"n1": "ready", "n2": "ready"} and EVENTS == []


def test_sheds_do_not_end_a_row_of_failures_and_answers_do() -> None:
    scene = Scene(n1=offers(), n2=offers())
    for _ in range(FAILURES_IN_ROW - 1):
        scene.end("n1", Maybe("lost"))
        scene.end("n1", Overloaded("busy"))
    scene.end("n1", CallDone(b"", "n1"))
    scene.end("n1", Maybe("lost"))
    assert scene.states()["n1"] == "ready"


def test_what_fails_or_sheds_at_once_attracts_nothing() -> None:
    for error in (Unreachable("no"), Overloaded("busy")):
        scene = Scene(n1=offers(), n2=offers())
        scene.end("n1", error)
        scene.end("n2", CallDone(b"", "n2"), began=-0.02)
        assert set(scene.counted()) == {"n2@1"}, error


def test_panic_uses_all_and_an_answer_ends_it() -> None:
    scene = Scene(n1=offers(), n2=offers(), n3=offers())
    for name in ("n1", "n2"):
        for _ in range(FAILURES_IN_ROW):
            scene.end(name, Maybe("lost"))
    told = scene.pool.told(lambda node: False, 0.0)
    assert told["panic"] and [one["state"] for one in told["endpoints"]] == ["ready"] * 3
    assert "panic" in told["endpoints"][0]["reason"]
    scene.now = 5.0
    scene.end("n1", CallDone(b"", "n1"), began=4.9)
    assert scene.states() == {"n1": "ready", "n2": "ejected", "n3": "ready"}
    assert EVENTS == ["endpoint.ejected", "endpoint.ejected", "endpoint.returned"]


def test_the_dead_do_not_count_towards_the_half() -> None:
    scene = Scene(n1=offers(), n2=offers(), n3=offers())
    scene.registry.set_state("n3", "dead")
    for name in ("n1", "n2"):
        for _ in range(FAILURES_IN_ROW):
            scene.end(name, Maybe("lost"))
    assert scene.pool.panic


def test_another_boot_of_the_node_is_not_blamed() -> None:
    scene = Scene(n1=offers(), n2=offers())
    for _ in range(FAILURES_IN_ROW):
        scene.end("n1", Maybe("lost"))
    scene.pools.forget("n1", 1.0)
    assert scene.states()["n1"] == "ready" and scene.endpoint("n1").latency_s == 0.0
    assert scene.endpoint("n1").figures["o"].failed == FAILURES_IN_ROW, "its figures stay"


def test_figures() -> None:
    scene = Scene(n1=offers())
    for outcome in (CallDone(b"", ""), CallDone(b"", "", error="Unknown"), Overloaded(""), Maybe(""), Usage("")):
        scene.end("n1", outcome, began=-0.1)
    scene.pool.begin_another(scene.endpoint("n1"), "o", hedge=False)
    scene.pool.begin_another(scene.endpoint("n1"), "o", hedge=True)
    told = scene.endpoint("n1").figures["o"].told()
    assert sum(count for _, count in told.pop("latency")) == 4
    assert told == {"calls": 5, "failed": 2, "declared": 1, "shed": 1, "retries": 1, "hedges": 1}


def test_names_of_operations_that_nobody_has_take_bounded_room() -> None:
    scene = Scene(n1=offers())
    for number in range(1000):
        scene.pool.figures_of(str(number)).failed += 1
        scene.pool.figures_at(scene.endpoint("n1"), str(number)).failed += 1
    for found in (scene.pool.operations, scene.endpoint("n1").figures):
        assert len(found) == 129 and found[OTHER_OPERATIONS].failed > 800
