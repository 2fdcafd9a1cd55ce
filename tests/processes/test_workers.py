"""Workers as real processes: what they host, what they do to themselves and to nobody else, and that nothing of them
outlives what it belongs to."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

import cluster
from cluster.emulator import cluster as emulator
from cluster.emulator.home import Home, load_cluster
from cluster.emulator.nodelock import process_start
from cluster.emulator.spec import ClusterSpec
from cluster.emulator.workerprocess import LOG_BYTES_MAX
from cluster.errors import ClusterError, NotFound, Usage
from cluster.requests import CallContext, operation, service
from tests.processes.commands import Done, ask, dsectl, is_alive
from tests.processes.conftest import DEADLINE_S, HERE, Eventually


@pytest.fixture
def shop(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, where the service lies; a cluster of two nodes runs."""
    folder = tmp_path / "shop"
    folder.mkdir()
    shutil.copy(HERE / "shop.py", folder)
    monkeypatch.chdir(folder)
    dsectl("up", "-n", "2", "--replication", "2/1/1")
    return folder


def workers() -> dict[str, Any]:
    found: dict[str, Any] = ask("status")["workers"]
    return found


def node_pids() -> dict[str, int]:
    return {name: one["pid"] for name, one in ask("status")["nodes"].items()}


def request(operation: str, *words: str, code: int = 0) -> Any:
    return ask("request", f"shop.{operation}", *words, code=code)


def endpoints(node: str, service: str = "shop") -> dict[str, str]:
    """The state of each endpoint of a service, as one node sees it."""
    found = [one for one in ask("services", "--via", node) if one["service"] == service]
    return {end["endpoint"]: end["state"] for one in found for end in one["endpoints"]}


def test_serve_hosts_copies_and_unserve_leaves_nothing(shop: Path, home: Home, eventually: Eventually) -> None:
    served = ask("serve", "shop:Shop", "--on", "n2", "--copies", "2")
    assert (served["service"], served["version"], served["endpoints"]) == ("shop", 1, ["n2/1", "n2/2"])
    for node in ("n1", "n2"):
        assert endpoints(node) == {"n2/1": "ready", "n2/2": "ready"}, "all nodes know when it returns"
    pids = {one["pid"] for one in workers().values()}
    answered: list[int] = []

    def both_answered() -> bool:
        answered.append(request("who")["reply"]["pid"])
        return set(answered) == pids

    eventually(both_answered, "calls go to both")

    rows = dsectl("request", "shop.count", "--json").out.splitlines()
    assert [msgspec.json.decode(row)["reply"]["pid"] for row in rows[:3]] == [1, 2, 3]
    assert len(request("large")["reply"]["text"]) == 500_000
    with cluster.connect_blocking("default") as client, client.requests.stream("shop.count", {"text": "ever"}) as ever:
        assert sum(isinstance(row, dict) for row, _ in zip(ever, range(20_000), strict=False)) == 20_000
    assert request("who")["attempts"] == 1

    request("say", "text=words of a handler", "--only", "n2/1")
    request("fail", "--only", "n2/1", code=1)
    log = dsectl("logs", "n2/1").out
    assert "words of a handler" in log and "ValueError: out of stock" in log and "Traceback" in log
    path = load_cluster("default").log("n2/1")
    os.truncate(path, LOG_BYTES_MAX + 1)
    eventually(lambda: path.stat().st_size < 1000, "a log that is too long begins anew")
    assert "begun anew" in dsectl("logs", "n2/1").out
    assert "2 workers" in dsectl("ps").out
    assert ask("describe", "shop")["service"] == "shop"

    assert ask("unserve", "shop")["ended"] == ["n2/1", "n2/2"]
    assert endpoints("n1") == {} == endpoints("n2"), "all nodes know when it returns"
    assert workers() == {} and not any(map(is_alive, pids))
    assert not list((home.cluster("default") / "nodes" / "n2" / "workers").iterdir())
    assert request_code("who") == 6, "nobody hosts it"


def faults() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask("faults")
    return found


def request_code(operation: str) -> int:
    return Done("request", f"shop.{operation}", "--json").code


