"""Connections of the NATS gateway on a simulated cluster."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from cluster.gateways import listening
from cluster.gateways.nats import gateway as gateway_module
from cluster.gateways.nats import session as session_module
from cluster.gateways.nats.gateway import NatsGateway
from cluster.gateways.session import OUTPUT_BYTES_MAX
from cluster.limits import SUBSCRIPTIONS_MAX, VALUE_BYTES_MAX
from cluster.simulation.fleet import Fleet
from tests.gateways.nats.simulated import PASSWORD, SimulatedNats


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(7, 3, gateways=["nats"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        yield fleet


def sessions(fleet: Fleet, node: str) -> list[Any]:
    return list(fleet.nodes[node].gateways["nats"].sessions)  # type: ignore[attr-defined]


def test_info_says_where_all_nodes_are(fleet: Fleet) -> None:
    info = SimulatedNats(fleet, "n1").infos[0]
    assert info["headers"] is True and info["auth_required"] is True and info["max_payload"] == VALUE_BYTES_MAX
    assert info["server_name"] == "n1" and len(info["connect_urls"]) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [b"PING\r\n", b"SUB a 1\r\n", b"PUB a 1\r\nx\r\n", b'CONNECT {"pass":"wrong"}\r\n'])
def test_nothing_before_the_password(fleet: Fleet, before: bytes) -> None:
    client = SimulatedNats(fleet, "n1", prove=False)
    client.raw(before)
    assert client.closed() == "closed"
    assert client.lines == ["-ERR 'Authorization Violation'"]


def test_the_password_is_a_token_or_that_of_any_user(fleet: Fleet) -> None:
    for options in ({"auth_token": PASSWORD}, {"user": "me", "pass": PASSWORD}):
        client = SimulatedNats(fleet, "n1", prove=False)
        client.connect(**options)
        client.flush()
        assert client.lines == ["PONG"]


def test_a_browser_is_refused(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1", prove=False)
    client.raw(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.closed() and client.lines == ["-ERR 'Unknown Protocol Operation'"]


def test_limits_come_before_the_password(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNPROVEN_MAX", 2)
    waiting = [SimulatedNats(fleet, "n1", name=f"c{number}", prove=False) for number in range(3)]
    assert waiting[0].closed() and not waiting[1].ended and not waiting[2].ended
    monkeypatch.setattr(listening, "CLIENTS_MAX", 1)
    assert SimulatedNats(fleet, "n1", name="first").lines == ["PONG"], "they take nobody's place"
    late = SimulatedNats(fleet, "n1", name="late", prove=False)
    assert late.closed() and late.lines == ["-ERR 'maximum connections exceeded'"]


def test_messages_reach_other_nodes_in_order_with_reply_and_headers(fleet: Fleet) -> None:
    one, other = SimulatedNats(fleet, "n1", name="a"), SimulatedNats(fleet, "n3", name="b")
    other.raw(b"SUB a.* 7\r\n")
    other.flush()
    for number in range(200):
        one.publish("a.b", b"%d" % number)
    one.publish("a.c", b"last", "where", b"NATS/1.0\r\nk: v\r\nk: w\r\n\r\n")
    found = other.take(201)
    assert [int(message.payload) for message in found[:-1]] == list(range(200))
    assert found[-1] == ("a.c", "7", "where", b"last", {"k": "v\nw"}, "")


def test_programs_of_dsectl_and_of_nats_meet(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.raw(b"SUB orders.> 1\r\n")
    client.flush()
    fleet.nodes["n2"].topics.publish("orders.new", b"one", headers={"a": "b"})
    assert client.take() == [("orders.new", "1", "", b"one", {"a": "b"}, "")]


def test_pong_is_a_barrier(fleet: Fleet) -> None:
    """What is published anywhere behind the PONG of a SUB arrives, however late a node learns of it."""
    listener, other = SimulatedNats(fleet, "n2", name="a"), SimulatedNats(fleet, "n3", name="b")
    fleet.world.slow("n2", "n3", delay=0.2)
    for number in range(5):
        listener.raw(b"SUB s.%d %d\r\n" % (number, number))
        listener.flush()
        other.publish(f"s.{number}")
        assert listener.take()[0].sid == str(number)


def test_an_answer_finds_an_inbox_that_is_as_old_as_its_request(fleet: Fleet) -> None:
    """Also when it is published at a node that learns late of the inbox."""
    service, client = SimulatedNats(fleet, "n3", name="a"), SimulatedNats(fleet, "n1", name="b")
    elsewhere = SimulatedNats(fleet, "n2", name="c")
    service.raw(b"SUB time crew 1\r\n")
    service.flush()
    fleet.world.slow("n1", "n2", delay=0.2)
    for number in range(5):  # each with an inbox of its own, and no flush between
        client.raw(b"SUB _INBOX.%d %d\r\n" % (number, number))
        client.publish("time", b"?", f"_INBOX.{number}")
        elsewhere.publish(service.take()[0].reply, b"noon")
        assert client.take() == [(f"_INBOX.{number}", str(number), "", b"noon", {}, "")]


def test_one_of_each_group_gets_a_message(fleet: Fleet) -> None:
    crew = [SimulatedNats(fleet, node, name=f"c-{node}") for node in ("n1", "n2", "n3")]
    for client in crew:
        client.raw(b"SUB work crew 1\r\nSUB work.* crew 2\r\n")
        client.flush()
    publisher = SimulatedNats(fleet, "n2", name="p")
    for number in range(30):
        publisher.publish("work", b"%d" % number)
    publisher.flush()
    assert sorted(int(message.payload) for message in crew[1].messages) == list(range(30)), "members here come first"


def test_unsub_and_unsub_after_so_many(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.raw(b"SUB a 1\r\nUNSUB 1 2\r\nSUB a 2\r\nSUB a 3\r\nUNSUB 3\r\n")
    for _ in range(4):
        client.publish("a")
    client.flush()
    assert sorted(message.sid for message in client.messages) == ["1", "1", "2", "2", "2", "2"]
    client.raw(b"UNSUB 2 1\r\nUNSUB 9\r\n")  # it has had more already; and there is none
    client.publish("a")
    client.flush()
    assert len(client.messages) == 6 and not sessions(fleet, "n1")[0].subscriptions


def test_of_two_subscriptions_with_one_sid_the_first_stays(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.raw(b"SUB a 1\r\nSUB b 1\r\n")
    client.publish("b")
    client.publish("a")
    client.flush()
    assert [message.subject for message in client.messages] == ["a"]


def test_more_subscriptions_than_there_may_be_end_the_connection(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.raw(b"".join(b"SUB s.%d %d\r\n" % (number, number) for number in range(SUBSCRIPTIONS_MAX)))
    client.flush()
    assert client.lines == ["PONG", "PONG"]
    client.raw(b"SUB more more\r\n")
    assert client.closed() and client.lines[-1] == "-ERR 'maximum subscriptions exceeded'"


@pytest.mark.parametrize("command", [b"SUB a.%d %d\r\n", b"PUB orders.%d %d0\r\n1234567890\r\n"])
def test_no_more_is_read_while_much_is_under_way(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, command: bytes) -> None:
    fleet.wait(fleet.create_queue("n1", "jobs"))
    fleet.wait(fleet.ask("n1", "bind-queue", {"name": "jobs", "pattern": "orders.>"}))
    monkeypatch.setattr(session_module, "UNDER_WAY_MAX", 3)
    client, seen = SimulatedNats(fleet, "n1"), set[tuple[int, bool]]()
    [session] = sessions(fleet, "n1")
    fleet.world.slow("n1", "n2", delay=0.2)
    fleet.world.slow("n1", "n3", delay=0.2)
    for number in range(10):
        client.raw(command % ((number, number) if command.startswith(b"SUB") else (number, 1)))
    client.raw(b"PING\r\n")

    def done() -> bool:
        seen.add((session._subscribing + session._publishing, session._reads_paused))
        return len(client.lines) == 2

    fleet.world.run_until_true(done, step=0)
    assert max(seen) == (3, True) and session._reads_paused is False


def test_verbose_and_no_echo(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1", verbose=True, echo=False)
    client.raw(b"SUB a 1\r\n")
    client.publish("a")
    client.flush()
    assert client.lines == ["+OK", "PONG", "+OK", "+OK", "PONG"] and client.messages == []


def test_a_member_that_wants_no_echo_leaves_its_own_message_to_another(fleet: Fleet) -> None:
    one, other = SimulatedNats(fleet, "n1", name="a", echo=False), SimulatedNats(fleet, "n2", name="b")
    for client in (one, other):
        client.raw(b"SUB work crew 1\r\n")
        client.flush()
    one.publish("work")
    assert other.take()[0].subject == "work" and not one.messages


def test_what_is_published_to_a_bound_queue_is_there_once_pong_comes(fleet: Fleet) -> None:
    fleet.wait(fleet.create_queue("n1", "jobs"))
    fleet.wait(fleet.ask("n1", "bind-queue", {"name": "jobs", "pattern": "orders.>"}))
    client = SimulatedNats(fleet, "n2")
    client.raw(b"SUB _INBOX.x 1\r\n")
    client.publish("orders.new", b"book", "_INBOX.x")
    client.flush()
    assert client.messages == [], "a queue that took it is no lack of responders"
    received = fleet.receive("n3", "jobs", wait_s=1.0)
    fleet.wait(received)
    assert [message.body for message in received.answer.messages] == [b"book"]  # type: ignore[union-attr]


def test_no_responders(fleet: Fleet) -> None:
    client, plain = SimulatedNats(fleet, "n1", name="a"), SimulatedNats(fleet, "n1", name="b", no_responders=False)
    for one in (client, plain):
        one.raw(b"SUB _INBOX.x.* 1\r\n")
        one.publish("nobody", b"?", "_INBOX.x.1")
        one.publish("$JS.API.INFO", b"", "_INBOX.x.2")
        one.publish("nobody", b"without a reply")
        one.flush()
    assert [(message.subject, message.status) for message in client.messages] == [
        ("_INBOX.x.1", "503"), ("_INBOX.x.2", "503")
    ]  # fmt: skip
    assert plain.messages == []


def test_services_answer_at_their_operations(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.raw(b"SUB _INBOX.* 1\r\n")
    client.publish("echo.echo", b'{"text":"yo"}', "_INBOX.1")
    client.publish("echo.echo", b'{"text":1}', "_INBOX.2")
    client.publish("echo.whoami", b"", "_INBOX.3")
    found = {message.subject: message for message in client.take(3)}
    assert found["_INBOX.1"].payload == b'{"text":"yo"}'
    assert found["_INBOX.2"].headers["Nats-Service-Error-Code"] == "usage"
    assert msgspec.json.decode(found["_INBOX.3"].payload)["node"] == found["_INBOX.3"].headers["Dsectl-Node"]


def test_a_declared_error_is_named_in_the_headers(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.raw(b"SUB _INBOX.* 1\r\n")
    for name in ("n1", "n2", "n3"):
        fleet.wait(fleet.call(name, "flaky.set", b'{"failure_rate":1.0}', only=name))
    client.publish("flaky.work", b"{}", "_INBOX.1")
    (message,) = client.take(1)
    assert message.headers["Nats-Service-Error"] == "Unlucky"
    assert message.headers["Nats-Service-Error-Code"] == "service-error"
    assert "fails 100%" in msgspec.json.decode(message.payload)["message"]


def test_what_a_subject_may_not_be_is_no_end_of_the_connection(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.publish("a*b")
    client.publish("a..b")
    client.raw(b"SUB a*b 1\r\n")
    client.raw(b"SUB a..b 2\r\n")
    client.publish("a", b"x", headers=b"NATS/1.0\r\nk: %b\r\n\r\n" % (b"v" * 5000))
    client.flush()
    assert [line.split(":")[0] for line in client.lines[1:]] == [
        '-ERR \'Permissions Violation for Publish to "a*b"',
        '-ERR \'Permissions Violation for Publish to "a..b"',
        '-ERR \'Permissions Violation for Subscription to "a*b"',
        "-ERR 'Invalid Subject'",
        '-ERR \'Permissions Violation for Publish to "a"',
        "PONG",
    ]


def publish_until(what: Callable[[], bool], publisher: SimulatedNats) -> int:
    """Publish until something has happened; returns how many bytes that took."""
    for number in range(100):
        if what():
            return number * 500_000
        publisher.publish("c", bytes(500_000))
        publisher.flush()
    raise AssertionError("nothing has happened")


def test_a_client_that_does_not_read_is_cut_off(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "PENDING_ALL_BYTES_MAX", 2 * OUTPUT_BYTES_MAX)
    gateway = fleet.nodes["n1"].gateways["nats"]
    assert isinstance(gateway, NatsGateway)
    listener, other = SimulatedNats(fleet, "n1", name="a"), SimulatedNats(fleet, "n1", name="b")
    listener.raw(b"SUB c 1\r\n")
    listener.flush()
    fleet.world.pause("a")
    publish_until(lambda: len(gateway.behind) == 1, other)
    assert len(gateway.sessions) == 2, "one alone may have more"
    publish_until(lambda: len(gateway.sessions) == 1, other)
    assert not gateway.behind and any(event["kind"] == "nats.closed" for event in fleet.nodes["n1"].events.since())
    fleet.world.resume("a")
    assert listener.closed()


def test_who_has_read_is_not_behind_any_more_and_nobody_may_be_behind_by_all(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "PENDING_BYTES_MAX", 2 * OUTPUT_BYTES_MAX)
    gateway = fleet.nodes["n1"].gateways["nats"]
    assert isinstance(gateway, NatsGateway)
    listener, other = SimulatedNats(fleet, "n1", name="a"), SimulatedNats(fleet, "n1", name="b")
    listener.raw(b"SUB c 1\r\n")
    listener.flush()
    fleet.world.pause("a")
    sent = publish_until(lambda: bool(gateway.behind), other)
    fleet.world.resume("a")
    listener.take(sent // 500_000)
    assert not gateway.behind, "the others have its share"
    fleet.world.pause("a")
    assert publish_until(lambda: len(gateway.sessions) == 1, other) >= 2 * OUTPUT_BYTES_MAX


def test_a_client_that_lives_no_more_is_ended(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    mute, lively = SimulatedNats(fleet, "n2", name="a"), SimulatedNats(fleet, "n2", name="b")
    for turn in range(3):
        fleet.world.run_for(gateway_module.PING_S)
        assert lively.lines.count("PING") == turn + 1
        lively.raw(b"PONG\r\n")
    assert mute.closed() and mute.lines[-1] == "-ERR 'Stale Connection'"
    assert not lively.ended


def test_a_node_that_drains_says_so_and_lets_go_of_its_clients(fleet: Fleet) -> None:
    client, other = SimulatedNats(fleet, "n1", name="a"), SimulatedNats(fleet, "n2", name="b")
    old = SimulatedNats(fleet, "n2", name="old", protocol=0)
    client.raw(b"SUB _INBOX.* 1\r\n")
    client.flush()
    drained = fleet.ask("n1", "drain", {})
    fleet.until(lambda: len(client.infos) == 2)
    began = fleet.world.now
    client.publish("$SYS.REQ.SERVER.PING.HEALTHZ", b"", "_INBOX.1")
    assert msgspec.json.decode(client.take()[0].payload)["data"] == {"status": "unavailable"}
    assert client.closed() == "closed" and fleet.world.now - began > 0.4, "it could have moved by itself"
    fleet.wait(drained)
    assert [info.get("ldm", False) for info in client.infos] == [False, True]
    assert len(client.infos[-1]["connect_urls"]) == 2  # type: ignore[arg-type]
    fleet.until(lambda: len(other.infos[-1]["connect_urls"]) == 2)  # type: ignore[arg-type]
    refused = SimulatedNats(fleet, "n1", name="c", prove=False)
    assert refused.ended == "refused"
    fleet.wait(fleet.ask("n1", "undrain", {}))
    again = SimulatedNats(fleet, "n1", name="d")
    assert again.lines == ["PONG"] and "ldm" not in again.infos[0]
    fleet.until(lambda: len(other.infos[-1]["connect_urls"]) == 3)  # type: ignore[arg-type]
    assert len(old.infos) == 1, "it would not know what to do with another"


def test_the_node_says_what_nats_server_would(fleet: Fleet) -> None:
    client = SimulatedNats(fleet, "n1")
    client.raw(b"SUB _INBOX.* 1\r\n")
    client.publish("a", b"12345")
    gone = SimulatedNats(fleet, "n1", name="gone")
    gone.publish("a", b"1234567")
    gone.raw(b"FLY\r\n")
    assert gone.closed()
    for number, what in enumerate(("VARZ", "CONNZ", "HEALTHZ", "FLY")):
        client.publish(f"$SYS.REQ.SERVER.PING.{what}", b"", f"_INBOX.{number}")
    varz, connz, healthz, refused = client.take(4)
    assert msgspec.json.decode(varz.payload)["data"]["in_bytes"] == 12
    assert msgspec.json.decode(connz.payload)["data"]["connections"][0]["subscriptions"] == 1
    assert msgspec.json.decode(healthz.payload)["data"] == {"status": "ok"}
    assert refused.status == "503"
