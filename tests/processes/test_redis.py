"""The Redis gateway on real processes, with the clients that people use: redis-py, redis-cli, redis-benchmark. Tests
skip what the machine lacks."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Real, real, until

redis = pytest.importorskip("redis")
C = ("-C", "real")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    with real(3, gateway="redis") as running:
        yield running


def client(running: Real, at: str = "n1", **options: Any) -> Any:
    """A client that repeats nothing by itself."""
    host, _, port = running.files.gateways["redis"][at].partition(":")
    never = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    return redis.Redis(
        host=host,
        port=int(port),
        password=running.files.gateway_password,
        decode_responses=True,
        retry=never,
        **options,
    )


def test_redis_py_works_unchanged(three: Real) -> None:
    url = ask("env", *C)
    assert "export REDIS_URL=" in dsectl("env", *C).out
    assert list(url["gateways"]["redis"])[:3] == ["n1", "n2", "n3"]
    with redis.Redis.from_url(three.files.gateway_variables["REDIS_URL"], decode_responses=True) as any_node:
        assert any_node.set("cart", "book", ex=100) and any_node.get("cart") == "book"
        assert 98 <= any_node.ttl("cart") <= 100
        nodes = ask("status", *C)["nodes"]
        assert sum(node["gateways"]["redis"]["clients"] for node in nodes.values()) == 1
    for protocol in (2, 3):
        with client(three, "n2", protocol=protocol) as r:
            assert r.get("cart") == "book"
            assert r.incrby(f"n{protocol}", 5) == 5 and r.sadd(f"s{protocol}", "a", "b") == 2
            assert r.smembers(f"s{protocol}") == {"a", "b"}
            with r.pipeline(transaction=False) as pipe:
                assert pipe.set("a", 1).incr("a").get("a").execute() == [True, 2, "2"]
            with pytest.raises(redis.ResponseError, match="not offered here"):
                r.set("lock", "me", nx=True)
            assert sorted(r.scan_iter(match="n*")) == [f"n{number}" for number in range(2, protocol + 1)]
    assert three.client.kv.get("redis/cart").value == b"book"


def test_channels_are_topics_and_reach_all_nodes(three: Real) -> None:
    with client(three, "n1") as one, client(three, "n3") as other, one.pubsub() as listener:
        listener.psubscribe("news.*")
        assert listener.get_message(timeout=5)["type"] == "psubscribe"
        assert other.publish("news.eu", "hello") == 1
        assert listener.get_message(timeout=5)["data"] == "hello"
        three.client.topics.publish("news.us", b"from dsectl")
        assert listener.get_message(timeout=5)["data"] == "from dsectl"


def test_a_client_that_knows_of_clusters_goes_on_after_a_kill(three: Real) -> None:
    at = three.files.gateways["redis"]["n1"].split(":")
    with redis.RedisCluster(host=at[0], port=int(at[1]), password=three.files.gateway_password) as r:
        assert len(r.get_nodes()) == 3
        assert all(r.set(f"k{number}", number) for number in range(30))
        three.kill("n2")
        until(lambda: three.client.ask("n1", "members")["n2"]["state"] != "alive")
        assert [r.get(f"k{number}") for number in range(30)] == [b"%d" % number for number in range(30)]


def test_counts_and_members_are_exact_while_a_node_is_killed(three: Real) -> None:
    """What was acknowledged is counted once, and what was not, at most once."""
    sure, maybe, added = [0] * 4, [0] * 4, [list[str]() for _ in range(4)]
    stop = threading.Event()

    def work(number: int) -> None:
        connection = None
        turn = 0
        while not stop.is_set():
            turn += 1
            try:
                connection = connection or client(three, ("n1", "n3")[number % 2])
                connection.incr("hits")
                sure[number] += 1
                connection.sadd("seen", f"{number}-{turn}")
                added[number].append(f"{number}-{turn}")
            except (redis.RedisError, OSError):
                maybe[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: min(sure) > 50)
    three.kill("n2")
    before = list(sure)
    until(lambda: all(now > then + 50 for now, then in zip(sure, before, strict=True)))
    three.start("n2")
    stop.set()
    for thread in threads:
        thread.join()
    for node in ("n1", "n2", "n3"):
        with client(three, node) as r:
            assert sum(sure) <= int(r.get("hits")) <= sum(sure) + sum(maybe)
            assert {item for items in added for item in items} <= r.smembers("seen")


def test_ports_stay_and_new_nodes_have_one(three: Real) -> None:
    before = three.files.gateways["redis"]
    assert ask("add", *C)
    after = ask("env", *C)["gateways"]["redis"]
    assert {name: after[name] for name in before} == before and after["n4"] not in before.values()
    with client(three) as r:
        until(lambda: len(r.execute_command("CLUSTER SLOTS")) == 4)
    host, port = after["n4"].split(":")
    with redis.Redis(host=host, port=int(port), password=three.files.gateway_password) as new:
        assert new.set("k", "v") and new.get("k") == b"v"


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
def test_redis_cli(three: Real) -> None:
    host, port = three.files.gateways["redis"]["n1"].split(":")
    environment = {**os.environ, "REDISCLI_AUTH": three.files.gateway_password}

    def cli(*words: str, given: str = "") -> str:
        command = ["redis-cli", "-h", host, "-p", port, *words]
        return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=20).stdout

    assert cli("set", "k", "two words") == "OK\n" and cli("get", "k") == "two words\n"
    assert cli("-3", "sadd", "s", "a") == "1\n" and cli("-3", "smembers", "s") == "a\n"
    assert cli("--scan") == "k\ns\n"
    assert cli("-c", "get", "k") == "two words\n"
    assert cli(given="incr n\nincr n\nget n\n") == "1\n2\n2\n"
    assert "not offered here" in cli("multi")


@pytest.mark.skipif(shutil.which("redis-benchmark") is None, reason="redis-benchmark is not installed")
def test_redis_benchmark(three: Real) -> None:
    host, port = three.files.gateways["redis"]["n1"].split(":")
    command = ["redis-benchmark", "-h", host, "-p", port, "-a", three.files.gateway_password, "-n", "2000", "--csv"]
    tests = ["-t", "ping,set,get,incr,sadd,mset"]
    for more in ([], ["-P", "8"], ["--cluster"]):
        done = subprocess.run([*command, *tests, *more], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "SET" in done.stdout and "rror" not in done.stdout, done.stdout
