"""bucket create, list and show on real nodes: everywhere at once, and still there after a crash of all."""

from typing import Any

from cluster.emulator.home import Home
from tests.processes.commands import Done, ask, dsectl
from tests.processes.fleet import until


def test_a_bucket_is_made_kept_and_named_by_who_lacks_it(home: Home) -> None:
    ask("up", "-n", "3")
    made = ask("bucket", "create", "orders", "--w", "3", "--r", "1")
    assert made["late"] == []
    for name in ("n1", "n2", "n3"):
        assert ask("bucket", "list", "--via", name) == [{key: made[key] for key in ("bucket", *RULES)}]
        assert ask("put", f"orders/{name}", "book", "--via", name)["acks"] == 3
    dsectl("kill", "n1", "n2", "n3")
    dsectl("restart", "--all")
    assert ask("bucket", "show", "orders", "--via", "n2")["w"] == 3
    assert ask("get", "orders/n1", "--via", "n3")["value"] == "book"
    dsectl("kill", "n3")
    assert ask("bucket", "create", "carts")["late"] == ["n3"]
    dsectl("restart", "n3")
    assert [one["bucket"] for one in ask("bucket", "list", "--via", "n3")] == ["carts", "orders"]


RULES = ("resolver", "r", "w", "ttl_s", "emptied")


def test_what_cannot_be_is_refused_with_what_helps(home: Home) -> None:
    ask("up", "-n", "3")
    dsectl("put", "cart/1", "book")
    dsectl("bucket", "create", "orders")
    cases: list[tuple[tuple[str, ...], int, str]] = [
        (("create", "cart"), 2, "there are keys under cart/ already, such as 'cart/1'"),
        (("create", "orders", "--w", "3"), 1, "bucket orders exists, with other options"),
        (("create", "carts", "--w", "4"), 2, "W of bucket carts is 4; it is from 1 to N, which is 3"),
        (("create", "a/b"), 2, "invalid name of a bucket 'a/b'"),
        (("create", "carts", "--resolver", "newest"), 2, "expected siblings or lww"),
        (("create", "carts", "--ttl", "1m"), 2, "a time to live needs resolver lww"),
        (("show", "carts"), 6, "no bucket 'carts'"),
    ]
    for words, code, says in cases:
        done = Done("bucket", *words)
        assert done.code == code and says in done.err and "dsectl bucket list" in done.err, done
    found: Any = ask("bucket", "list")
    assert [one["bucket"] for one in found] == ["orders"]


def test_in_an_lww_bucket_the_last_writer_wins_until_it_expires_or_is_emptied(home: Home) -> None:
    ask("up", "-n", "3")
    ask("bucket", "create", "last", "--resolver", "lww")
    ask("bucket", "create", "short", "--resolver", "lww", "--ttl", "500ms")
    for name in ("n1", "n2", "n3"):
        assert ask("put", "last/k", f"by {name}", "--blind", "--via", name)["siblings"] == 1
    assert ask("get", "last/k")["siblings"] == ["by n3"]
    found = ask("explain", "last/k")
    assert (found["bucket"]["bucket"], found["bucket"]["resolver"]) == ("last", "lww")
    assert found["merge"]["why"] == "all copies are the same" and found["merge"]["held_by"] == found["owners"]
    cells = [replica["cell"] for replica in found["replicas"].values()]
    assert {(cell["kind"], cell["value"], cell["state"]) for cell in cells} == {("value", "by n3", "live")}
    assert "bucket last: lww, R=2 W=2" in dsectl("explain", "last/k").out
    dsectl("delete", "last/k", "--via", "n1")
    assert Done("get", "last/k").code == 6 and ask("explain", "last/k")["replicas"]["n1"]["cell"]["state"] == "deleted"

    ask("put", "short/k", "soon gone")
    assert ask("explain", "short/k")["replicas"]["n1"]["cell"]["expires"]["ends"] > found["merge"]["generation"]["at"]
    until(lambda: Done("get", "short/k").code == 6)
    assert ask("keys")["keys"] == [] and ask("explain", "short/k")["replicas"]["n2"]["cell"]["state"] == "expired"

    for number in range(5):
        dsectl("put", f"last/{number}", "v")
    dsectl("kill", "n1", "n2", "n3")
    dsectl("restart", "--all")
    assert dsectl("bucket", "empty", "last").out == "bucket last is empty\n"
    assert ask("keys")["keys"] == [] and ask("explain", "last/3")["replicas"]["n1"]["cell"]["state"] == "emptied"
    dsectl("put", "last/3", "new")
    dsectl("kill", "n1", "n2", "n3")
    dsectl("restart", "--all")
    assert ask("keys")["keys"] == ["last/3"] and ask("get", "last/3")["value"] == "new"
    assert Done("bucket", "empty", "nope").code == 6
    emptied = {one["bucket"]: one["emptied"] for one in ask("bucket", "list")}
    assert emptied["short"] is None and emptied["last"] > found["merge"]["generation"]["at"]


def test_a_node_with_a_wrong_clock_stamps_nothing(home: Home) -> None:
    ask("up", "-n", "3")
    ask("bucket", "create", "last", "--resolver", "lww")
    dsectl("clock", "n2", "--skew", "5m")
    refused = Done("put", "last/k", "v", "--via", "n2")
    assert refused.code == 7 and "the clock of n2 is 300 s ahead of those of its peers" in refused.err, refused
    assert ask("put", "last/k", "v", "--via", "n1")["outcome"] == "ok"
    assert ask("put", "k", "v", "--via", "n2")["outcome"] == "ok", "what nobody compares by its stamp"
    dsectl("heal")
    assert ask("put", "last/k", "w", "--via", "n2")["outcome"] == "ok"
