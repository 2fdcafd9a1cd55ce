"""`import cluster` loads nothing, and the blocking client loads no event loop."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cluster


def modules_after(code: str) -> set[str]:
    """The modules that a new interpreter holds after running `code`."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing() -> None:
    assert {name for name in modules_after("import cluster") if name.startswith("cluster")} == {"cluster"}


def test_the_blocking_client_is_light() -> None:
    loaded = modules_after("import cluster; cluster.connect_blocking; import cluster.client.kv")
    heavy = {
        "asyncio",
        "rich",
        "anyio",
        "typer",
        "platformdirs",
        "pathlib",
        "random",
        "concurrent",
        "logging",
        "uvloop",
        "dataclasses",
        "cluster.config",
        "cluster.client.aio",
        "cluster.client.carrier",
    }
    assert loaded & heavy == set()
    assert not [name for name in loaded if name.startswith(("cluster.requests", "cluster.messaging", "cluster.kv"))]


def test_the_names_are_found() -> None:
    assert set(vars(cluster)["__all__"]) <= set(dir(cluster))
    assert all(getattr(cluster, name) is not None for name in vars(cluster)["__all__"])
    with pytest.raises(AttributeError, match="nothing"):
        getattr(cluster, "nothing")  # noqa: B009 - mypy refuses it too


def test_a_type_checker_sees_the_names_that_are_there() -> None:
    """Those of the block for type checkers are those that are loaded, and no `__getattr__` lends others a type."""
    tree = ast.parse(Path(cluster.__file__).read_text(encoding="utf-8"))
    seen: dict[str, str] = {}
    for block in tree.body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for line in block.body:
                assert isinstance(line, ast.ImportFrom) and line.module is not None
                seen |= {alias.asname or "": line.module for alias in line.names}
    assert seen == {name: module for module, names in cluster._WHERE.items() for name in names} | {"errors": "cluster"}
    assert not any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
