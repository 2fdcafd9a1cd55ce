"""disk, clock and zones, by command, on real nodes: each kind once, and nothing that was acknowledged is lost."""

from pathlib import Path
from typing import Any

import pytest

from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Ledger, Real, real, until

C = ("-C", "real")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def fault(id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in ask("faults", *C) if one["id"] == id)
    return found


def write(fleet: Real, ledger: Ledger, more: int) -> None:
    wanted = len(ledger.acknowledged) + more
    until(lambda: bool(ledger.write(fleet.client)) and len(ledger.acknowledged) >= wanted)


def test_a_slow_disk_delays_what_waits_for_it_until_it_is_healed_also_over_a_restart() -> None:
    with real(3) as fleet:
        until(fleet.settled)
        made = ask("disk", "n1", "--slow", "80ms", *C)
        assert (made["kind"], made["target"], made["nodes"], made["delay_ms"]) == ("disk-slow", "n1", ["n1"], 80.0)
        via = ("--via", "n1", *C)
        slow = ask("put", "cart", "book", *via)
        assert slow["ms"] >= 80, "the log of its coordinator comes first"
        counted = fault(made["id"])
        assert counted["active"] and counted["affected"] >= 1 and list(counted["links"]) == ["n1"]
        assert "delayed" in dsectl("faults", "--active", *C).out
        ask("restart", "n1", *C)
        assert ask("put", "cart", "pen", *via)["ms"] >= 80, "it was read again at boot"
        assert ask("heal", *C)["healed"] == [made["id"]]
        after = fault(made["id"])["affected"]
        ask("put", "cart", "cup", *via)
        assert fault(made["id"])["affected"] == after and ask("faults", "--active", *C) == []


def test_a_full_disk_refuses_undoes_and_keeps_a_node_from_starting() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        until(fleet.settled)
        write(fleet, ledger, 20)
        made = ask("disk", "n1", "--full", *C)
        write(fleet, ledger, 30)
        until(lambda: fault(made["id"])["affected"] > 0)
        assert "its disk is full" in dsectl("health", *C, code=1).out
        refused = dsectl("restart", "n1", *C, code=7)
        assert "Nothing was ended" in refused.err and f"dsectl heal {made['id']}" in refused.err
        ask("heal", made["id"], *C)
        until(lambda: not fleet.ask("n1", "status")["full"])
        until(fleet.settled)
        ask("restart", "n1", *C)
        assert ledger.lost(fleet.client) == []


def test_a_flipped_byte_is_noticed_at_the_next_start_and_the_peers_give_it_back() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        write(fleet, ledger, 50)
        until(fleet.settled)
        done = ask("disk", "n2", "--flip-byte", *C)
        assert done["active"] is False and done["file"].startswith("log/") and done["offset"] >= 16
        assert fault(done["id"])["links"] == {"n2": 1}
        assert ask("status", *C)["verdict"] == "green", "it has not read its log since"
        ask("restart", "n2", *C)
        until(fleet.settled)
        recovering = fleet.events("n2", "owner.recovering")
        assert recovering and done["file"] in recovering[0]["cause"]
        assert ledger.lost(fleet.client) == []


def test_a_wiped_node_starts_under_a_new_id_and_is_completed() -> None:
    ledger = Ledger()
    with real(5) as fleet:
        write(fleet, ledger, 60)
        until(fleet.settled)
        before = fleet.ask("n2", "status")["id"]
        done = ask("disk", "n2", "--wipe", *C)
        assert done["files"] > 0 and fault(done["id"])["links"] == {"n2": done["files"]}
        until(fleet.settled)
        assert fleet.ask("n2", "status")["id"] != before
        assert fleet.events("n2", "owner.recovering") and fleet.events("n2", "owner.complete")
        assert ledger.lost(fleet.client) == []
        write(fleet, ledger, 10)
    with real(1):
        assert "no peer could complete it" in dsectl("disk", "n1", "--wipe", *C, code=1).err


def test_a_wrong_clock_dates_and_stamps_and_loses_nothing() -> None:
    with real(3) as fleet:
        until(fleet.settled)
        made = ask("clock", "n3", "--skew", "1h", *C)
        assert (made["kind"], made["skew_ms"]) == ("clock", 3_600_000.0)
        ask("put", "cart", "book", "--via", "n3", *C)
        until(lambda: all(one["digest"] for one in ask("explain", "cart", *C)["replicas"].values()))
        ahead = {name: one["ahead_s"] for name, one in ask("explain", "cart", *C)["replicas"].items()}
        assert ahead["n3"] == 0.0, "by its own clock it is right"
        assert 3590 < ahead["n1"] < 3610 and 3590 < ahead["n2"] < 3610
        assert "stamped in the future" in dsectl("explain", "cart", *C).out
        ask("put", "cart", "pen", "--blind", "--via", "n1", *C)
        assert "3600 s ahead" in fleet.events("n1", "clock.ahead")[0]["cause"]
        ask("put", "cart", "cup", "--via", "n1", *C)  # it has read both: what is replaced is gone, whatever the stamps
        assert ask("get", "cart", "--via", "n2", *C)["value"] == "cup"
        assert fault(made["id"])["affected"] > 0
        ask("heal", *C)
        behind = ask("clock", "n3", "--skew", "-5m", *C)
        assert (behind["skew_ms"], ask("heal", *C)["healed"]) == (-300_000.0, [behind["id"]])


def test_a_zone_dies_grows_and_nothing_is_lost() -> None:
    ledger = Ledger()
    with real(6, zones=3) as fleet:
        until(fleet.settled)
        nodes = ask("status", *C)["nodes"]
        for row in ask("ring", *C):
            assert sorted(nodes[owner]["zone"] for owner in row["owners"]) == ["z1", "z2", "z3"], row
        write(fleet, ledger, 50)
        until(fleet.settled)
        victims = [name for name, node in nodes.items() if node["zone"] == "z1"]
        assert ask("kill", "--zone", "z1", *C)["nodes"] == victims and len(victims) == 2
        assert ledger.lost(fleet.client, strict=False) == []
        write(fleet, ledger, 20)
        ask("restart", *victims, *C)
        until(fleet.settled)
        joined = ask("add", "--zone", "z2", *C)
        assert joined["nodes"] == ["n7"] and ask("status", *C)["nodes"]["n7"]["zone"] == "z2"
        zones = {name: node["zone"] for name, node in ask("status", *C)["nodes"].items()}
        rows = ask("ring", *C)
        assert any("n7" in row["owners"] for row in rows)
        assert all(len({zones[owner] for owner in row["owners"]}) == 3 for row in rows)
        ask("disk", "n2", "--wipe", *C)  # it is given the chain again, and votes on the next change
        until(lambda: bool(ask("status", *C)["verdict"] == "green"))
        assert ask("add", *C)["nodes"] == ["n8"]
        assert ledger.lost(fleet.client) == []
