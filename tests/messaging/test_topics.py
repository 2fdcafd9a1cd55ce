"""Topics of several nodes, back to back."""

from timeit import timeit
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ClusterError, LimitReached, NoResponders, Overloaded, TooLarge, Usage
from cluster.limits import (
    FACT_BYTES_MAX,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    PATTERNS_MAX,
    SUBJECT_BYTES_MAX,
    SUBSCRIPTIONS_MAX,
    VALUE_BYTES_MAX,
)
from cluster.messaging import topics as topics_module
from cluster.messaging.barrier import TIMEOUT_S
from cluster.messaging.subject import matches
from cluster.messaging.topics import LEARN_S
from cluster.wire.frames import SMALL_BYTES, Body
from cluster.wire.topics import GroupRelay, Publish, Published, Relay, Subscribe, Subscribed, TopicRequest, Unsubscribe
from tests.messaging.test_matching import patterns, subjects
from tests.messaging.world import FakeLink, World, one_way

NODES = ["n1", "n2", "n3"]


def test_a_message_reaches_every_node_with_interest() -> None:
    world = World(3)
    here, there, elsewhere = world.subscribe("n1", "a.*"), world.subscribe("n2", "a.b"), world.subscribe("n3", "b")
    assert world.publish("n1", "a.b", b"book") == 2
    assert here.seen() == there.seen() == [(1, "a.b", b"book")]
    assert elsewhere.seen() == []
    assert world.messengers["n1"].sent == ["n2"]
    assert (there.got[0].id, there.got[0].node) == ("n1-1-1", "n1")


def test_a_node_gets_a_message_once_however_many_subscribe_there() -> None:
    world = World(2)
    links = [world.subscribe("n2", pattern) for pattern in ("a.b", "a.*", ">", "a.b")]
    assert world.publish("n1", "a.b") == 4
    assert world.messengers["n1"].sent == ["n2"]
    assert all(len(link.got) == 1 for link in links)


def test_a_connection_gets_a_message_once_a_subscription() -> None:
    world = World(1)
    link = world.subscribe("n1", "a", number=1)
    world.subscribe("n1", ">", link, number=7)
    assert world.publish("n1", "a") == 2
    assert sorted(link.seen()) == [(1, "a", b"x"), (7, "a", b"x")]


@given(
    st.lists(st.tuples(st.sampled_from(NODES), patterns), max_size=6),
    st.lists(st.tuples(st.sampled_from(NODES), subjects), max_size=6),
)
def test_everyone_gets_what_matches_in_order(wanted: list[tuple[str, str]], sent: list[tuple[str, str]]) -> None:
    world = World(3)
    links = [(pattern, world.subscribe(node, pattern)) for node, pattern in wanted]
    for number, (node, subject) in enumerate(sent):
        expected = sum(matches(pattern, subject) for pattern, _ in links)
        assert world.publish(node, subject, b"%d" % number) == expected
    for pattern, link in links:
        assert link.seen() == [(1, s, b"%d" % n) for n, (_, s) in enumerate(sent) if matches(pattern, s)]


def test_a_relayed_message_keeps_its_id_its_node_and_its_headers() -> None:
    world = World(2)
    link = world.subscribe("n2", "a")
    answer = world.ask("n1", Publish("a", b"x", "mine", {"trace": "1"}))
    assert answer == Published("mine", 1, [])
    assert (link.got[0].id, link.got[0].node, link.got[0].headers) == ("mine", "n1", {"trace": "1"})


def test_only_small_messages_share_frames() -> None:
    """Some dozens of large ones would make a frame that nobody takes."""
    world = World(2)
    links = [world.subscribe(node, "a") for node in ("n1", "n2")]
    for payload, headers in ((bytes(SMALL_BYTES), None), (bytes(SMALL_BYTES + 1), None), (b"x", {"trace": "1"})):
        world.ask("n1", Publish("a", payload, "", headers))
    for link in links:
        assert len(link.got) == 3 and link.small == link.got[:1]
    assert [body.payload for body in world.messengers["n1"].gathered] == [bytes(SMALL_BYTES)]  # type: ignore[union-attr]


# -- the barrier


