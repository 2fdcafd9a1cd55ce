"""What the README shows happens: its transcript, and its Python as it would be pasted, also when it is run twice.

What differs from run to run (times, ports, how many copies waited) is left out of the comparison; a line `...` stands
for any lines.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DSECTL = f'#!/bin/sh\nexec "{sys.executable}" -m dsectl "$@"\n'


def blocks(page: str, kind: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(transcript: str) -> list[tuple[str, list[str]]]:
    """Each command line, with the lines that are shown behind it."""
    found: list[tuple[str, list[str]]] = []
    for line in transcript.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def plain(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"(?<!\bn)\b\d+(?:[.:,T-]\d+)*(?:Z|us|ms|s|m)?\b", "#", line)
    line = re.sub(r"^ok-sloppy", "ok", line).replace("  # hint kept for absent owners", "")
    line = re.sub(r"^ok +# looks?: .*(\".*\") at #(?: s)?$", r"ok in the end: \1", line)  # what it saw before the end
    return re.sub(r"\s+", " ", line).strip()


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether what was printed is what is shown; `...` stands for any lines."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(matches(shown[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and plain(shown[0]) == plain(printed[0]) and matches(shown[1:], printed[1:])


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A `dsectl` on the path, and clusters of its own."""
    script = tmp_path / "bin" / "dsectl"
    script.parent.mkdir()
    script.write_text(DSECTL)
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DSECTL_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    yield environment
    run("dsectl rm default --yes", environment, tmp_path)


def run(line: str, environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """The exit code, and what a terminal shows: messages come behind the data."""
    done = subprocess.run(
        ["bash", "-c", line], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (
            ["ok  2 acks through n1  3.8 ms"],
            ["ok-sloppy  2 acks through n1  1 hint kept for absent owners  12 ms"],
            True,
        ),
        (["ok  2 acks through n1  3.8 ms"], ["ok  2 acks through n2  3.8 ms"], False),
        (['ok  9 looks: "suspect" at 0.1 s, "dead" at 1.6 s'], ['ok  1 look: "dead" at 0.1 s'], True),
        (['ok  9 looks: "suspect" at 0.1 s, "dead" at 1.6 s'], ['ok  1 look: "alive" at 0.1 s'], False),
        (["n3          1  n5: 1"], ["n3          1  n4: 1"], False),
        (["f1  kill  n3  2026-11-23T00:56:11.384Z"], ["f1  kill  n3  2027-01-01T10:00:00.000Z"], True),
        (["...", "ready after 0.3 s; x"], ["a", "b", "ready after 12 s; x"], True),
        (["...", "ready after 0.3 s; x"], ["a", "ready after 12 s; y"], False),
        (["one"], ["one", "two"], False),
        (["one", "two"], ["one"], False),
    ],
)
def test_the_comparison(shown: list[str], printed: list[str], same: bool) -> None:
    assert matches(shown, printed) == same


def test_the_transcript_of_the_readme(environment: dict[str, str], tmp_path: Path) -> None:
    (transcript,) = blocks("README.md", "console")
    shown = commands(transcript)
    assert len(shown) >= 8
    for line, lines in shown:
        code, printed = run(line, environment, tmp_path)
        assert code == 0 and matches(lines, printed.splitlines()), f"{line}\nshown: {lines}\nprinted: {printed}"


def test_the_python_of_the_readme_and_of_its_page(environment: dict[str, str], tmp_path: Path) -> None:
    """As pasted, twice: what it prints each time is what stands behind the `print`."""
    programs = [
        *blocks("README.md", "python"),
        *blocks("docs/python-api.md", "python"),
        *blocks("docs/queues.md", "python"),
    ]
    whole = [program for program in programs if "asyncio.run(" in program or "connect_blocking" in program]
    assert len(whole) >= 3 and "asyncio.run(" in whole[0]
    assert run("dsectl up -n 3", environment, tmp_path)[0] == 0
    for program in whole:
        (tmp_path / "program.py").write_text(program)
        expected = re.findall(r"^ *print\(.*\)  # (.+)$", program, re.MULTILINE)
        assert expected, program
        for _ in range(2):
            code, printed = run(f'"{sys.executable}" program.py', environment, tmp_path)
            assert code == 0 and printed.splitlines() == expected, f"{program}\nprinted: {printed}"
