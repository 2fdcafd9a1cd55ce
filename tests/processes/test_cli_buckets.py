"""bucket create, list and show on real nodes: everywhere at once, and still there after a crash of all."""

from typing import Any

from cluster.emulator.home import Home
from tests.processes.commands import Done, ask, dsectl


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


RULES = ("resolver", "r", "w", "ttl_s")


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
