"""Connections of the Redis gateway on a simulated cluster: the password, limits, order, topics, draining."""

from collections.abc import Iterator

import pytest

from cluster.gateways import listening
from cluster.gateways.redis.gateway import RedisGateway
from cluster.gateways.redis.session import CALLS_MAX, WAITING_BYTES_MAX
from cluster.gateways.session import OUTPUT_BYTES_MAX
from cluster.node.vitals import problems
from cluster.simulation.fleet import Fleet
from tests.gateways.redis.simulated import PASSWORD, RedisError, SimulatedRedis, request


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(7, 3, gateways=["redis"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        yield fleet


def error(reply: object) -> str:
    assert isinstance(reply, RedisError), reply
    return str(reply)


def test_nothing_before_the_password_but_to_give_it(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1", prove=False)
    for words in (["PING"], ["GET", "k"], ["FLY"], ["CLIENT", "ID"], ["HELLO", "3"]):
        assert error(client.ask(*words)).startswith("NOAUTH")
    assert error(client.ask("AUTH", "wrong")).startswith("WRONGPASS")
    assert error(client.ask("AUTH", "default", PASSWORD, "x")).startswith("ERR")
    assert client.ask("AUTH", "anybody", PASSWORD) == "OK"
    assert client.ask("PING") == "PONG"
    assert client.ask("RESET") == "RESET"
    assert error(client.ask("PING")).startswith("NOAUTH")


def test_hello_chooses_the_protocol_and_gives_the_password(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1", prove=False)
    hello = client.ask("HELLO", "3", "AUTH", "default", PASSWORD, "SETNAME", "me")
    assert hello["proto"] == 3 and hello["server"] == "redis"
    assert client.ask("CLIENT", "GETNAME") == "me"
    assert client.ask("CONFIG", "GET", "save") == {"save": ""}
    assert error(client.ask("HELLO", "4")).startswith("NOPROTO")
    assert error(client.ask("HELLO", "3", "WHO")).startswith("ERR Syntax")
    assert client.ask("HELLO", "2")[:2] == ["server", "redis"]


def test_the_protocol_changes_between_two_replies_of_a_pipeline(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1")
    client.send(["CONFIG", "GET", "save"], ["HELLO", "3"], ["CONFIG", "GET", "save"])
    first, _, last = client.take(3)
    assert first == ["save", ""] and last == {"save": ""}


@pytest.mark.parametrize("first", [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"Host: localhost\r\n", b"post\r\n"])
@pytest.mark.parametrize("prove", [False, True])
def test_a_browser_is_dropped_without_an_answer(fleet: Fleet, first: bytes, prove: bool) -> None:
    client = SimulatedRedis(fleet, "n1", prove=prove)
    client.raw(first + request("PING"))
    assert client.closed() in ("reset", "closed")
    assert client.replies == []
    assert any(event["kind"] == "redis.browser" for event in fleet.nodes["n1"].events.since())


def test_what_cannot_be_read_is_answered_behind_the_rest_and_ends_the_connection(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1")
    client.raw(request("PING") + b"*500000000\r\n" + request("PING"))
    assert client.closed() == "closed"
    assert client.replies[0] == "PONG"
    assert "invalid multibulk length" in error(client.replies[1]) and len(client.replies) == 2


def test_one_more_unproven_connection_ends_the_oldest(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNPROVEN_MAX", 2)
    proven = SimulatedRedis(fleet, "n1", name="proven")
    waiting = [SimulatedRedis(fleet, "n1", name=f"c{number}", prove=False) for number in range(3)]
    assert waiting[0].closed()
    assert not waiting[1].ended and not waiting[2].ended
    assert proven.ask("PING") == "PONG"


def test_a_connection_that_was_reset_has_no_place_of_its_own(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNPROVEN_MAX", 1)
    client = SimulatedRedis(fleet, "n1", name="a")
    assert client.ask("RESET") == "RESET"
    other = SimulatedRedis(fleet, "n1", name="b", prove=False)
    assert client.closed() and not other.ended


def test_a_full_house_is_said(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "CLIENTS_MAX", 1)
    SimulatedRedis(fleet, "n1", name="first")
    late = SimulatedRedis(fleet, "n1", name="second", prove=False)
    assert late.closed() == "closed"
    assert error(late.replies[0]) == "ERR max number of clients reached"
    assert problems(fleet.nodes["n1"], []) == ["its redis gateway turns clients away: 1 are connected"]


def test_unknown_and_refused_commands_say_why(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1")
    assert error(client.ask("FLY", "a")) == "ERR unknown command 'FLY', with args beginning with: 'a'"
    assert "not offered here" in error(client.ask("MULTI")) and "pipeline" in error(client.ask("multi"))
    assert "no lock" in error(client.ask("SETNX", "k", "v"))
    assert error(client.ask("ECHO")) == "ERR wrong number of arguments for 'echo' command"
    assert "unknown subcommand" in error(client.ask("CLIENT", "FLY"))
    assert "settings are those" in error(client.ask("CONFIG", "SET", "a", "b"))
    assert error(client.ask("SELECT", "1")).startswith("ERR DB index")


def test_commands_describe_themselves(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1")
    rows = client.ask("COMMAND")
    assert len(rows) == client.ask("COMMAND", "COUNT") and all(len(row) == 10 for row in rows)
    assert "ping" in client.ask("COMMAND", "LIST")
    docs = client.ask("COMMAND", "DOCS", "publish", "fly")
    assert docs[0] == "publish" and "channel" in docs[1][1] and len(docs) == 2
    assert client.ask("COMMAND", "INFO", "ping", "fly")[1] is None
    assert "redis_version:" in client.ask("INFO") and "# Clients" not in client.ask("INFO", "server")


def test_every_live_node_is_in_the_slots(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n2")
    fleet.until(lambda: len(client.ask("CLUSTER", "SLOTS")) == 3)
    slots = client.ask("CLUSTER", "SLOTS")
    assert [slot[0] for slot in slots] == [0, 5461, 10923] and slots[-1][1] == 16383
    assert slots[0][2][:2] == [fleet.nodes["n1"].member.host, 7100]
    lines = client.ask("CLUSTER", "NODES").splitlines()
    assert len(lines) == 3 and "myself,master" in lines[1]
    assert client.ask("CLUSTER", "KEYSLOT", "{user1000}.following") == client.ask("CLUSTER", "KEYSLOT", "user1000")
    fleet.kill("n3")
    fleet.until(lambda: len(client.ask("CLUSTER", "SLOTS")) == 2)


def test_messages_come_from_any_node_once_the_subscription_is_confirmed(fleet: Fleet) -> None:
    listener, other = SimulatedRedis(fleet, "n1", name="a"), SimulatedRedis(fleet, "n3", name="b")
    listener.send(["SUBSCRIBE", "news.eu", "news.us"], ["PSUBSCRIBE", "news.*", "n?ws.eu"])
    assert listener.take(4) == [
        ["subscribe", "news.eu", 1],
        ["subscribe", "news.us", 2],
        ["psubscribe", "news.*", 3],
        ["psubscribe", "n?ws.eu", 4],
    ]
    assert other.ask("PUBLISH", "news.eu", "hello") == 3
    assert sorted(listener.take(3)) == [
        ["message", "news.eu", "hello"],
        ["pmessage", "n?ws.eu", "news.eu", "hello"],
        ["pmessage", "news.*", "news.eu", "hello"],
    ]
    assert other.ask("PUBSUB", "CHANNELS") == ["news.eu", "news.us"]
    assert other.ask("PUBSUB", "NUMSUB", "news.eu", "x") == ["news.eu", 1, "x", 0]
    assert error(listener.ask("ECHO", "k")).startswith("ERR Can't execute 'echo'")
    assert listener.ask("PING") == ["pong", ""]
    listener.send(["UNSUBSCRIBE"], ["PUNSUBSCRIBE", "news.*", "n?ws.eu"], ["UNSUBSCRIBE"], ["PING"])
    assert [reply[2] for reply in listener.take(5)] == [3, 2, 1, 0, 0]
    assert listener.take() == ["PONG"]
    fleet.until(lambda: other.ask("PUBLISH", "news.eu", "nobody") == 0)


def test_topics_and_channels_are_the_same(fleet: Fleet) -> None:
    listener = SimulatedRedis(fleet, "n1")
    assert listener.ask("SUBSCRIBE", "orders.new") == ["subscribe", "orders.new", 1]
    fleet.nodes["n2"].topics.publish("orders.new", b"one")
    assert listener.take() == [["message", "orders.new", "one"]]
    assert "a channel is a topic's subject here" in error(listener.ask("SUBSCRIBE", "two words"))
    assert listener.ask("SUBSCRIBE", "orders.old") == ["subscribe", "orders.old", 2]


def test_what_was_published_on_one_connection_arrives_in_order(fleet: Fleet) -> None:
    listener, other = SimulatedRedis(fleet, "n1", name="a"), SimulatedRedis(fleet, "n2", name="b")
    listener.ask("SUBSCRIBE", "c")
    other.send(*[["PUBLISH", "c", number] for number in range(200)])
    assert other.take(200) == [1] * 200
    assert [message[2] for message in listener.take(200)] == [str(number) for number in range(200)]


def test_a_listener_that_does_not_read_is_ended(fleet: Fleet) -> None:
    listener, other = SimulatedRedis(fleet, "n1", name="a"), SimulatedRedis(fleet, "n1", name="b")
    listener.ask("SUBSCRIBE", "c")
    fleet.world.pause("a")
    for _ in range(OUTPUT_BYTES_MAX // 500_000 + 4):
        other.ask("PUBLISH", "c", bytes(500_000))
    fleet.until(lambda: len(fleet.nodes["n1"].gateways["redis"].sessions) == 1)  # type: ignore[attr-defined]
    assert any(event["kind"] == "redis.closed" for event in fleet.nodes["n1"].events.since())
    fleet.world.resume("a")
    assert listener.closed()


@pytest.mark.parametrize("count", [CALLS_MAX + 1, 2 * CALLS_MAX, 3 * CALLS_MAX + 8])
@pytest.mark.parametrize("command", ["SET", "EXISTS"])
def test_a_pipeline_goes_on_when_all_that_is_under_way_ends_in_one_pass(fleet: Fleet, command: str, count: int) -> None:
    client = SimulatedRedis(fleet, "n1")
    value = ["v"] if command == "SET" else []
    client.send(*[[command, f"k{number}", *value] for number in range(count)])
    assert client.take(count) == ["OK" if value else 0] * count


def test_who_sends_a_pipeline_before_reading_is_answered_up_to_a_bound(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1")
    gateway = fleet.nodes["n1"].gateways["redis"]
    assert isinstance(gateway, RedisGateway)
    [session] = gateway.sessions
    session.pause()  # as its link does when the client does not read
    before, count = gateway.carried_out, WAITING_BYTES_MAX // 1_000_000 + 10
    for _ in range(count):
        client.send(["ECHO", bytes(1_000_000)])
        fleet.world.run_for(0.1)
    assert WAITING_BYTES_MAX // 1_000_000 < gateway.carried_out - before < count - 5
    session.resume()
    assert [len(reply) for reply in client.take(count)] == [1_000_000] * count


def test_a_node_that_drains_lets_go_of_its_clients_and_takes_them_again(fleet: Fleet) -> None:
    client, other = SimulatedRedis(fleet, "n1", name="a"), SimulatedRedis(fleet, "n2", name="b")
    fleet.until(lambda: len(other.ask("CLUSTER", "SLOTS")) == 3)
    fleet.wait(fleet.ask("n1", "drain", {}))
    assert client.closed() == "closed"
    fleet.until(lambda: len(other.ask("CLUSTER", "SLOTS")) == 2)
    assert SimulatedRedis(fleet, "n1", name="c", prove=False).ended == "refused"
    fleet.wait(fleet.ask("n1", "undrain", {}))
    assert SimulatedRedis(fleet, "n1", name="d").ask("PING") == "PONG"
    fleet.until(lambda: len(other.ask("CLUSTER", "SLOTS")) == 3)


def test_quit_answers_and_closes(fleet: Fleet) -> None:
    client = SimulatedRedis(fleet, "n1")
    client.send(["ECHO", "a"], ["QUIT"], ["ECHO", "b"])
    assert client.closed() == "closed"
    assert client.replies == ["a", "OK"]


def test_the_cluster_is_born_with_the_bucket(fleet: Fleet) -> None:
    assert all(node.buckets.of("redis/k").resolver == "lww" for node in fleet.nodes.values())
