"""kill, restart, pause, resume, partition, slow, heal, faults: real signals and real packets, with receipts."""

from typing import Any

import pytest

from cluster.emulator.genesis import create
from cluster.emulator.home import Home
from cluster.emulator.spec import ClusterSpec
from tests.processes.commands import Done, ask, dsectl, is_alive
from tests.processes.conftest import Eventually


@pytest.fixture
def five(home: Home) -> dict[str, Any]:
    """A cluster of five nodes in three zones."""
    found: dict[str, Any] = ask("up", "-n", "5", "--zones", "3")
    return found


def states() -> dict[str, str]:
    return {name: node["state"] for name, node in ask("status")["nodes"].items()}


def fault(id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in ask("faults") if one["id"] == id)
    return found


def test_kill_and_restart(five: dict[str, Any], eventually: Eventually) -> None:
    dsectl("put", "cart", "book")
    victim = ask("explain", "cart")["owners"][0]
    pid = five["nodes"][victim]["pid"]

    killed = ask("kill", victim)
    assert (killed["kind"], killed["target"], killed["nodes"], killed["active"]) == ("kill", victim, [victim], True)
    assert killed["at"].endswith("Z")
    assert not is_alive(pid), "a real process, and it is gone"
    assert states()[victim] == "stopped"
    assert ask("status")["verdict"] == "amber"
    witness = next(name for name in five["nodes"] if name != victim)
    eventually(lambda: ask("members", "--via", witness)[victim]["state"] == "dead", "the others know")
    eventually(lambda: fault(killed["id"])["affected"] > 0, "survivors count it")
    assert victim not in ask("members", "--matrix")
    assert ask("health", code=1)["nodes"][victim]["healthy"] is False

    assert f"node {victim} is stopped" in dsectl("kill", victim, code=1).err
    assert ask("put", "cart", "book,pen")["outcome"] in ("ok", "ok-sloppy")
    eventually(lambda: ask("explain", "cart")["hints"] >= 1, "a hint waits")
    assert ask("hints")["by_target"] == {victim: 1}

    restarted = ask("restart", victim)
    assert restarted["restarted"] == [victim] and restarted["at"] > killed["at"]
    assert all(row[victim] == "alive" for row in ask("members", "--matrix").values())
    assert fault(killed["id"])["active"] is False
    eventually(lambda: ask("hints")["pending"] == 0, "the hint is delivered")
    assert ask("get", "cart", "--only", victim)["value"] == "book,pen"
    digests = {one["digest"] for one in ask("explain", "cart")["replicas"].values()}
    assert len(digests) == 1 and None not in digests
    eventually(lambda: ask("status")["verdict"] == "green", "all owners vote")
    kinds = {event["kind"] for event in ask("events", "--since", killed["at"])}
    assert "member.dead" in kinds and "hint.delivered" in kinds


def test_pause_and_resume(five: dict[str, Any], eventually: Eventually) -> None:
    paused = ask("pause", "n2", "n3")
    assert paused["nodes"] == ["n2", "n3"]
    assert [states()[name] for name in ("n1", "n2", "n3")] == ["running", "paused", "paused"]
    assert "`dsectl resume n2`" in dsectl("pause", "n2", code=1).err
    eventually(lambda: fault(paused["id"])["affected"] > 0, "the others count it")
    assert ask("resume", "n2")["resumed"] == ["n2"]
    assert fault(paused["id"])["active"] is True, "n3 still is"
    ask("resume", "n3")
    assert fault(paused["id"])["active"] is False
    assert "not paused but running" in dsectl("resume", "n2", code=1).err
    eventually(lambda: set(states().values()) == {"running"}, "both have caught up")
    eventually(
        lambda: all(set(row.values()) == {"alive"} for row in ask("members", "--matrix").values()), "all is well"
    )


def test_partition_and_heal(five: dict[str, Any], eventually: Eventually) -> None:
    made = ask("partition", "n1,n2", "rest")
    assert (made["kind"], made["target"]) == ("partition", "n1,n2 | n3,n4,n5")
    eventually(lambda: ask("members", "--via", "n1")["n3"]["state"] == "dead", "n1 does without n3")
    eventually(lambda: ask("members", "--via", "n3")["n1"]["state"] == "dead", "n3 does without n1")
    assert ask("members", "--via", "n1")["n2"]["state"] == "alive"
    assert ask("status", "--via", "n1")["verdict"] == "red", "two of five cannot serve every key"

    found = fault(made["id"])
    assert found["active"] and found["affected"] == sum(found["links"].values()) > 0
    assert "n1->n2" not in found["links"] and "n1->n3" in found["links"]
    line = next(line for line in dsectl("faults", "--active").out.splitlines() if line.startswith(made["id"]))
    assert "dropped" in line

    healed = ask("heal")
    assert healed["healed"] == [made["id"]] and healed["at"] > made["at"]
    assert ask("heal")["healed"] == []
    assert ask("faults", "--active") == []
    eventually(lambda: all(set(row.values()) == {"alive"} for row in ask("members", "--matrix").values()), "they meet")
    eventually(lambda: ask("status")["verdict"] == "green", "all owners vote")