def test_a_worker_harms_itself_and_no_node(shop: Path, eventually: Eventually) -> None:
    nodes = node_pids()
    dsectl("serve", "shop:Shop", "--on", "n1")
    dsectl("serve", "shop.py:Shop", "--on", "n2")
    for word in ("n1/1", "n2/1"):
        assert workers()[word]["state"] == "running"
    request("crash", "--only", "n1/1", code=5)
    eventually(lambda: workers()["n1/1"]["state"] == "stopped", "a worker that crashed is seen to")
    assert request("who")["reply"]["text"] == "n2", "the other goes on"
    assert "logs n1/1" in dsectl("status").out
    assert ask("restart", "n1/1")["restarted"] == ["n1/1"]
    eventually(lambda: endpoints("n2") == {"n1/1": "ready", "n2/1": "ready"}, "it is back")

    request("hoard_more", "--only", "n1/1")
    pid = workers()["n1/1"]["pid"]
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000", "the kernel ends it before a node"

    request("hang", "--only", "n1/1", "--deadline", "300ms", code=5)
    eventually(lambda: endpoints("n2").get("n1/1") == "ejected", "one that hangs is left out")
    assert request("who")["reply"]["text"] == "n2"
    killed = ask("kill", "n1/1")
    assert (killed["kind"], killed["target"], killed["active"]) == ("kill", "n1/1", True)
    assert not is_alive(pid) and node_pids() == nodes
    fault = faults()[-1]
    assert fault["id"] == killed["id"] and fault["links"]["n1->n1/1"] >= 1, "its connection ended"
    assert "dsectl restart n1/1" in dsectl("heal", killed["id"], code=2).err
    dsectl("restart", "n1/1")
    assert not faults()[-1]["active"], "all are back"
    dsectl("kill", "n1/1")
    dsectl("unserve", "n1/1")
    assert [one["active"] for one in faults()] == [False, False], "nobody is there whom it could meet"


def test_a_paused_worker_is_left_out_until_it_goes_on(shop: Path, eventually: Eventually) -> None:
    dsectl("serve", "shop:Shop", "--all")
    dsectl("pause", "n2/1")
    assert workers()["n2/1"]["state"] == "paused"
    eventually(lambda: endpoints("n1").get("n2/1") == "ejected", "silent")
    (fault,) = faults()
    assert (fault["kind"], fault["target"], fault["active"]) == ("pause", "n2/1", True)
    assert fault["links"]["n2->n2/1"] >= 2, "pings"
    assert {request("who")["reply"]["text"] for _ in range(5)} == {"n1"}
    dsectl("resume", "n2/1")
    assert not faults()[0]["active"]
    eventually(lambda: endpoints("n1").get("n2/1") == "ready", "answers")
    running = dsectl("resume", "n2/1", code=1).err
    assert "n2/1 is running" in running and "`dsectl status` shows" in running
    dsectl("pause", "n2/1")
    dsectl("down")
    assert {one["state"] for one in workers().values()} == {"stopped"}


def test_the_workers_of_a_node_end_with_it_and_come_back_with_it(shop: Path, eventually: Eventually) -> None:
    dsectl("serve", "shop:Shop", "--on", "n2")
    (pid,) = [one["pid"] for one in workers().values()]
    os.kill(node_pids()["n2"], signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "its node was killed, by nobody who knows of workers")
    dsectl("restart", "n2")
    eventually(lambda: endpoints("n1") == {"n2/1": "ready"}, "restart brings it back")
    (pid,) = [one["pid"] for one in workers().values()]
    dsectl("kill", "n2")
    assert not is_alive(pid), "as with the host"
    assert "comes back with its node: `dsectl restart n2`" in dsectl("status").out
    dsectl("restart", "n2")
    (pid,) = [one["pid"] for one in workers().values()]
    assert is_alive(pid)
    dsectl("down")
    assert not is_alive(pid)
    dsectl("up")
    (pid,) = [one["pid"] for one in workers().values()]
    eventually(lambda: request_code("who") == 0, "up brings it back as well")
    dsectl("rm", "default", "-y")
    assert not is_alive(pid)


def test_what_a_worker_starts_ends_with_it(shop: Path, eventually: Eventually) -> None:
    dsectl("serve", "shop:Shop", "--on", "n1")
    worker = workers()["n1/1"]["pid"]
    child, program = request("fork")["reply"]["pid"], request("start")["reply"]["pid"]
    twice = request("fork_and_return")["reply"]["pid"]
    eventually(lambda: not is_alive(twice), "a fork that comes back into the loop serves nothing")
    assert {request("who")["reply"]["pid"] for _ in range(5)} == {worker}
    assert is_alive(child) and is_alive(program)
    request("ignore_signals")
    dsectl("unserve", "n1/1", "--wait", "500ms")
    assert not is_alive(worker)
    eventually(lambda: not is_alive(child) and not is_alive(program), "its group")

    dsectl("serve", "shop:Shop", "--on", "n1")
    child = request("fork")["reply"]["pid"]
    os.kill(workers()["n1/1"]["pid"], signal.SIGKILL)
    eventually(lambda: not is_alive(child), "a fork ends with a worker that was killed by whomever")