def test_subscribe_is_answered_when_all_nodes_know() -> None:
    world = World(3)
    inbound = world.send("n2", Subscribe(1, "a"), FakeLink())
    assert inbound.answers == []
    world.clock.advance()
    assert inbound.answers == [Subscribed(3)]
    assert world.publish("n3", "a") == 1


def test_local_delivery_does_not_wait_for_the_barrier() -> None:
    world = World(2)
    link = FakeLink()
    world.send("n1", Subscribe(1, "a"), link)
    world.send("n1", Publish("a", b"x"))
    assert len(link.got) == 1


def test_subscriptions_of_one_pass_share_one_announcement() -> None:
    world = World(2)
    before = world.facts["n1"].announced
    inbounds = [world.send("n1", Subscribe(n, f"a.{n}"), FakeLink()) for n in range(50)]
    world.clock.advance()
    assert world.facts["n1"].announced == before + 1
    assert all(inbound.answers == [Subscribed(2)] for inbound in inbounds)


def test_a_member_that_does_not_confirm_delays_the_answer_to_the_timeout() -> None:
    world = World(3)
    world.deaf.append("n3")
    inbound = world.send("n1", Subscribe(1, "a"))
    world.clock.advance(TIMEOUT_S * 0.9)
    assert inbound.answers == []
    world.clock.advance(TIMEOUT_S * 0.2)
    assert inbound.answers == [Subscribed(1)]
    assert world.publish("n2", "a") == 1
    assert world.publish("n3", "a") == 0
    assert world.clock.pending() == 0


# -- ends


def test_unsubscribe_ends_delivery_and_interest() -> None:
    world = World(2)
    link = world.subscribe("n2", "a", number=1)
    world.subscribe("n2", "a", link, number=2)
    assert world.unsubscribe("n2", link, 1) == Subscribed(0)
    world.facts["n1"].learn("n2", "topics", world.facts["n2"].known["n2"])
    assert world.publish("n1", "a") == 1
    world.unsubscribe("n2", link, 2)
    world.facts["n1"].learn("n2", "topics", world.facts["n2"].known["n2"])
    assert world.publish("n1", "a") == 0
    assert [message.subscription for message in link.got] == [2]


def test_a_lost_connection_drops_its_subscriptions() -> None:
    world = World(1)
    link, other = world.subscribe("n1", "a"), world.subscribe("n1", "a")
    world.subscribe("n1", "b", link, number=2)
    link.close()
    assert world.publish("n1", "a") == 1
    assert world.publish("n1", "b") == 0
    assert [id(subscription.link) for subscription in world.topics["n1"].subscriptions()] == [id(other)]
    assert world.topics["n1"]._patterns == {("a", ""): 1}


def test_a_connection_may_close_while_it_is_pushed_to() -> None:
    world = World(1)

    class Breaking(FakeLink):
        def push(self, body: Body, small: bool = False) -> bool:
            self.close()
            return False

    link = Breaking()
    world.subscribe("n1", "a", link)
    world.subscribe("n1", ">", link, number=2)
    other = world.subscribe("n1", "*")
    assert world.publish("n1", "a") == 1
    assert len(other.got) == 1


def test_a_dead_node_gets_nothing_until_it_is_back() -> None:
    world = World(2)
    link = world.subscribe("n2", "a")
    world.facts["n1"].set_state("n2", "suspect")
    assert world.publish("n1", "a") == 1
    world.facts["n1"].set_state("n2", "dead")
    assert world.publish("n1", "a") == 0
    world.facts["n1"].learn("n2", "topics", world.facts["n2"].known["n2"])
    assert world.publish("n1", "a") == 0
    world.facts["n1"].set_state("n2", "alive")
    assert world.publish("n1", "a") == 1
    assert len(link.got) == 2


def test_the_interest_of_a_restarted_node_is_void_until_it_announces_again() -> None:
    world = World(2)
    world.subscribe("n2", "a")
    world.messengers["n2"].handlers.clear()
    world.topics["n2"] = world._make("n2")
    world.clock.advance()
    world.facts["n1"].learn("n2", "topics", b"")  # as membership says when it hears of the new boot
    assert world.publish("n1", "a") == 0
    world.subscribe("n2", "a")
    assert world.publish("n1", "a") == 1


# -- queue groups


