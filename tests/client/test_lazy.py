"""`import cluster` loads nothing, and the blocking client loads no event loop."""

import subprocess
import sys

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
    }
    assert loaded & heavy == set()
    assert not [name for name in loaded if name.startswith(("cluster.requests", "cluster.messaging", "cluster.kv"))]


def test_the_names_are_found() -> None:
    assert set(cluster.__all__) <= set(dir(cluster))
    assert all(getattr(cluster, name) is not None for name in cluster.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        getattr(cluster, "nothing")  # noqa: B009 - mypy refuses it too