def test_workers_end_with_the_leash_even_one_that_hangs(
    home: Home, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.chdir(HERE)
    report = emulator.up(ClusterSpec(name="default", nodes=2, replication="2/1/1"), leashed=True)
    dsectl("serve", "shop:Shop", "--all")
    pids = [one["pid"] for one in workers().values()]
    request("hang", "--only", "n1/1", "--deadline", "300ms", code=5)
    dsectl("pause", "n2/1")
    assert report.leash is not None
    report.leash.release()
    eventually(lambda: not any(map(is_alive, pids)), "the leash was let go")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("missing:Shop", "there is no module 'missing'"),
        ("missing.py:Shop", "there is no file missing.py"),
        ("shop:Missing", "It has the service Shop"),
        ("shop:Wish", "is not a service"),
        ("broken:Shop", "SyntaxError"),
        ("raises:Shop", "in prepare"),
        ("untyped:Shop", 'untyped.py", line 4'),
        ("dies:Shop", "ended while it was starting"),
        ("shop", "MODULE:CLASS"),
    ],
)
def test_what_cannot_be_served_is_said_and_leaves_nothing(shop: Path, target: str, said: str) -> None:
    (shop / "broken.py").write_text("class Shop:\n    def\n")
    (shop / "dies.py").write_text("import os\nprint('last words', flush=True)\nos._exit(7)\n")
    (shop / "raises.py").write_text("def prepare():\n    raise OSError('no stock')\n\n\nprepare()\n")
    untyped = "@service()\nclass Shop:\n    @operation()\n    def a(self, x): ...\n"
    (shop / "untyped.py").write_text(f"from cluster import operation, service\n\n\n{untyped}")
    failed = Done("serve", target, "--on", "n1")
    assert failed.code in (1, 2) and said in failed.err, failed
    assert "workerprocess.py" not in failed.err and "loading.py" not in failed.err, "our frames help nobody"
    assert "requests/service.py" not in failed.err, failed
    assert ("Traceback" in failed.err) == (target in ("raises:Shop", "untyped:Shop")), failed
    if target == "dies:Shop":
        assert "last words" in failed.err
    assert workers() == {}


def test_a_changed_file_is_served_anew_and_a_broken_one_waits(shop: Path, eventually: Eventually) -> None:
    dsectl("serve", "shop:Shop", "--on", "n1", "--reload")
    pid = workers()["n1/1"]["pid"]
    began = process_start(pid)
    source = (shop / "shop.py").read_text()
    write(shop / "shop.py", source.replace("Told(os.getpid(), call.node)", "Told(os.getpid(), 'second')"), 1)

    def says(text: str) -> bool:
        done = Done("request", "shop.who", "--json")
        return done.code == 0 and text in done.out

    eventually(lambda: says("second"), "the new code")
    assert (workers()["n1/1"]["pid"], process_start(pid)) == (pid, began), "the same process"
    assert "is gone" not in dsectl("logs", "n1/1").out, "its node is there"
    write(shop / "shop.py", "def broken(", 2)
    eventually(lambda: "waits for the next change" in dsectl("logs", "n1/1").out, "it cannot be imported")
    assert workers()["n1/1"]["state"] == "running"
    assert says("second"), "the version before goes on"
    assert "SyntaxError" in dsectl("logs", "n1/1").out
    write(shop / "shop.py", source.replace("Told(os.getpid(), call.node)", "Told(os.getpid(), 'third')"), 3)
    eventually(lambda: says("third"), "mended")


def test_copies_begin_anew_one_after_another(shop: Path, eventually: Eventually) -> None:
    """So that one of them answers at any time. Their logs say when each drains and when it is back."""
    dsectl("serve", "shop:Shop", "--on", "n1", "--copies", "3", "--reload")
    write(shop / "shop.py", (shop / "shop.py").read_text() + "\n", 1)

    def steps() -> list[tuple[str, str]]:
        lines = [line for number in (1, 2, 3) for line in dsectl("logs", f"n1/{number}").out.splitlines()]
        found = (("drains" if "drains, to" in line else "hosts", line) for line in sorted(lines))
        return [(step, line) for step, line in found if "drains, to" in line or "hosts version" in line]

    eventually(lambda: [step for step, _ in steps()].count("hosts") == 6, "all are back")
    assert [step for step, _ in steps()] == ["hosts"] * 3 + ["drains", "hosts"] * 3, steps()


def write(path: Path, text: str, age: int) -> None:
    """A change that no clock is too coarse for."""
    path.write_text(text)
    os.utime(path, (age, age))