def test_one_member_of_each_group_gets_a_message_whatever_its_pattern() -> None:
    world = World(3)
    places = (("n2", "a.*"), ("n2", ">"), ("n3", "a.b"))
    crew = [world.subscribe(node, pattern, group="crew") for node, pattern in places]
    other, alone = world.subscribe("n3", "a.b", group="other"), world.subscribe("n2", "a.b")
    for number in range(60):
        assert world.publish("n1", "a.b", b"%d" % number) == 3
    assert sorted(int(payload) for link in crew for _, _, payload in link.seen()) == list(range(60))
    assert all(len(link.got) > 5 for link in crew), "every member takes part, at its node's share"
    assert len(other.got) == len(alone.got) == 60


def test_a_member_at_the_publishers_node_comes_first() -> None:
    world = World(2)
    here, there = world.subscribe("n1", "a", group="g"), world.subscribe("n2", "a", group="g")
    for _ in range(9):
        world.publish("n1", "a")
    assert len(here.got) == 9 and not there.got and not world.messengers["n1"].sent


def test_a_member_without_room_is_passed_over_here_and_elsewhere() -> None:
    world = World(3)
    full = [world.subscribe(node, "a", FakeLink(room=0), group="g") for node in ("n1", "n1", "n2")]
    well = world.subscribe("n3", "a", group="g")
    for _ in range(9):
        world.publish("n1", "a")
    assert len(well.got) == 9 and not any(link.got for link in full)
    assert sum(topics.dropped for topics in world.topics.values()) == 0


def test_what_no_member_has_room_for_is_counted_at_one_of_them() -> None:
    world = World(2)
    world.subscribe("n1", "a", FakeLink(room=0), group="g")
    world.subscribe("n2", "a", FakeLink(room=0), group="g")
    world.publish("n1", "a")
    assert [[one["dropped"] for one in topics.subscribers()] for topics in world.topics.values()] == [[0], [1]]
    assert world.topics["n2"].dropped == 1


def test_a_node_whose_last_member_has_just_left_passes_the_message_on() -> None:
    world = World(3)
    leaving, staying = world.subscribe("n2", "a", group="g"), world.subscribe("n3", "a", group="g")
    world.avoided.append("n3")  # so that n2 is chosen
    inbound = world.send("n1", Publish("a", b"x"))
    leaving.close()
    world.clock.advance()
    assert isinstance(inbound.answers[0], Published) and inbound.answers[0].subscribers == 1
    assert not leaving.got and staying.seen() == [(1, "a", b"x")]


@pytest.mark.parametrize("how", ["avoided", "full", "dead"])
def test_a_node_that_cannot_be_reached_is_passed_over(how: str) -> None:
    world = World(3)
    world.subscribe("n2", "a", group="g")
    well = world.subscribe("n3", "a", group="g")
    if how == "avoided":
        world.avoided.append("n2")
    elif how == "full":
        world.messengers["n1"].full.append("n2")
    else:
        world.facts["n1"].set_state("n2", "dead")
    for _ in range(20):
        assert world.publish("n1", "a") == 1
    assert len(well.got) == 20


def test_a_node_that_does_not_answer_is_still_better_than_none() -> None:
    world = World(2)
    link = world.subscribe("n2", "a", group="g")
    world.avoided.append("n2")
    assert world.publish("n1", "a") == 1 and len(link.got) == 1


def test_a_group_ends_with_its_last_member() -> None:
    world = World(2)
    link = world.subscribe("n2", "a", group="g")
    world.unsubscribe("n2", link)
    world.clock.advance()
    world.facts["n1"].learn("n2", "topics", world.facts["n2"].known["n2"])
    assert world.publish("n1", "a") == 0
    assert world.topics["n2"]._patterns == {} and world.topics["n2"]._groups.count == 0


# -- requests


def test_a_request_gets_the_first_answer_wherever_it_is_published() -> None:
    world = World(3)
    link = world.subscribe("n2", "time", group="clocks")
    inbound = world.send("n1", TopicRequest("time", b"?", {"zone": "utc"}))
    world.clock.advance()
    asked = link.got[0]
    assert asked.headers == {"zone": "utc"} and asked.reply.startswith("_REPLY.n1.")
    for payload in (b"noon", b"one"):
        world.publish("n3", asked.reply, payload)
    assert [getattr(answer, "payload", None) for answer in inbound.answers] == [b"noon"]
    assert world.topics["n1"]._matcher._tree.is_empty()
    assert world.clock.pending() == 0


