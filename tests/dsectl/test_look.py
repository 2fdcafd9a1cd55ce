"""members, ring, explain, events, health, hints: gathered from each node, merged, shown."""

from typing import Any

import msgspec

from cluster.client.vitals import Vitals
from cluster.wire.admin import AdminQuery
from dsectl.commands.status import matrix_lines, status_lines
from dsectl.ui.charts import UNICODE
from dsectl.ui.text import PLAIN
from tests.client.fake_node import Script
from tests.client.scripts import answering
from tests.dsectl.conftest import Run, Serve
from tests.dsectl.snapshot.snapshots import vitals


def saying(said: Vitals) -> Script:
    """A node that answers a look at it with this."""
    return answering(vitals=msgspec.to_builtins(said))


def row(state: str, epoch: int = 1) -> dict[str, Any]:
    return {"state": state, "incarnation": [epoch, 0], "zone": "z1", "address": "127.0.0.1:1", "id": "i"}


def test_members_is_the_view_of_one_node(run: Run, serve: Serve) -> None:
    serve(
        answering(status={"name": "n1"}, members={"n1": row("alive"), "n2": row("dead", 2)}),
        answering(status={"name": "n2"}, members={"n1": row("suspect"), "n2": row("alive")}),
    )
    assert run("members", "--json").json["n2"]["state"] == "dead"
    assert run("members", "--json", "--via", "n2").json["n1"]["state"] == "suspect"
    assert run("members").lines == [
        "as n1 sees it",
        "NODE  STATE  INCARNATION  ZONE  ADDRESS",
        "n1    alive  1.0          z1    127.0.0.1:1",
        "n2    dead   2.0          z1    127.0.0.1:1",
    ]
    assert "\x1b[31mdead\x1b[0m" in run("members", terminal=True).out


def test_the_matrix_leaves_silent_observers_out(run: Run, serve: Serve) -> None:
    serve(
        saying(vitals(sees={"n1": "alive", "n2": "dead"})),
        answering(),
        saying(vitals(sees={"n1": "alive", "n2": "suspect"})),
    )
    found = run("members", "--matrix", "--json").json
    assert found == {"n1": {"n1": "alive", "n2": "dead"}, "n3": {"n1": "alive", "n2": "suspect"}}
    lines = run("members", "--matrix").lines
    assert lines[:2] == ["OBSERVER  n1     n2", "n1        alive  dead"]
    assert lines[-1] == "silent: n2"


def test_a_matrix_that_is_wider_than_the_terminal_has_signs_for_words() -> None:
    sees = {"n1": {f"n{place}": "alive" for place in range(1, 16)} | {"n3": "dead"}}
    signs = ["".join(text for text, _ in line) for line in matrix_lines(sees, ["n2"], 80, UNICODE)]
    assert signs[1].split() == ["n1", "●", "●", "✕", *["●"] * 12] and max(map(len, signs)) <= 80
    assert "✕ dead" in signs[2] and signs[3] == "silent: n2"
    assert "alive" in "".join(text for text, _ in matrix_lines(sees, [], None, UNICODE)[1]), "off a terminal, words"


