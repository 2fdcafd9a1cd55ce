"""The two doors to the Python API, `cluster` and `dsectl`: the same objects, typed, whatever else has the name."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

import cluster
import dsectl
import dsectl.__main__

ROOT = Path(__file__).parent.parent
PROGRAM = """
from collections.abc import AsyncIterator

import cluster
import dsectl
from cluster.requests import Blocking, CallContext, operation, service
from cluster.requests.demo import Echo, Flaky, Text, Whoami, Work


@service(name="prices")
class Prices:
    @operation(readonly=True)
    async def watch(self, request: Text, call: CallContext) -> AsyncIterator[Whoami]:
        yield Whoami(call.node, 0.0)


class EchoNow(Blocking, Echo): ...
class FlakyNow(Blocking, Flaky): ...
class PricesNow(Blocking, Prices): ...


async def main() -> None:
    async with dsectl.connect("default") as c:
        reveal_type(c)  # Client
        reveal_type(await c.kv.put("k", b"v"))  # PutResult
        reveal_type((await c.kv.get("k")).value)  # bytes | None
        reveal_type(await c.kv.keys())  # KeysResult
        reveal_type(await c.topics.publish("a", b"v"))  # PublishResult
        async for message in c.topics.subscribe("a"):
            reveal_type(message)  # TopicMessage
        jobs = c.queues["jobs"]
        reveal_type(await jobs.send(b"v"))  # SendResult
        reveal_type(await jobs.receive(max=10, wait=5))  # Batch
        for leased in await jobs.receive():
            reveal_type(await jobs.ack(leased.receipt))  # ReceiptResult
        async for leased in jobs.consume(concurrency=8):
            reveal_type(leased)  # QueueMessage
        reveal_type(await c.requests.call("echo.echo"))  # CallResult
        echo = c.requests.client(Echo)
        reveal_type(await echo.echo(Text("hi"), deadline=0.5, key="k", only="n2/1", hedge=True))  # Text
        reveal_type(await echo.whoami())  # Whoami
        reveal_type(await c.requests.client(Flaky).work(Work()))  # Worked
        async for row in c.requests.client(Prices).watch(Text("hi")):
            reveal_type(row)  # Whoami
        await echo.echo("hi")  # error: incompatible type "str"; expected "Text"
        await echo.echo(Text("hi"), deadlin=0.5)  # error: did you mean "deadline"?
        await echo.shout(Text("hi"))  # error: has no attribute "shout"
        reveal_type(Echo().echo(request=Text("hi")))  # Text
        reveal_type(await c.admin.members())  # dict[str, Any]


def blocking() -> None:
    with cluster.connect_blocking("default") as c:
        reveal_type(c)  # BlockingCluster
        reveal_type(c.kv.put("k", b"v"))  # PutResult
        reveal_type(c.kv.get("k").siblings)  # list[bytes]
        reveal_type(c.topics.subscribe("a").next(1.0))  # TopicMessage | None
        reveal_type(c.queues["jobs"].receive()[0].body)  # bytes
        reveal_type(c.requests.client(Echo).echo(Text("hi")))  # Struct | None
        reveal_type(c.requests.client(EchoNow).echo(Text("hi"), deadline=0.5))  # Text
        reveal_type(c.requests.client(EchoNow).whoami())  # Whoami
        reveal_type(c.requests.client(FlakyNow).work(Work()))  # Worked
        reveal_type(list(c.requests.client(PricesNow).watch(Text("hi"))))  # list[Whoami]
        c.requests.client(EchoNow).echo("hi")  # error: incompatible type "str"; expected "Text"
        text: str = c.requests.call("echo.echo").reply  # error: Incompatible types in assignment
        reveal_type(c.admin.ring())  # list[dict[str, Any]]
        c.kv.put("k", "v")  # error: incompatible type "str"
        c.kv.putt("k", b"v")  # error: no attribute "putt"
        c.kv.put("k", b"v", blnd=True)  # error: Unexpected keyword argument "blnd"


try:
    blocking()
except cluster.Maybe as error:
    reveal_type(error)  # Maybe
    reveal_type(error.definite)  # bool
except (dsectl.QuorumMissing, cluster.errors.Usage):
    pass
except cluster.Mabye:  # error: no attribute "Mabye"
    pass
except dsectl.Mabye:  # error: no attribute "Mabye"
    pass