def test_a_request_that_nobody_listens_for_fails_at_once_and_leaves_nothing() -> None:
    world = World(2)
    assert isinstance(world.ask("n1", TopicRequest("time", b"?")), NoResponders)
    assert isinstance(world.ask("n1", TopicRequest("a..b", b"?")), Usage)
    assert world.topics["n1"]._matcher._tree.is_empty() and world.clock.pending() == 0


@pytest.mark.parametrize("how", ["cancelled", "late"])
def test_an_inbox_ends_with_its_request(how: str) -> None:
    world = World(1)
    link = world.subscribe("n1", "time")
    inbound = world.send("n1", TopicRequest("time", b"?"))
    if how == "late":
        world.clock.advance(6.0)
    else:
        inbound.cancel()
    assert world.publish("n1", link.got[0].reply, b"noon") == 0
    assert inbound.answers == []


# -- the first moments of a node


def test_what_is_published_before_the_interest_of_others_is_known_is_kept_in_order() -> None:
    world = World(2)
    link = world.subscribe("n2", "a")
    world.facts["n1"].missing = ["n2"]
    world.topics["n1"] = world._make("n1")
    here = world.subscribe("n1", "a")
    inbounds = [world.send("n1", Publish("a", payload)) for payload in (b"one", b"two")]
    world.clock.advance(LEARN_S / 2)
    assert not link.got and not inbounds[0].answers
    world.facts["n1"].missing = []
    world.clock.advance(0.1)
    assert [message.payload for message in link.got] == [message.payload for message in here.got] == [b"one", b"two"]
    assert [inbound.answers for inbound in inbounds] == [[Published(ANY, 2, ANY)]] * 2


def test_it_is_not_kept_for_ever_nor_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics_module, "KEPT_MAX", 2)
    world = World(2)
    world.facts["n1"].missing = ["n2"]
    world.topics["n1"] = world._make("n1")
    inbounds = [world.send("n1", Publish("a", b"")) for _ in range(3)]
    assert isinstance(inbounds[2].answers[0], Overloaded)
    world.clock.advance(LEARN_S + 0.1)
    assert [inbound.answers for inbound in inbounds[:2]] == [[Published(ANY, 0, ANY)]] * 2


# -- bounds


def test_what_each_subscription_got_and_missed_is_counted() -> None:
    world = World(1)
    world.subscribe("n1", "a", FakeLink(room=2))
    world.subscribe("n1", ">", group="g")
    for _ in range(5):
        world.publish("n1", "a")
    assert world.topics["n1"].subscribers() == [
        {"pattern": "a", "group": "", "delivered": 2, "dropped": 3},
        {"pattern": ">", "group": "g", "delivered": 5, "dropped": 0},
    ]


def test_a_full_queue_drops_counts_and_tells() -> None:
    world = World(1)
    slow, quick = world.subscribe("n1", "a", FakeLink(room=1)), world.subscribe("n1", "a")
    assert [world.publish("n1", "a") for _ in range(4)] == [2, 1, 1, 1]
    slow.room = 9
    world.publish("n1", "a")
    world.publish("n1", "a")
    assert [message.dropped for message in slow.got] == [0, 3, 0]
    assert len(quick.got) == 6
    assert world.topics["n1"].dropped == world.topics["n1"].subscriptions()[0].dropped_total == 3
    assert [kind for kind, _ in world.events] == ["topics.drop"]


def test_a_full_lane_to_a_node_is_not_counted_as_sent() -> None:
    world = World(2)
    world.subscribe("n2", "a")
    world.messengers["n1"].full.append("n2")
    assert world.publish("n1", "a") == 0
    assert world.topics["n1"].dropped == 1