def test_an_unreachable_cluster(run: Run, serve: Serve) -> None:
    for node in serve():
        node.stop()
    for words in (["members"], ["members", "--matrix"], ["hints"], ["explain", "k"], ["events"], ["keys"], ["ring"]):
        ran = run(*words, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (4, "unreachable"), words
    assert run("health", "--json").json["healthy"] is False


def a_ring(_: object) -> list[dict[str, Any]]:
    return [
        {"partition": 0, "owners": ["n1", "n2"], "fallbacks": ["n3"]},
        {"partition": 1, "owners": ["n2", "n3"], "fallbacks": ["n1"]},
    ]


def test_the_ring(run: Run, serve: Serve) -> None:
    serve(*(answering(ring=a_ring) for _ in range(3)))
    assert run("ring", "--json").json == a_ring(None)
    assert [one["partition"] for one in run("ring", "--node", "n1", "--json").json] == [0]
    assert run("ring", "--partition", "1").lines[1].split() == ["1", "n2", "n3", "n1"]
    assert run("ring").lines[:5] == [
        "2 partitions, 2 owners each, the first one on top",
        "      +0      +8      +16     +24     +32     +40     +48     +56",
        "  0   AB",
        "      BC",
        "",
    ]
    assert run("ring").lines[6].split() == ["A", "n1", "z1", "1", "1", "25.0", "%"]
    assert "\x1b[30;42mA\x1b[0m" in run("ring", terminal=True).out
    assert run("ring", "--partition", "2").code == 2
    assert run("ring", "--node", "n9").code == 6
    assert run("ring", "--node", "n1", "--changes").code == 2


def test_the_changes_of_members(run: Run, serve: Serve) -> None:
    moves = [{"partition": 7, "from": ["n2"], "to": ["n4"]}, {"partition": 9, "from": [], "to": ["n4"]}]
    changed = [{"slot": 2, "layout": 2, "what": "add n4", "state": "done", "moves": moves}]
    serve(answering(changes=changed))
    assert run("ring", "--changes", "--json").json == changed
    lines = run("ring", "--changes").lines
    assert lines[:2] == ["LAYOUT  STATE  COPIES  CHANGE", "     2  done        2  add n4"]
    assert lines[3] == "add n4, done: 2 copies move, from who has - to who has +"
    assert lines[5][6:17] == ".......B..." and lines[6][6:17] == ".......D.D."
    assert [line.split() for line in lines[-2:]] == [["none", "n4", "1", "9"], ["n2", "n4", "1", "7"]]


def sibling(author: str, counter: int, value: bytes | None, size: int | None = None) -> dict[str, Any]:
    at = f"2026-03-01T12:00:0{counter}.000Z"
    return {"value": value, "bytes": len(value or b"") if size is None else size, "author": author,
            "dot": [f"{author}-a.1.0", counter], "at": at}  # fmt: skip


def held(digest: str | None, hints_for: list[str] | None = None, *siblings: dict[str, Any]) -> dict[str, Any]:
    return {
        "bucket": {"bucket": "", "resolver": "siblings", "r": 2, "w": 2, "ttl_s": None},
        "partition": 7,
        "token": "07ff",
        "owners": ["n1", "n2", "n3"],
        "fallbacks": ["n4"],
        "held": None
        if digest is None
        else {
            "clock": {"n1-a.1.0": 3},
            "digest": digest,
            "siblings": list(siblings),
            "siblings_count": len(siblings),
            "cell": None,
            "ahead_s": 0.0,
        },
        "hints_for": hints_for or [],
        "voting": True,
        "steps": [
            {"id": f"n1-1-00000{digest}", "at": "2026-03-01T12:00:00.000Z", "node": "n1", "kind": "k", "cause": "c"}
        ],
    }


def test_explain_merges_what_every_node_holds(run: Run, serve: Serve) -> None:
    serve(
        answering(explain=held("aa")),
        answering(explain=held(None)),
        answering(),
        answering(explain=held("bb", ["n3"])),
    )
    found = run("explain", "cart", "--json").json
    assert (found["partition"], found["token"], found["owners"]) == (7, "07ff", ["n1", "n2", "n3"])
    assert set(found["replicas"]) == {"n1", "n2", "n4"}, "owners that answered, and who else holds a copy"
    assert (found["replicas"]["n1"]["digest"], found["replicas"]["n2"]["digest"]) == ("aa", None)
    assert found["replicas"]["n1"]["clock"] == {"n1-a.1.0": 3}
    assert (found["hints"], found["hints_at"], found["silent"]) == (1, {"n4": ["n3"]}, ["n3"])
    assert len(found["steps"]) == 3
    out = run("explain", "cart", "--key").out
    assert "differs" in out and "no answer" in out and "1 hint waiting: n4 for n3" in out


def test_explain_shows_the_siblings_of_each_replica(run: Run, serve: Serve) -> None:
    book, gone, binary = sibling("n1", 1, b"book"), sibling("n2", 2, None), sibling("n3", 3, b"\xff\x00")
    long = sibling("n1", 4, "aé".encode()[:2], 5000)
    serve(
        answering(explain=held("aa", None, book, gone)),
        answering(explain=held("bb", None, book, binary, long)),
        answering(explain=held(None)),
    )
    replicas = run("explain", "cart", "--json").json["replicas"]
    assert [one["value"] for one in replicas["n1"]["siblings"]] == ["book", None]
    assert [one["value"] for one in replicas["n2"]["siblings"]] == ["book", {"base64": "/wA="}, "a"]
    assert replicas["n1"]["siblings"][0] == {**book, "value": "book"}
    assert (replicas["n1"]["siblings_count"], replicas["n3"]["siblings"]) == (2, [])
    lines = [" ".join(line.split()) for line in run("explain", "cart").lines]
    assert lines[lines.index("4 siblings:") + 2 :][:4] == [
        "n1-a.1.0:1 n1 12:00:01.000 n1 n2 book",
        "n2-a.1.0:2 n2 12:00:02.000 n1 deleted",
        "n3-a.1.0:3 n3 12:00:03.000 n2 2 bytes, not text",
        "n1-a.1.0:4 n1 12:00:04.000 n2 a…",
    ]


def event(node: str, number: int, second: int, kind: str = "member.dead") -> dict[str, Any]:
    at = f"2026-03-01T12:00:{second:02}.000Z"
    return {"id": f"{node}-1-{number:06}", "at": at, "node": node, "kind": kind, "cause": "why", "member": "n9"}


def test_events_are_merged_in_the_order_of_time(run: Run, serve: Serve) -> None:
    serve(answering(events=[event("n1", 1, 1), event("n1", 2, 3)]), answering(events=[event("n2", 1, 2)]), answering())
    assert [one["id"] for one in run("events", "--json").json] == ["n1-1-000001", "n2-1-000001", "n1-1-000002"]
    assert [one["id"] for one in run("events", "--json", "--limit", "2").json] == ["n2-1-000001", "n1-1-000002"]
    assert run("events").lines[1] == "12:00:01.000  n1    member.dead  why  (member=n9)"


def test_events_of_a_node_are_those_that_it_decided_or_that_concern_it(run: Run, serve: Serve) -> None:
    """Which of its kind comes first in a whole cluster depends on how busy the machine is."""
    about_n3 = {**event("n1", 1, 3), "member": "n3"}
    serve(answering(events=[event("n1", 1, 1), about_n3]), answering(events=[event("n2", 1, 2)]), answering())
    assert [one["id"] for one in run("events", "--node", "n3", "--json").json] == [about_n3["id"]]
    assert [one["id"] for one in run("events", "--node", "n2", "--json").json] == ["n2-1-000001"]
    assert run("events", "--node", "n9", "--json").code == 6


def test_filters_of_events_reach_the_nodes(run: Run, serve: Serve) -> None:
    [node] = serve(answering(events=[event("n1", 1, 1)]))
    assert run("events", "--kind", "member", "--key", "k", "--since", "2026-03-01T12:00:00Z").code == 0
    [arguments] = [ask.arguments for ask in node.bodies(AdminQuery) if ask.what == "events"]
    assert (arguments["kind"], arguments["key"], arguments["since"]) == ("member", "k", "2026-03-01T12:00:00Z")
    run("events", "--since", "10s")
    assert isinstance([ask.arguments for ask in node.bodies(AdminQuery) if ask.what == "events"][-1]["since"], float)


def test_events_after_an_event(run: Run, serve: Serve) -> None:
    first, second = serve(
        answering(events=[event("n1", 1, 1), event("n1", 2, 1), event("n1", 3, 4)]),
        answering(events=[event("n2", 1, 2)]),
    )
    found = run("events", "--since", "n1-1-000002", "--json").json
    assert [one["id"] for one in found] == ["n2-1-000001", "n1-1-000003"]
    assert [ask.arguments for ask in second.bodies(AdminQuery) if ask.what == "events"][-1][
        "since"
    ] == "2026-03-01T12:00:01.000Z"
    assert first.bodies(AdminQuery)[0].arguments.get("since") is None
    assert run("events", "--since", "n1-1-000009").code == 6


def test_followed_events_come_once(run: Run, serve: Serve) -> None:
    """The first look shows what is there; the next asks only for what came after it."""
    asked: list[Any] = []

    def events(arguments: dict[str, Any]) -> list[dict[str, Any]]:
        asked.append(arguments.get("since"))
        return [event("n1", 1, 1)] if len(asked) == 1 else [event("n1", len(asked), 2)]

    serve(answering(events=events))
    from dsectl.cli.app import invoke
    from tests.dsectl.conftest import Terminal

    out = Terminal()
    code = invoke(["events", "-f", "--json"], out=out, err=Terminal(), is_stopped=lambda: len(asked) >= 3)
    assert code == 0
    assert [line.split('"')[3] for line in out.getvalue().splitlines()] == ["n1-1-000001", "n1-1-000002", "n1-1-000003"]
    assert asked == [None, "n1-1-000001", "n1-1-000002"]


def test_health_exits_with_1_unless_all_are_well(run: Run, serve: Serve) -> None:
    serve(saying(vitals()), saying(vitals(problems=["cannot reach n9"])), answering())
    ran = run("health", "--json")
    assert ran.code == 1
    assert ran.json["nodes"]["n1"] == {"healthy": True, "reasons": [], "may_have_lost": [], "draining": False}
    assert ran.json["nodes"]["n2"] == {
        "healthy": False,
        "reasons": ["cannot reach n9"],
        "may_have_lost": [],
        "draining": False,
    }
    assert ran.json["nodes"]["n3"]["healthy"] is False
    assert "cannot reach n9" in run("health").out


def test_health_of_a_well_cluster(run: Run, serve: Serve) -> None:
    serve(saying(vitals()))
    ran = run("health")
    assert (ran.code, ran.lines) == (0, ["NODE  HEALTH", "n1    healthy"])


def test_gateways_and_their_clients_are_shown(run: Run, serve: Serve) -> None:
    def with_clients(number: int) -> Vitals:
        redis = {"port": 6378 + number, "shared": 6000, "clients": number, "places": 1024 - number}
        return msgspec.structs.replace(vitals(), gateways={"redis": redis})

    serve(saying(with_clients(1)), saying(with_clients(2)), answering())
    assert run("health", "--json").json["nodes"]["n2"]["gateways"]["redis"]["clients"] == 2
    assert [line.split()[2:4] for line in run("health").lines[1:3]] == [["redis", "1"], ["redis", "2"]]


def test_status_shows_gateways_below_the_nodes() -> None:
    def node(number: int) -> dict[str, Any]:
        redis = {"port": 6378 + number, "shared": 6000, "clients": number, "places": 9}
        return {
            "state": "running",
            "zone": "z1",
            "port": 1,
            "pid": 1,
            "rss_mb": 1.0,
            "note": "",
            "gateways": {"redis": redis},
        }

    shown = {"cluster": "c", "verdict": "green", "reason": "", "nodes": {"n1": node(1), "n2": node(2)}}
    assert status_lines(shown, PLAIN, None)[-3:] == [
        "",
        "GATEWAY  PORT  CLIENTS  AT EACH NODE",
        "redis    6000        3  n1:6379 (1)  n2:6380 (2)",
    ]


def test_hints_are_summed(run: Run, serve: Serve) -> None:
    serve(
        saying(vitals(hints={"n3": 2, "n2": 1})),
        saying(vitals(hints={"n3": 1})),
        answering(),
    )
    found = run("hints", "--json").json
    assert (found["pending"], found["by_target"], found["silent"]) == (4, {"n3": 3, "n2": 1}, ["n3"])
    ran = run("hints")
    assert ran.lines[0] == "4 copies wait for absent owners"
    assert ran.lines[4].split() == ["n3", "3", "n1:", "2,", "n2:", "1"]
    assert "no answer from n3" in ran.err


COMPLETE: dict[str, Any] = {
    "recovering": [], "cause": "", "waits_for": {}, "failing": {}, "running": 0, "may_have_lost": [], "help": "",
    "equal": {"unverified": 0, "comparing": 0, "compared": 10, "repaired": 0, "differences": 0},
    "deleted": {"left": 0, "collected": 0, "waits": ""},
}  # fmt: skip


def test_repair_says_who_lacks_what_and_for_whom_it_waits(run: Run, serve: Serve) -> None:
    lacking = {
        **COMPLETE, "recovering": [3, 7], "cause": "its log was gone", "waits_for": {"n3": 2}, "help": "`dsectl …`",
    }  # fmt: skip
    lost = {**COMPLETE, "may_have_lost": ["writes to partitions [7] that only this node held may be lost: damage"]}
    serve(answering(repair=lacking), answering(repair=lost), answering())
    assert run("repair", "--status", "--json").json == {"nodes": {"n1": lacking, "n2": lost}, "silent": ["n3"]}
    assert run("repair", "--status").lines == [
        "NODE  COMPLETE                              EQUAL  WAITS FOR",
        "n1    lacks 2 partitions: its log was gone  yes    n3 (2 partitions)",
        "n2    yes                                   yes",
        "n1: `dsectl …`",
        "n2: writes to partitions [7] that only this node held may be lost: damage",
    ]
    assert run("repair", "n2", "--status", "--json").json == {"nodes": {"n2": lost}, "silent": []}


def test_repair_counts_tombstones(run: Run, serve: Serve) -> None:
    deleted = {"left": 1, "collected": 20, "waits": ""}
    serve(answering(repair={**COMPLETE, "deleted": deleted}))
    assert "yes, 1 tombstone left, 20 tombstones collected" in run("repair", "--status").lines[1]


def test_repair_compares_everything_and_counts_what_it_repaired(run: Run, serve: Serve) -> None:
    states = [
        {"unverified": left, "comparing": 0, "compared": 9, "repaired": done, "differences": 0}
        for left, done in ((0, 4), (2, 4), (0, 7))
    ]

    def repair(arguments: dict[str, Any]) -> dict[str, Any]:
        return {**COMPLETE, "equal": dict(states.pop(0) if len(states) > 1 else states[0])}

    serve(answering(repair=repair, compare={}))
    assert run("repair", "--json").json["nodes"]["n1"]["equal"]["repaired"] == 3


def test_repair_that_is_not_over_in_time(run: Run, serve: Serve) -> None:
    serve(answering(repair={**COMPLETE, "equal": {**COMPLETE["equal"], "unverified": 5}}, compare={}))
    ran = run("repair", "--wait", "100ms")
    assert ran.code == 5 and "n1 (5 partitions)" in ran.err


def test_accept_loss_says_without_whom_and_for_which_partitions(run: Run, serve: Serve) -> None:
    serve(answering(**{"accept-loss": {"owners": ["n3"], "partitions": [3, 7]}}))
    assert run("repair", "n1", "--accept-loss").lines == ["n1 goes on without n3, for 2 partitions: 3 7"]
    assert run("repair", "n1", "--accept-loss", "--json").json["owners"] == ["n3"]


def test_accept_loss_when_nobody_is_waited_for(run: Run, serve: Serve) -> None:
    serve(answering(**{"accept-loss": {"owners": [], "partitions": []}}))
    failed = run("repair", "n1", "--accept-loss")
    assert failed.code == 1 and "waits for no owner" in failed.err
    assert run("repair", "--accept-loss").code == 2, "of which node?"


def register(author: str, milliseconds: int, value: bytes | None, **fields: Any) -> dict[str, Any]:
    at, stamp = f"2026-03-01T12:00:00.{milliseconds:03}Z", milliseconds << 16
    generation = {"author": author, "dot": [f"{author}-a.1.0", 1], "at": at, "stamp": stamp}
    return {"kind": "" if value is None else "value", "state": "deleted" if value is None else "live",
            "generation": generation, "value": value, "bytes": len(value or b""), "number": None, "counts": {},
            "items": [], "items_count": 0, "expires": None} | fields  # fmt: skip


def held_cell(digest: str, cell: dict[str, Any]) -> dict[str, Any]:
    answer = held(digest)
    answer["held"] = {**answer["held"], "cell": cell}
    answer["bucket"] = {"bucket": "last", "resolver": "lww", "r": 2, "w": 3, "ttl_s": 90.0}
    return answer


def test_explain_shows_what_a_merge_of_registers_chooses(run: Run, serve: Serve) -> None:
    ends = {"author": "n3", "dot": ["n3-a.1.0", 2], "at": "x", "stamp": 1, "ends": "2026-03-01T12:01:30.007Z"}
    serve(
        answering(explain=held_cell("aa", register("n1", 5, b"old"))),
        answering(explain=held_cell("bb", register("n3", 7, b"new", expires=ends))),
        answering(explain=held_cell("cc", register("n2", 6, None))),
    )
    found = run("explain", "last/k", "--json").json
    assert found["bucket"]["resolver"] == "lww" and found["replicas"]["n1"]["cell"]["value"] == "old"
    merge = found["merge"]
    assert (merge["why"], merge["held_by"], merge["generation"]["author"]) == ("the greatest stamp wins", ["n2"], "n3")
    assert [event["author"] for event in merge["lost"]] == ["n1", "n2"]
    lines = [" ".join(line.split()) for line in run("explain", "last/k").lines]
    assert "bucket last: lww, R=2 W=3, expires after 1.5m" in lines
    assert lines[lines.index("CELL STAMP AUTHOR ENDS HELD BY VALUE") :][1:5] == [
        "value 12:00:00.007 n3 12:01:30.007 n2 new",
        "deleted 12:00:00.006 n2 n3",
        "value 12:00:00.005 n1 n1 old",
        "a merge: the greatest stamp wins: n3 at 12:00:00.007, over n1 at 12:00:00.005, n2 at 12:00:00.006",
    ]


def test_explain_shows_what_counters_and_sets_are_made_of(run: Run, serve: Serve) -> None:
    none: dict[str, Any] = {"generation": None, "value": None}
    counts = {"n1-a.1.0": 3, "n2-a.1.0": -1}
    items = [f"item-{number}".encode() for number in range(10)]
    serve(
        answering(explain=held_cell("aa", register("n1", 1, b"", kind="counter", number=2, counts=counts) | none)),
        answering(explain=held_cell("bb", register("n1", 1, b"", kind="set", items=items, items_count=300) | none)),
    )
    lines = [" ".join(line.split()) for line in run("explain", "last/k").lines]
    assert "counter n1 2 (n1-a.1.0:+3 n2-a.1.0:-1)" in lines and "a merge: all copies are joined" in lines
    [items_line] = [line for line in lines if line.startswith("set n2 300 items: item-0, item-1")]
    assert items_line.endswith("item-7 and 292 more")