def test_both_sides_of_a_partition_take_writes_and_nothing_is_lost(
    five: dict[str, Any], eventually: Eventually
) -> None:
    dsectl("partition", "n1,n2", "rest")
    for node, value in (("n1", "here"), ("n3", "there")):
        eventually(lambda node=node, value=value: _written(node, value), f"{node} takes the write")  # type: ignore[misc]
    dsectl("heal")
    eventually(lambda: set(ask("get", "cart")["siblings"]) == {"here", "there"}, "both are there")
    dsectl("put", "cart", "both")
    eventually(lambda: ask("get", "cart")["value"] == "both", "the put replaced them")


def _written(node: str, value: str) -> bool:
    return Done("put", "cart", value, "--blind", "--via", node).code == 0


def test_a_slow_link(five: dict[str, Any], eventually: Eventually) -> None:
    made = ask("slow", "all", "all", "--delay", "40ms", "--jitter", "5ms")
    assert (made["source"], made["target"], made["delay_ms"], made["jitter_ms"]) == ("all", "all -> all", 40.0, 5.0)
    assert ask("put", "k", "v", "--blind")["ms"] > 60, "there and back"
    assert fault(made["id"])["affected"] > 0
    assert dsectl("heal", made["id"]).out.startswith(f"healed  {made['id']}  slow  all -> all  delay 40ms ± 5ms")
    eventually(lambda: ask("put", "k", "v", "--blind")["ms"] < 60, "the link is quick again")


def test_a_fault_without_effect_is_reported_as_such(five: dict[str, Any]) -> None:
    made = ask("slow", "n1", "n2", "--rate", "1GiB")
    dsectl("heal")
    found = fault(made["id"])
    assert found["affected"] == sum(found["links"].values())
    if not found["affected"]:
        assert "no effect" in dsectl("faults").out


def test_a_zone_is_killed_and_everything_comes_back(five: dict[str, Any]) -> None:
    killed = ask("kill", "--zone", "z2")
    assert killed["nodes"] == ["n2", "n5"]
    assert "no node of zone z2 runs" in dsectl("kill", "--zone", "z2", code=1).err
    assert ask("get", "nothing", code=6)["error"]["code"] == "not-found"
    victim = ask("kill", "--random")["nodes"]
    assert victim[0] in ("n1", "n3", "n4")
    assert sorted(ask("restart", "--all")["restarted"]) == sorted(["n2", "n5", *victim])
    assert ask("restart", "--all")["restarted"] == []
    assert all(set(row.values()) == {"alive"} for row in ask("members", "--matrix").values())


def test_a_restarted_node_is_known_with_all_that_it_offers(five: dict[str, Any]) -> None:
    """No wait between `restart` and a call of the endpoint on that node, whichever node takes the call."""
    for via in ("n1", "n2", "n5"):
        dsectl("kill", "n4")
        dsectl("restart", "n4")
        called = ask("request", "flaky.work", "--only", "n4", "--via", via)
        assert (called["node"], called["attempts"]) == ("n4", 1)
    dsectl("kill", "n1", "n2", "n3", "n4", "n5")
    dsectl("restart", "--all")
    for via, only in [("n1", "n5"), ("n5", "n1"), ("n2", "n3")]:
        assert ask("request", "flaky.work", "--only", only, "--via", via)["node"] == only


def test_a_node_can_be_restarted_behind_a_partition(five: dict[str, Any]) -> None:
    """Those that cannot hear it are not waited for."""
    dsectl("partition", "n1", "rest")
    dsectl("kill", "n1")
    assert ask("restart", "n1", "--wait", "10s")["restarted"] == ["n1"]
    assert states()["n1"] != "stopped"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("kill n9", 6, "no node called 'n9'"),
        ("kill n1,n2", 2, "`n1 n2`"),
        ("kill", 2, "kill needs nodes"),
        ("kill n1 --random", 2, "kill needs nodes"),
        ("kill --zone z9", 6, "no zone 'z9'"),
        ("restart", 2, "restart needs nodes"),
        ("restart n9", 6, "no node called 'n9'"),
        ("pause", 2, "pause needs"),
        ("resume n9", 6, "no node called 'n9'"),
        ("partition n1", 2, "two groups"),
        ("partition n1 n1", 2, "named twice"),
        ("partition n1 n9", 6, "no node called 'n9'"),
        ("partition n1 rest rest", 2, "one group only"),
        ("partition n1,n2,n3,n4,n5 rest", 2, "a group is empty"),
        ("slow n1 n2", 2, "at least one of"),
        ("slow n1 n1 --delay 1s", 2, "no link to itself"),
        ("slow n1 n9 --delay 1s", 6, "no node called 'n9'"),
        ("slow n1 n2 --loss 2", 2, "invalid probability"),
        ("slow n1 n2 --delay 5", 2, "did you mean 5s"),
        ("heal f99", 6, "unknown fault 'f99'"),
    ],
)
def test_what_is_refused_changes_nothing(home: Home, words: str, code: int, said: str) -> None:
    create(home, ClusterSpec(name="default", nodes=5).resolved())
    done = dsectl(*words.split(), code=code)
    assert said in done.err and "help: " in done.err
    assert ask("faults") == []
