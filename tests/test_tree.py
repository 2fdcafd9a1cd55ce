"""The tree keeps its own rules: what a block may touch, how files are named, that no file is dead.

Each checker is a function over source text, so that the rule itself is tested on text that breaks it. The directions of
imports between blocks are import-linter's part (`pyproject.toml`); docs/decisions/0003-import-linter.md says which rule
is kept where.
"""

import ast
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CODE = ("cluster", "dsectl")
LINES_MAX = 500  # the aim is 80 to 250 and the stop near 400; past this a file is two concepts
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}

# From wire up to node: what these need from the world is passed in as an Env, so that the same code runs simulated.
SEALED = {
    *("wire", "faults", "layout", "versions", "ballot", "observe", "transport", "rpc", "storage"),
    *("membership", "replication", "kv", "messaging", "requests", "gateways", "node"),
}
WORLD = {
    *("time", "random", "socket", "asyncio", "os", "uvloop", "pathlib"),
    *("threading", "uuid", "secrets", "datetime"),
}

# What may stand in the repository's top folder. An archive of 450 KB was once committed there by mistake.
TOP = {
    *(".ci", ".github", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md"),
    *("pyproject.toml", "cluster", "dsectl", "recipes", "tests", "completions", "docs"),
}
FILE_BYTES_MAX = 300_000  # of any tracked file: what is larger is data or a build product
PRODUCTS = {".gz", ".zip", ".whl", ".log", ".tmp", ".bak", ".orig", ".pyc", ".xml"}

# Started by name from outside the code, so that no import of them can be found.
ENTRY_POINTS = {
    "dsectl.cli.app",
    "dsectl.__main__",
    "cluster.__main__",
    "cluster.emulator.workerprocess",
    "cluster.emulator.workerreload",
}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sealed_files() -> list[Path]:
    return [path for path in python_files("cluster") if SEALED.intersection(module_name(path).split(".")[1:2])]


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def imported_names(node: ast.AST) -> list[str]:
    """The modules that an absolute import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def typing_only(tree: ast.AST) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING:` and so never runs."""
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and is_type_checking(node.test)]
    return {inner for guard in guards for statement in guard.body for inner in ast.walk(statement)}


def world_contacts(source: str) -> list[str]:
    """What a sealed module does that it may not: `line: what`. A random generator may be named as a type only."""
    tree = ast.parse(source)
    never_runs = typing_only(tree)
    contacts = []
    for node in ast.walk(tree):
        for name in imported_names(node):
            top = name.partition(".")[0]
            if top in WORLD and not (top == "random" and node in never_runs):
                contacts.append((node.lineno, f"imports {name}"))  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            contacts.append((node.lineno, "calls open()"))
    return [f"{line}: {what}" for line, what in sorted(contacts)]


def mentions(source: str, module: str) -> set[str]:
    """Every dotted name by which `source` may load a module: imports, and strings such as a lazy table holds.

    `module` is the dotted name of the source's package, against which relative imports and strings are resolved.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        found.update(imported_names(node))
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: len(module.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.partition(":")[0]
            found.add(f"{module}{text}" if text.startswith(".") else text)
    return found


def class_names(source: str) -> list[str]:
    """The names of all classes, without the underscore of private ones."""
    return [node.name.lstrip("_") for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


SHARED = {"Offer", "Progress", "Proposal", "Reader", "Run", "Table"}
"""A name of `cluster` that `dsectl` gives to something of its own, too."""


def lacks_docstring(source: str) -> bool:
    tree = ast.parse(source)
    return bool(tree.body) and ast.get_docstring(tree) is None


@pytest.mark.parametrize("path", sealed_files(), ids=module_name)
def test_sealed_blocks_do_not_touch_the_world(path: Path) -> None:
    assert world_contacts(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time", ["1: imports time"]),
        ("import os.path as p, json", ["1: imports os.path"]),
        ("from asyncio import Queue", ["1: imports asyncio"]),
        ("from random import Random", ["1: imports random"]),
        ("def f():\n    from socket import socket", ["2: imports socket"]),
        ("def f(path):\n    return open(path)", ["2: calls open()"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asyncio", ["3: imports asyncio"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random", []),
        ("import typing\nif typing.TYPE_CHECKING:\n    import random", []),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import random", ["4: imports random"]),
        ("from . import time\nfrom .random import pick\nfrom cluster.env import Env\nimport timeit", []),
        ("def f(env):\n    return env.disk.open('log')", []),
    ],
)
def test_the_checker_of_sealed_blocks(source: str, expected: list[str]) -> None:
    assert world_contacts(source) == expected


def test_the_checker_reads_files_as_the_tree_has_them(tmp_path: Path) -> None:
    bad = tmp_path / "probe.py"
    bad.write_text('"""Breaks the rule."""\n\nimport time\n\nNOW = time.time()\n')
    assert world_contacts(bad.read_text(encoding="utf-8")) == ["3: imports time"]


def test_every_module_has_a_docstring() -> None:
    files = python_files(*CODE, "tests")
    assert relative([path for path in files if lacks_docstring(path.read_text(encoding="utf-8"))]) == []


def test_the_checker_of_docstrings() -> None:
    assert lacks_docstring("import json\n")
    assert not lacks_docstring("")
    assert not lacks_docstring('"""Says what it is."""\n')


def test_every_package_is_one() -> None:
    """import-linter does not look into a folder without `__init__.py`, so its contracts would pass unseen."""
    folders = {path.parent for path in python_files(*CODE)}
    assert relative(sorted(folder for folder in folders if not (folder / "__init__.py").exists())) == []


def test_a_class_name_of_cluster_means_one_thing() -> None:
    where: dict[str, list[str]] = {}
    for path in python_files(*CODE):
        for name in class_names(path.read_text(encoding="utf-8")):
            where.setdefault(name, []).append(str(path.relative_to(ROOT)))
    twice = {
        name: paths for name, paths in where.items() if len(paths) > 1 and any("cluster/" in path for path in paths)
    }
    assert {name: paths for name, paths in twice.items() if name not in SHARED} == {}


def test_file_names_say_something() -> None:
    files = python_files(*CODE, "tests")
    assert relative([path for path in files if BANNED_NAMES & {path.stem, path.parent.name}]) == []


def test_files_are_one_concept_long() -> None:
    files = python_files(*CODE)
    assert relative([path for path in files if len(path.read_text(encoding="utf-8").splitlines()) > LINES_MAX]) == []


def test_no_module_is_dead() -> None:
    """Each module is loaded by another one or by a test, is named in a lazy table, or is an entry point."""
    used = set(ENTRY_POINTS)
    for path in python_files(*CODE, "tests"):
        package = ".".join(path.relative_to(ROOT).parent.parts)
        used |= mentions(path.read_text(encoding="utf-8"), package) - {module_name(path)}
    modules = [path for path in python_files(*CODE) if path.name != "__init__.py"]
    assert relative([path for path in modules if module_name(path) not in used]) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import cluster.wire.frames", "cluster.wire.frames"),
        ("from cluster.wire import frames", "cluster.wire.frames"),
        ("from cluster.wire.frames import Frame", "cluster.wire.frames"),
        ("from . import frames", "cluster.wire.frames"),
        ("from .frames import Frame", "cluster.wire.frames"),
        ("from ..layout import owners", "cluster.layout.owners"),
        ("LAZY = {'connect': 'cluster.client.connect:connect'}", "cluster.client.connect"),
        ("TABLE = ['.frames']", "cluster.wire.frames"),
    ],
)
def test_the_checker_of_dead_modules(source: str, expected: str) -> None:
    assert expected in mentions(source, "cluster.wire")


def second_tokenizers(source: str) -> list[int]:
    """The lines that take steps apart: with shlex, or with a pattern that knows both quotation marks."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "shlex":
            found += [node.lineno for alias in node.names if alias.name in ("split", "shlex")]
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("shlex.split", "shlex.shlex"):
            found.append(node.lineno)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
            found += [node.lineno for text in texts if isinstance(text, str) and "'" in text and '"' in text]
    return found


