"""What a one-shot command loads, which is most of its latency."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.client.scripts import healthy
from tests.dsectl.conftest import Serve

LIST_MODULES = (
    "import sys; from dsectl.cli.app import invoke; code = invoke(sys.argv[1:]); print(code, *sorted(sys.modules))"
)
HEAVY = (
    *("asyncio", "anyio", "uvloop", "rich", "pydantic", "prompt_toolkit", "typer", "click"),
    *("json", "subprocess", "tempfile", "shutil", "logging", "importlib.metadata", "difflib", "traceback", "pathlib"),
    *("dataclasses", "random", "cluster.config", "cluster.client.aio", "cluster.client.carrier"),
    *("cluster.emulator", "cluster.node", "cluster.requests", "cluster.faults", "platformdirs", "dsectl.load", "hdrh"),
)


def loaded(environment: dict[str, str], *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *words], capture_output=True, text=True, env=environment, check=True
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stderr
    return modules


@pytest.mark.parametrize(
    "words",
    [
        ("get", "k"),
        ("put", "k", "v"),
        ("delete", "k"),
        ("keys",),
        ("publish", "s", "m"),
        ("send", "q", "m"),
        ("receive", "q"),
        ("get", "k", "--json"),
        ("complete", "key", "a"),
    ],
)
def test_a_one_shot_command_loads_no_more_than_it_needs(
    serve: Serve, environment: Callable[[], dict[str, str]], words: tuple[str, ...]
) -> None:
    serve(healthy())
    modules = loaded(environment(), *words)
    assert [name for name in HEAVY if name in modules] == []


def test_options_of_a_command_load_typer_and_nothing_heavier(
    serve: Serve, environment: Callable[[], dict[str, str]]
) -> None:
    serve(healthy())
    modules = loaded(environment(), "get", "k", "--r", "1")
    assert "typer" in modules
    assert [
        name for name in ("asyncio", "anyio", "uvloop", "rich", "pydantic", "prompt_toolkit") if name in modules
    ] == []


def test_a_call_loads_nothing_of_a_node(serve: Serve, environment: Callable[[], dict[str, str]]) -> None:
    serve(healthy())
    modules = loaded(environment(), "request", "echo.echo", "text=hi")
    assert [name for name in ("asyncio", "cluster.requests", "cluster.rpc") if name in modules] == []


def test_looking_at_a_cluster_loads_no_event_loop(environment: Callable[[], dict[str, str]]) -> None:
    modules = loaded(environment(), "ps")
    assert "typer" not in modules, "it was given no option"
    assert [name for name in ("asyncio", "anyio", "uvloop", "rich", "pydantic") if name in modules] == []


def test_the_table_of_commands_loads_no_command() -> None:
    code = "import sys, dsectl.cli.table; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("dsectl.commands.") or name == "typer"] == []


def test_who_starts_nodes_loads_nothing_of_a_running_one() -> None:
    code = "import sys, cluster.emulator.cluster, cluster.emulator.up; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    of_a_node = ("cluster.storage.store", "cluster.storage.recovery", "cluster.env", "cluster.node", "cluster.rpc")
    assert [name for name in of_a_node if name in done.stdout.split()] == []
