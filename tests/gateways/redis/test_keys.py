"""Keys of Redis on a simulated cluster: strings, counters, sets, when they end, which there are."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.gateways.redis import keyspace
from cluster.simulation.fleet import Fleet
from tests.gateways.redis.simulated import RedisError, SimulatedRedis


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(7, 4, gateways=["redis"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        yield fleet


@pytest.fixture
def redis(fleet: Fleet) -> SimulatedRedis:
    return SimulatedRedis(fleet, "n1")


def check(redis: SimulatedRedis, *script: tuple[str, Any]) -> None:
    """Each line and its reply; of an error, how it begins."""
    for line, expected in script:
        reply = redis.ask(*line.split())
        if isinstance(reply, RedisError):
            assert isinstance(expected, str) and str(reply).startswith(expected), f"{line}: {reply}"
        else:
            assert reply == expected, f"{line}: {reply!r}"


def test_strings(redis: SimulatedRedis) -> None:
    check(
        redis,
        ("GET k", None), ("SET k v", "OK"), ("GET k", "v"), ("STRLEN k", 1), ("EXISTS k k x", 2), ("TYPE k", "string"),
        ("APPEND k alue", 5), ("GET k", "value"), ("GETRANGE k 1 -2", "alu"), ("GETRANGE k -100 0", "v"),
        ("GETRANGE k 3 1", ""), ("GETRANGE k -1 -3", ""), ("GETRANGE x 0 -1", ""), ("SETRANGE k 6 x", 7),
        ("GET k", "value\0x"), ("GETSET k new", "value\0x"), ("SET k newer GET", "new"), ("SET x first GET", None),
        ("MSET a 1 b 2 a 3", "OK"), ("MGET a b c", ["3", "2", None]), ("DEL a b c", 2), ("MGET a b", [None, None]),
        ("SET k v NX", "ERR SET NX is not offered here: two nodes"), ("SET k v EX", "ERR syntax error"),
        ("SET k v EX 0", "ERR invalid expire time in 'set' command"), ("SET k v EX 1 PX 1", "ERR syntax error"),
        ("MSET a", "ERR wrong number"), ("MSET a 1 b", "ERR wrong number"), ("SETRANGE k -1 x", "ERR offset"),
        ("GETRANGE k a b", "ERR value is not an integer"),
    )  # fmt: skip


def test_counters(redis: SimulatedRedis) -> None:
    check(
        redis,
        ("INCR n", 1), ("INCRBY n 10", 11), ("DECR n", 10), ("DECRBY n 3", 7), ("GET n", "7"), ("TYPE n", "string"),
        ("SET n 100", "OK"), ("INCR n", 101), ("GET n", "101"), ("SET s word", "OK"), ("INCR s", "WRONGTYPE"),
        ("INCRBY n x", "ERR value is not an integer"), ("INCRBY n 9223372036854775807", "ERR"),
        ("DEL n", 1), ("GET n", None), ("INCR n", 1), ("INCRBYFLOAT n 1.5", "ERR INCRBYFLOAT is not offered here"),
    )  # fmt: skip


def test_sets(redis: SimulatedRedis) -> None:
    check(
        redis,
        ("SADD s a b a", 2), ("SADD s b c", 1), ("SCARD s", 3), ("SISMEMBER s a", 1), ("SISMEMBER s x", 0),
        ("SMISMEMBER s a x", [1, 0]), ("SREM s a x", 1), ("TYPE s", "set"), ("GET s", "WRONGTYPE"),
        ("INCR s", "WRONGTYPE"),
        ("SET v x", "OK"), ("SADD v a", "WRONGTYPE"), ("SMEMBERS v", "WRONGTYPE"), ("MGET s v", [None, "x"]),
        ("SREM s b c", 2), ("EXISTS s", 0), ("SMEMBERS s", []), ("SCARD nothing", 0),
        ("SPOP s", "ERR SPOP is not offered"),
    )  # fmt: skip
    redis.ask("SADD", "s", "a", "b")
    assert sorted(redis.ask("SMEMBERS", "s")) == ["a", "b"]
    redis.ask("HELLO", "3")
    assert redis.ask("SMEMBERS", "s") == {"a", "b"}


def test_keys_end(fleet: Fleet, redis: SimulatedRedis) -> None:
    check(
        redis,
        ("SET k v EX 100", "OK"), ("TTL k", 100), ("PERSIST k", 1), ("TTL k", -1), ("PERSIST k", 0), ("TTL x", -2),
        ("EXPIRE k 10", 1), ("TTL k", 10), ("EXPIRE k 20 GT", 1), ("EXPIRE k 10 GT", 0), ("EXPIRE k 30 NX", 0),
        ("EXPIRE k 5 LT", 1), ("EXPIRE k 60 XX", 1),
        ("EXPIRE k 1 NX XX", "ERR NX and XX"), ("EXPIRE k 1 FLY", "ERR Unsupported"),
        ("SET k w KEEPTTL", "OK"), ("TTL k", 60), ("SET k w", "OK"), ("TTL k", -1), ("EXPIRE x 10", 0),
        ("SETEX k 5 v", "OK"), ("GETEX k EX 50", "v"), ("TTL k", 50), ("GETEX k PERSIST", "v"), ("TTL k", -1),
        ("PSETEX k 1500 v", "OK"), ("GET k", "v"), ("SADD s a", 1), ("EXPIRE s 1", 1), ("INCR n", 1), ("EXPIRE n 1", 1),
        ("EXPIRE k 9223372036854775807", "ERR invalid expire"),
        ("GETEX k EX", "ERR syntax"), ("SETEX k 0 v", "ERR invalid"),
    )  # fmt: skip
    assert 0 < redis.ask("PTTL", "k") <= 1500
    assert abs(redis.ask("PEXPIRETIME", "k") - redis.ask("EXPIRETIME", "k") * 1000) <= 500
    fleet.world.run_for(1.6)
    check(redis, ("GET k", None), ("EXISTS k s n", 0), ("TTL k", -2), ("INCR n", 1), ("SADD s b", 1), ("SCARD s", 1))
    check(redis, ("SET k v", "OK"), ("EXPIRE k -1", 1), ("GET k", None), ("SET k v EXAT 1", "OK"), ("GET k", None))


def test_which_keys_there_are(redis: SimulatedRedis) -> None:
    names = {f"user:{number}" for number in range(30)} | {"other", "a*b", "größe"}
    for name in names:
        redis.ask("SET", name, "v")
    redis.ask("SADD", "user:set", "x")

    def scanned(*options: str) -> list[str]:
        found: list[str] = []
        cursor = "0"
        while True:
            cursor, page = redis.ask("SCAN", cursor, *options)
            found += page
            if cursor == "0":
                return [name.encode("latin-1").decode() for name in found]

    assert redis.ask("DBSIZE") == len(names) + 1
    assert sorted(redis.ask("KEYS", "user:1?")) == [f"user:1{digit}" for digit in range(10)]
    assert redis.ask("KEYS", "a\\*b") == ["a*b"] and redis.ask("KEYS", "x*") == []
    assert scanned() == sorted(names | {"user:set"}) == scanned("COUNT", "3")
    assert scanned("MATCH", "*:2*", "COUNT", "7") == sorted(name for name in names if ":2" in name)
    assert scanned("MATCH", "user:*", "TYPE", "set") == ["user:set"]
    assert redis.ask("RANDOMKEY").encode("latin-1").decode() in names | {"user:set"}
    check(
        redis,
        ("SCAN 5", "ERR this node knows no such cursor"),
        ("SCAN x", "ERR invalid cursor"),
        ("SCAN 0 COUNT", "ERR syn"),
    )


def test_all_keys_go_at_once_and_none_comes_back(fleet: Fleet, redis: SimulatedRedis) -> None:
    fleet.wait(fleet.put("n1", "elsewhere", b"stays"))
    check(redis, ("SET k v", "OK"), ("SADD s a", 1), ("INCR n", 1), ("DBSIZE", 3), ("FLUSHDB", "OK"))
    check(redis, ("DBSIZE", 0), ("GET k", None), ("SCARD s", 0), ("KEYS *", []), ("RANDOMKEY", None), ("INCR n", 1))
    check(redis, ("SADD s b", 1), ("SMEMBERS s", ["b"]), ("SET k w", "OK"), ("FLUSHALL ASYNC", "OK"), ("GET k", None))
    assert fleet.wait(fleet.get("n2", "elsewhere")).answer.siblings == [b"stays"]  # type: ignore[union-attr]
    check(redis, ("FLUSHDB NOW", "ERR syntax error"))


def test_a_pipeline_overlaps_and_keeps_the_order_of_each_key(redis: SimulatedRedis) -> None:
    redis.send(
        *[["SET", f"k{number % 7}", number] for number in range(200)],
        *[["GET", f"k{number}"] for number in range(7)],
        *[["INCR", "n"]] * 20,
        ["DBSIZE"],
    )
    replies = redis.take(228)
    assert replies[:200] == ["OK"] * 200
    assert replies[200:207] == [str(max(number for number in range(200) if number % 7 == rest)) for rest in range(7)]
    assert replies[207:227] == list(range(1, 21)) and replies[227] == 8


def test_any_node_answers_for_every_key(fleet: Fleet) -> None:
    clients = [SimulatedRedis(fleet, name, name=f"c{name}") for name in fleet.names]
    for number, client in enumerate(clients):
        assert client.ask("SET", f"k{number}", number) == "OK"
    for client in clients:
        assert client.ask("MGET", "k0", "k1", "k2", "k3") == ["0", "1", "2", "3"]


def test_what_a_quorum_lacks_is_said(fleet: Fleet, redis: SimulatedRedis) -> None:
    redis.ask("SET", "k", "v")
    fleet.kill("n2", "n3", "n4")
    for line in ("GET x", "SET k w", "APPEND k x", "MGET k x", "KEYS *"):
        reply = redis.ask(*line.split(), timeout=10.0)
        assert isinstance(reply, RedisError), (line, reply)
        assert str(reply).split()[0] in ("CLUSTERDOWN", "MAYBE", "TRYAGAIN"), (line, reply)


def test_what_is_not_known_is_said(fleet: Fleet, redis: SimulatedRedis) -> None:
    """The other owners have the write, and do not say so: it may still appear."""
    redis.ask("SET", "k", "v")
    fleet.pause("n2", "n3", "n4")
    redis.send(["SET", "a", 1], ["MSET", "b", 1, "c", 2])
    assert [str(reply).split()[0] for reply in redis.take(2, timeout=10.0)] == ["MAYBE", "MAYBE"]


def test_cursors_are_bounded(redis: SimulatedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyspace, "CURSORS_MAX", 2)
    for number in range(20):
        redis.ask("SET", f"k{number}", "v")
    cursors = [redis.ask("SCAN", "0", "COUNT", "2")[0] for _ in range(3)]
    assert isinstance(redis.ask("SCAN", cursors[0]), RedisError)
    assert redis.ask("SCAN", cursors[2])[1]


def test_keys_are_text_and_values_are_bytes(redis: SimulatedRedis) -> None:
    assert "UTF-8" in str(redis.ask("SET", b"\xff\xfe", "v"))
    value = bytes(range(256))
    assert redis.ask("SET", "k\r\n ", value) == "OK"
    assert redis.ask("GET", "k\r\n ").encode("latin-1") == value