def test_limits_of_subscriptions() -> None:
    world = World(1)
    link = FakeLink()
    for number in range(SUBSCRIPTIONS_MAX):
        world.send("n1", Subscribe(number, "a"), link)
    assert isinstance(world.ask("n1", Subscribe(-1, "a"), link), LimitReached)
    for number in range(PATTERNS_MAX - 1):
        world.send("n1", Subscribe(1, f"b.{number}"), FakeLink())
    assert isinstance(world.ask("n1", Subscribe(1, "c"), FakeLink()), LimitReached)
    assert isinstance(world.ask("n1", Subscribe(1, "a"), FakeLink()), Subscribed)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (Publish("a.*", b""), Usage),
        (Publish("", b""), Usage),
        (Publish("a", bytes(VALUE_BYTES_MAX + 1)), TooLarge),
        (Publish("a", b"", "i" * 200), TooLarge),
        (Publish("a", b"", "", {"k": "v" * HEADER_BYTES_MAX}), TooLarge),
        (Publish("a", b"", "", {f"k{n}": "" for n in range(HEADERS_MAX + 1)}), TooLarge),
        (Subscribe(1, "a..b"), Usage),
        (Subscribe(1, "a", "two words"), Usage),
        (Subscribe(1, "a", "g" * 65), TooLarge),
        (Publish("a", b"", reply="b.*"), Usage),
        (TopicRequest("a.*", b""), Usage),
        (Unsubscribe(1), Usage),
    ],
)
def test_what_is_refused(body: Body, error: type[ClusterError]) -> None:
    world = World(1)
    assert type(world.ask("n1", body)) is error
    assert world.topics["n1"].subscriptions() == []
    assert world.topics["n1"].published == 0


def test_the_longest_patterns_that_are_allowed_can_be_announced() -> None:
    world = World(2)
    for number in range(PATTERNS_MAX):
        pattern = f"{number:04}." + "p" * (SUBJECT_BYTES_MAX - 5)
        assert isinstance(world.ask("n1", Subscribe(1, pattern), FakeLink()), Subscribed)
    assert len(world.facts["n1"].known["n1"]) <= FACT_BYTES_MAX
    assert world.publish("n2", pattern) == 1


@pytest.mark.parametrize(
    "body",
    [
        Relay("a.*", b"", "1", "n2"),
        Relay("a..b", b"", "1", "n2"),
        Relay("a", bytes(VALUE_BYTES_MAX + 1), "1", "n2"),
        Relay("a", b"", "i" * 200, "n2"),
        Relay("a", b"", "1", "n2", {"k": "v" * HEADER_BYTES_MAX}),
        GroupRelay("a", bytes(VALUE_BYTES_MAX + 1), "1", "n2", "crew", []),
        GroupRelay("a", b"", "1", "n2", "crew", [], reply="b.*"),
    ],
)
def test_what_a_peer_relays_is_checked(body: Relay | GroupRelay) -> None:
    world = World(2)
    links = world.subscribe("n1", "a"), world.subscribe("n1", "a", group="crew")
    world.send("n1", body, FakeLink())
    assert not any(link.got for link in links)


def test_a_number_is_used_once_a_connection() -> None:
    world = World(1)
    link = world.subscribe("n1", "a")
    assert isinstance(world.ask("n1", Subscribe(1, "b"), link), Usage)
    assert world.publish("n1", "b") == 0


def test_bad_relays_and_facts_are_ignored() -> None:
    world = World(2)
    world.messengers["n1"].arrive(one_way(Relay("a..b", b"", "1", "n2")))
    world.facts["n1"].learn("n2", "topics", b"nonsense")
    assert world.publish("n1", "a") == 0
    assert [kind for kind, _ in world.events] == ["topics.ignore"]


@pytest.mark.bench
def test_the_cost_of_a_publish() -> None:
    world = World(2)
    rounds = 50_000
    topics = world.topics["n1"]
    alone = timeit(lambda: topics.publish("a.b", b"x" * 100), number=rounds) / rounds
    world.subscribe("n1", "a.b").push = lambda body, small=False: True  # type: ignore[method-assign]
    local = timeit(lambda: topics.publish("a.b", b"x" * 100), number=rounds) / rounds
    world.subscribe("n2", "a.b")
    world.messengers["n1"].gather = lambda peer, body, deadline: True  # type: ignore[method-assign]
    both = timeit(lambda: topics.publish("a.b", b"x" * 100), number=rounds) / rounds
    print(f"nobody {alone * 1e9:.0f} ns, local {local * 1e9:.0f} ns, and a relay {both * 1e9:.0f} ns")  # noqa: T201
    assert both < 1e-3
