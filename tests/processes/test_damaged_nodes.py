"""One node's damaged files keep only that node down, and the command that the error names brings it back."""

from pathlib import Path

import pytest

from cluster.emulator import nodefiles
from cluster.emulator.home import Home
from cluster.errors import StorageFull
from tests.processes.commands import ask, dsectl
from tests.processes.fleet import until


def damage(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def holds_all(keys: list[str]) -> bool:
    return all(ask("get", key, "--strict")["value"] == f"value of {key}" for key in keys)


@pytest.mark.parametrize("content", [b"garbage", None])
def test_up_starts_the_others_and_names_what_replaces_the_data_of_one(home: Home, content: bytes | None) -> None:
    dsectl("up", "-n", "4")
    keys = [f"key-{number}" for number in range(30)]
    for key in keys:
        assert ask("put", key, f"value of {key}")["outcome"] == "ok"
    dsectl("down")
    folder = home.cluster("default") / "nodes" / "n2"
    damage(folder / "boot.json", content)

    up = ask("up", code=4)
    assert up["error"]["code"] == "damaged" and str(folder / "boot.json") in up["error"]["message"]
    assert "`dsectl restart n2 --replace`" in up["error"]["help"]
    assert [node["state"] for node in up["nodes"].values()].count("stopped") == 1
    assert "--replace" in ask("status")["nodes"]["n2"]["note"]
    until(lambda: ask("status")["verdict"] == "amber")
    until(lambda: holds_all(keys))
    assert ask("restart", "n2", code=4)["error"]["code"] == "damaged"
    assert ask("restart", "--all", code=4)["failed"] == ["n2"]

    before = {path.name for path in folder.iterdir()} - {"lock", "node.log"}
    done = dsectl("restart", "n2", "--replace")
    assert "what it held is in" in done.err
    [aside] = [path for path in folder.iterdir() if path.name.startswith("aside-")]
    assert {path.name for path in aside.iterdir()} == before, "nothing is deleted"
    until(lambda: ask("status")["verdict"] == "green")
    until(lambda: holds_all(keys))
    dsectl("down")
    assert ask("up")["verdict"] == "green"


@pytest.mark.parametrize("content", [b"garbage", None])
def test_a_layout_that_cannot_be_read_is_given_again(home: Home, content: bytes | None) -> None:
    dsectl("up", "-n", "3")
    assert ask("put", "cart", "book")["outcome"] == "ok"
    dsectl("down")
    damage(home.cluster("default") / "nodes" / "n2" / "layout.json", content)
    assert ask("up")["verdict"] == "green"
    assert ask("get", "cart", "--strict")["value"] == "book"


def test_a_node_alone_has_no_peers_to_be_completed_from(home: Home) -> None:
    dsectl("up", "-n", "1")
    assert "alone" in ask("restart", "n1", "--replace", code=1)["error"]["message"]
    assert ask("status")["verdict"] == "green"
    dsectl("down")
    damage(home.cluster("default") / "nodes" / "n1" / "boot.json", b"garbage")
    error = ask("up", code=4)["error"]
    assert "Restore this one file" in error["help"] and "--replace" not in error["help"]


def test_replace_takes_one_node(home: Home) -> None:
    dsectl("up", "-n", "2")
    for words in (["n1", "n2"], ["--all"]):
        assert ask("restart", *words, "--replace", code=2)["error"]["code"] == "usage"
    assert ask("status")["verdict"] == "green"


def test_a_file_of_faults_that_cannot_be_read_stops_no_command(home: Home) -> None:
    dsectl("up", "-n", "3")
    path = home.cluster("default") / "faults.json"
    path.write_bytes(b"garbage")
    assert ask("status")["verdict"] == "green"
    assert "cannot be read" in dsectl("status").err
    assert ask("faults", code=4)["error"]["code"] == "damaged"
    killed = dsectl("kill", "n2")
    assert "set aside" in killed.err
    assert (path.parent / "faults.json.damaged").read_bytes() == b"garbage"
    assert [fault["kind"] for fault in ask("faults")] == ["kill"]
    path.write_bytes(b"garbage")
    dsectl("restart", "n2")
    until(lambda: ask("status")["verdict"] == "green")
    path.write_bytes(b"garbage")
    dsectl("heal")
    assert ask("faults") == []
    cut = ask("partition", "n1", "n2,n3")
    assert [(fault["id"], fault["active"]) for fault in ask("faults")] == [(cut["id"], True)]
    until(lambda: ask("members", "--via", "n1")["n2"]["state"] != "alive")


def test_a_node_that_could_not_be_started_again_is_not_ended(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    dsectl("up", "-n", "2")
    pid = ask("status")["nodes"]["n1"]["pid"]

    def full(path: Path, data: bytes, durable: bool = False) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(nodefiles, "write_new", full)
    error = ask("restart", "n1", code=StorageFull.exit_code)["error"]
    assert error["code"] == "storage-full" and "Nothing was ended" in error["help"]
    assert ask("status")["nodes"]["n1"]["pid"] == pid