def test_serve_says_what_is_wrong_with_its_arguments(shop: Path, home: Home) -> None:
    assert "--on or --all" in dsectl("serve", "shop:Shop", "--on", "n1", "--all", code=2).err
    assert "no node called 'n9'" in dsectl("serve", "shop:Shop", "--on", "n9", code=6).err
    assert "no worker" in dsectl("unserve", "shop", code=6).err
    assert "no worker" in dsectl("kill", "n1/1", code=6).err
    dsectl("serve", "shop:Shop", "--on", "n1")
    said = dsectl("request", "shop.wait", "seconds=1", "--via", "n1", code=2).err
    assert "NAME:=VALUE" in said and "`dsectl describe shop`" in said
    dsectl("kill", "n1/1")
    assert "`dsectl restart n1/1` starts it" in dsectl("request", "shop.who", "--via", "n1", code=6).err
    dsectl("restart", "n1/1")
    assert "named apart" in dsectl("kill", "n1/1", "n2", code=2).err
    dsectl("kill", "n2")
    assert "node n2 is stopped" in dsectl("serve", "shop:Shop", "--on", "n2", code=1).err
    folder = load_cluster("default").worker("n1/1")
    key = (folder / "key").read_bytes()
    assert key != load_cluster("default").secret and (folder / "key").stat().st_mode & 0o077 == 0


def test_a_program_hosts_a_service_until_it_is_cancelled(shop: Path, eventually: Eventually) -> None:
    """Within a client, over a restart of its node; and it calls others by the context."""

    async def program() -> None:
        async with cluster.connect("default") as client:
            serving = asyncio.ensure_future(client.requests.serve(Front(), on="n2"))
            assert await reply(client, "front.hello", "n1") == "hello n1"
            await asyncio.to_thread(eventually, lambda: endpoints("n1", "front") and endpoints("n2", "front"), "known")
            begun = asyncio.ensure_future(client.requests.call("front.slowly", deadline=5.0))
            await asyncio.sleep(0.1)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert (await begun).reply == {"text": "slowly"}, "what was in flight is finished"

            serving = asyncio.ensure_future(client.requests.serve(Front(), on="n2"))
            assert await reply(client, "front.hello", "n1") == "hello n1"
            await asyncio.to_thread(dsectl, "restart", "n2")
            assert await reply(client, "front.hello", "n1") == "hello n1", "it has dialled its node again"
            serving.cancel()
            with pytest.raises(NotFound):
                await client.requests.serve(Front(), on="n9")
            with pytest.raises(Usage):
                await client.requests.serve(object())

    asyncio.run(program())


async def reply(client: "cluster.Client", operation: str, text: str) -> str:
    """What an operation says, once it can be called."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            found: Any = (await client.requests.call(operation, {"text": text})).reply
        except ClusterError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        else:
            return str(found["text"])


class Text(Struct):
    text: str = ""


@service(name="front", version=1)
class Front:
    """Asks others."""

    @operation(readonly=True)
    async def hello(self, request: Text, call: CallContext) -> Text:
        """Have it echoed, by a call of its own."""
        return Text((await call.call("echo.echo", {"text": f"hello {request.text}"}))["text"])

    @operation()
    async def slowly(self, call: CallContext) -> Text:
        """Take a while."""
        await call.sleep(0.5)
        return Text("slowly")


def test_a_blocking_client_hosts_until_ctrl_c(shop: Path, eventually: Eventually) -> None:
    (shop / "program.py").write_text(
        "import cluster, shop\n"
        "with cluster.connect_blocking('default') as client:\n"
        "    try:\n"
        "        client.requests.serve(shop.Shop(), on='n1')\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
    )
    program = subprocess.Popen([sys.executable, "program.py"])
    try:
        eventually(lambda: request_code("who") == 0, "it is registered")
        assert request("who")["reply"]["pid"] == program.pid
        program.send_signal(signal.SIGINT)
        assert program.wait(DEADLINE_S) == 0
        eventually(lambda: request_code("who") == 6, "it has left")
    finally:
        program.kill()
        program.wait()


def test_a_worker_whose_starter_is_killed_ends(shop: Path, eventually: Eventually) -> None:
    (shop / "late.py").write_text("import time\nfrom shop import Shop\ntime.sleep(1.0)\n")
    starter = subprocess.Popen([sys.executable, "-m", "dsectl", "serve", "late:Shop", "--on", "n1"])
    eventually(lambda: workers().get("n1/1", {}).get("state") == "running", "it is being started")
    pid = workers()["n1/1"]["pid"]
    starter.kill()
    starter.wait()
    eventually(lambda: not is_alive(pid), "nobody would know of it")
    eventually(lambda: endpoints("n2") == {}, "nobody calls it")
    dsectl("restart", "n1/1")
    assert ask("unserve", "n1/1")["ended"] == ["n1/1"]
