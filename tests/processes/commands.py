"""`dsectl` in this process, for tests with real clusters."""

import io
from typing import Any

import msgspec

from cluster.emulator.inspect import process_state
from dsectl.cli.app import invoke


class Done:
    """What one command did."""

    def __init__(self, *words: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.words = words
        self.code = invoke(words, out=out, err=err)
        self.out, self.err = out.getvalue(), err.getvalue()

    def __repr__(self) -> str:
        return f"dsectl {' '.join(self.words)} -> {self.code}\n{self.out}{self.err}"


def dsectl(*words: str, code: int = 0) -> Done:
    """Run a command that must exit with `code`."""
    done = Done(*words)
    assert done.code == code, done
    return done


def ask(*words: str, code: int = 0) -> Any:
    """What a command says under --json."""
    return msgspec.json.decode(dsectl(*words, "--json", code=code).out.splitlines()[-1])


def is_alive(pid: int) -> bool:
    """Whether the process runs, or could; one that only waits to be reaped does not."""
    return process_state(pid) not in ("", "Z")