cluster.import_module  # error: attribute "import_module"
dsectl.import_module  # error: attribute "import_module"
"""
NAMES: list[str] = vars(cluster)["__all__"]


def checked(folder: Path) -> list[str]:
    """What mypy says of the programs in a folder."""
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-pretty", "--config-file="]
    words += ["--cache-dir", str(ROOT / ".mypy_cache" / "front-door")]
    names = sorted(path.name for path in folder.glob("*.py"))
    done = subprocess.run([*words, *names], cwd=folder, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()


def blocks(page: str) -> list[str]:
    """The Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_a_type_checker_sees_every_name(tmp_path: Path) -> None:
    """What each line of the program says behind `#` is what mypy says of it, and it says nothing else."""
    every = [f"{door}.{name}" for door in ("cluster", "dsectl") for name in NAMES]
    (tmp_path / "program.py").write_text("\n".join([PROGRAM, *every]))
    said: dict[int, str] = {}
    for line in checked(tmp_path):
        if re.match(r"program\.py:\d+: note: (?!Revealed)", line):
            continue  # explains the error above it
        found = re.match(r"program\.py:(\d+): (?:note: Revealed type is \"(.*)\"|(error: .*))", line)
        assert found, line
        said[int(found[1])] = found[3] or re.sub(r"\b[a-z_]+\.", "", found[2])
    for number, line in enumerate(PROGRAM.splitlines(), 1):
        _, _, expected = line.partition("  # ")
        what = said.pop(number, "")
        if expected.startswith("error: "):
            assert what.startswith("error") and expected.removeprefix("error: ") in what, (line, what)
        else:
            assert what == expected, line
    assert said == {}


def test_a_type_checker_takes_what_the_docs_show(tmp_path: Path) -> None:
    for page in ("README.md", "docs/python-api.md", "docs/queues.md"):
        whole = [text for text in blocks(page) if "import cluster" in text]
        assert whole, page
        for number, text in enumerate(whole):
            (tmp_path / f"{Path(page).stem.replace('-', '_')}_{number}.py").write_text(text)
    service, client, handler, forwarder, generator, reader = blocks("docs/services.md")
    services = tmp_path / "services.py"
    services.write_text(
        "\n".join(
            [
                "import cluster",
                "from cluster.requests.demo import Echo, Number, Range",
                service,
                "class Order(Struct):",
                "    id: str",
                "    total: int",
                "async def main() -> None:",
                indent(client, "    "),
                indent(reader, "        "),
                '@service(name="more")',
                "class More:",
                indent(handler + forwarder + generator, "    "),
            ]
        )
    )
    assert checked(tmp_path) == []
    runpy.run_path(str(services))  # and its classes are services


def test_both_doors_lead_to_the_same_objects() -> None:
    assert all(getattr(dsectl, name) is getattr(cluster, name) for name in NAMES)
    assert set(NAMES) <= set(dir(dsectl))
    with pytest.raises(AttributeError, match="Mabye"):
        getattr(dsectl, "Mabye")  # noqa: B009 - mypy refuses it too


def test_importing_either_loads_nothing() -> None:
    code = (
        "import cluster, dsectl, sys; print(*sorted(name for name in sys.modules if name[:6] in ('cluste', 'dsectl')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cluster", "dsectl"]


@pytest.fixture(params=["cluster/__init__.py", "cluster.py", "cluster/other.py"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a `cluster` of its own, whose code is not to run."""
    path = tmp_path / str(request.param)
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise SystemExit('foreign code was run')\n")
    return tmp_path


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)


def test_the_api_names_a_foreign_package_in_its_place(project: Path) -> None:
    (project / "program.py").write_text("import dsectl\ntry:\n    x()\nexcept dsectl.Maybe:\n    pass\n")
    (project / "direct.py").write_text("from dsectl import connect\n")
    if (project / "cluster" / "other.py").exists():  # a folder without __init__.py comes behind any real package
        assert python(project, "direct.py").returncode == 0
        return
    for program in ("program.py", "direct.py"):
        done = python(project, program)
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1 and last.startswith("ImportError: dsectl needs its own package `cluster`"), (
            done.stderr
        )
        assert f"finds {project}/cluster" in last
        assert "foreign code" not in done.stderr


def test_the_command_line_works_beside_a_foreign_package(project: Path) -> None:
    done = python(project, "-m", "dsectl", "help", "exit-codes")
    assert done.returncode == 0 and "broken pipe" in done.stdout, done.stderr


def test_the_command_line_says_when_its_package_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dsectl, "OWN_CLUSTER", str(tmp_path / "cluster"))
    with pytest.raises(SystemExit) as ended:
        dsectl.__main__.main()
    assert ended.value.code == 2