def test_a_second_tokenizer_is_found() -> None:
    assert second_tokenizers("import shlex\nwords = shlex.split(line)\nshown = shlex.quote(word)") == [2]
    assert second_tokenizers("from shlex import split") == [1]
    assert second_tokenizers('import re\nWORDS = re.compile(r"\'[^\']*\'|\\"[^\\"]*\\"|\\S+")') == [2]
    assert second_tokenizers('import re\nPLAIN = re.compile(r"[^\']+")') == []


def test_the_step_language_has_one_tokenizer() -> None:
    files = {path: second_tokenizers(path.read_text(encoding="utf-8")) for path in python_files("dsectl")}
    assert relative([path for path, lines in files.items() if lines]) == ["dsectl/script/tokens.py"]


def test_a_command_line_is_walked_by_one_set_of_rules() -> None:
    """The pattern of an option that is joined to its value stands in the rules, and in no shell's template."""
    files = [path for path in python_files("dsectl") if "--*=*" in path.read_text(encoding="utf-8")]
    assert relative(files) == ["dsectl/cli/completion/grammar.py"]


TRY = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/dsectl demo"
TEST = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && "
    ".venv/bin/pytest -n auto -m untimed && .venv/bin/pytest -n 2 -m timed"
)


@pytest.mark.parametrize("command", [TRY, TEST], ids=["try", "test"])
def test_the_readme_has_the_two_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert TEST in [line.strip() for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()]


def test_the_ci_of_a_public_host_does_the_same() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    assert all("bash .ci/run" in [step.get("run") for step in job["steps"]] for job in jobs.values())
    assert jobs["linux"]["strategy"]["matrix"]["python-version"] == ["3.11", "3.12", "3.13"]
    untried = jobs["macos"].get("continue-on-error", False)
    assert untried == ("macOS is untried" in (ROOT / "README.md").read_text(encoding="utf-8"))


def tracked_files() -> list[Path]:
    """What git tracks; nothing in an unpacked source archive, which has no history."""
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [Path(name) for name in found.stdout.split("\0") if name]


def strays(files: list[Path], size_of: Callable[[Path], int]) -> list[str]:
    """The tracked files that do not belong: at the top of the tree, by their kind, or by their size."""
    return [
        str(file)
        for file in files
        if file.parts[0] not in TOP or file.suffix in PRODUCTS or size_of(file) > FILE_BYTES_MAX
    ]


def test_strays_are_found() -> None:
    sizes = {"cluster/big.py": FILE_BYTES_MAX + 1}
    names = ["cluster/errors.py", "tool-0.2.tar.gz", "notes/today.md", "tests/run.log", "cluster/big.py"]
    found = strays([Path(name) for name in names], lambda file: sizes.get(str(file), 100))
    assert found == ["tool-0.2.tar.gz", "notes/today.md", "tests/run.log", "cluster/big.py"]


def test_nothing_strays_into_the_repository() -> None:
    present = [file for file in tracked_files() if (ROOT / file).exists()]
    assert strays(present, lambda file: (ROOT / file).stat().st_size) == []
