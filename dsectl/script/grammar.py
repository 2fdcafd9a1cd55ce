"""One line of the step language as a value. The grammar is that of docs/recipes.md; nothing is carried out here.

A quoted word is never an operator, a path or a sign. A test splits at the rightmost bare operator that has exactly one
value behind it and a bare path before it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.errors import Usage
from dsectl.script.tokens import Word, split
from dsectl.script.values import OPERATORS, Path, looks_like_path, parse_path
from dsectl.ui.units import duration

RESERVED = ("expect", "within", "always", "wait", "stop", "sleep")
ONE_A_LINE = "A step has a line of its own, also in `shell -c`."
QUOTE_IT = " Quote it if it is a value."
MISPLACED = {
    "->": "It comes last, with a variable: `get cart .value -> $x`.",
    "&": "It comes last: `events -f &`.",
    "|": "A pipe is for the shell.",
    **dict.fromkeys((";", "&&", "||"), ONE_A_LINE),
    **dict.fromkeys((">", ">>", "<"), "Files are written by a pipe: `keys | cat > FILE`."),
}
"""What people type where it means nothing, with what they may have meant."""
_JOB = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Command:
    """The words of a command of `dsectl`."""

    words: tuple[Word, ...]

    @property
    def name(self) -> str | None:
        """The first word, when it is written bare."""
        return self.words[0].bare

    @property
    def raw(self) -> str:
        """As it was written."""
        return " ".join(word.raw for word in self.words)


@dataclass(frozen=True)
class Test:
    """`PATH OP value`."""

    path: Path
    operator: str
    value: Word


@dataclass(frozen=True)
class Run:
    """A command; `into` takes what lies at `path` of its result."""

    command: Command
    path: Path | None = None
    into: str | None = None


@dataclass(frozen=True)
class Start:
    """A command that goes on as a job; without a name in the shell only."""

    command: Command
    job: str | None


@dataclass(frozen=True)
class Fails:
    """`! command`: it must fail, with `code` if that is given."""

    command: Command
    code: int | None


@dataclass(frozen=True)
class Expect:
    """The test must hold now, with `seconds` once within that time, or with `always` whenever one looks meanwhile.
    The command may be a word that is the name of a job."""

    command: Command
    test: Test
    seconds: float | None = None
    always: bool = False


@dataclass(frozen=True)
class Wait:
    """Until the job has ended, by itself or because it is stopped (`stop`)."""

    job: str
    stop: bool = False


@dataclass(frozen=True)
class Sleep:
    """Nothing for a while."""

    seconds: float


@dataclass(frozen=True)
class Pipe:
    """The JSON of a command to a command line of `sh`; in the shell only."""

    command: Command
    shell: str


Step = Run | Start | Fails | Expect | Wait | Sleep | Pipe


def parse(line: str, *, shell: bool = False) -> Step | None:
    """The step on a line; None for an empty one. `shell` also allows `command | …` and a bare `&`. Raises Usage."""
    words = split(line)
    if not words:
        return None
    first = words[0].bare or ""
    if first == "expect":
        return Expect(*_test(words[1:], "expect"))
    if first.rstrip(":") in ("within", "always"):
        limit, first = words[1].bare if len(words) > 1 and first[-1] != ":" else None, first.rstrip(":")
        if limit is None or not limit.endswith(":"):
            help = f"`{first} 5s: get cart .value == book`, for example."
            raise Usage(f"{first} needs a duration and a colon", help=help)
        return Expect(*_test(words[2:], f"{first} {limit}"), duration(limit[:-1]), first == "always")
    if first in ("wait", "stop"):
        if len(words) != 2 or words[1].bare is None:
            raise Usage(f"{first} needs the name of one job")
        return Wait(words[1].bare, stop=first == "stop")
    if first == "sleep":
        if len(words) != 2:
            raise Usage("sleep needs one duration", help="`sleep 500ms`; better is `within 5s: …`, which ends early.")
        return Sleep(duration(words[1].text()))
    if first.startswith("!"):
        if first != "!" and not first[1:].isdigit():
            raise Usage(f"invalid {first}: expected ! or !CODE, and a blank", help="`! get k` or `!6 get nothing`.")
        return Fails(_command(words[1:]), int(first[1:]) if first != "!" else None)
    return _command_line(line, words, shell)


def command_at(words: Sequence[Word]) -> int | None:
    """Where the command of a step begins, which may not be there yet; None where no command follows (`wait NAME`)."""
    first = (words[0].bare if words else None) or ""
    if first in ("wait", "stop", "sleep"):
        return None
    if first in ("within", "always"):
        return 2
    return 1 if first == "expect" or first.startswith("!") else 0


def _command_line(line: str, words: list[Word], shell: bool) -> Step:
    if shell:
        for position, word in enumerate(words):
            if word.bare == "|":
                rest = line[word.column + 1 :].strip()
                if not position or not rest:
                    raise Usage("a pipe needs a command on both sides", help="`status | jq .verdict`, for example.")
                return Pipe(_command(words[:position]), rest)
    last = words[-1].bare or ""
    if last.startswith("&"):
        job = last[1:]
        if not job and not shell:
            raise Usage("a job needs a name", help="`subscribe orders.* &listener`, and later `wait listener`.")
        if job and (job in RESERVED or not _JOB.fullmatch(job)):
            raise Usage(f"invalid job name {job}: expected letters, digits, _ or -, and no word of a step")
        return Start(_command(words[:-1]), job or None)
    if len(words) >= 2 and words[-2].bare == "->":
        into, left = words[-1].variable, words[:-2]
        if into is None:
            column = words[-1].column + 1
            raise Usage(f"column {column}: expected a variable after ->", help="Write `-> $name`, as in a shell.")
        if len(left) >= 2 and looks_like_path(left[-1]):
            return Run(_command(left[:-1]), parse_path(left[-1]), into)
        return Run(_command(left), None, into)
    if words[-1].bare == "->":
        raise Usage("-> needs a variable", help="`put cart book .context -> $context`, for example.")
    if len(words) >= 4 and words[-2].bare in OPERATORS and looks_like_path(words[-3]):
        help = f"`expect {' '.join(word.raw for word in words)}`"
        raise Usage("a test begins with expect, within or always", help=help)
    return Run(_command(words))


def _test(words: list[Word], before: str) -> tuple[Command, Test]:
    if len(words) >= 4:
        *source, path, operator, value = words
        if operator.bare in OPERATORS and looks_like_path(path):
            return _command(source), Test(parse_path(path), operator.bare, value)
    example = f"`{before} get cart .value == book`, for example."
    found = next((word for word in reversed(words) if word.bare in OPERATORS), None)
    if found is None:
        raise Usage(f"`{before}` needs a test: PATH OP VALUE", help=f"{example} Operators: {' '.join(OPERATORS)}")
    behind = len(words) - 1 - words.index(found)
    if behind == 0:
        raise Usage(f"{found.raw} needs a value after it", help=example)
    if behind > 1 and (words[-1].bare or "").startswith("&"):
        raise Usage("a test does not run in the background", help="`events -f &` does, for example: a command.")
    if behind > 1:
        help = "Quote a value that has blanks: \"two words\", '[1, 2]'."
        raise Usage(f"{found.raw} has {behind} values after it: expected one", help=help)
    help = f"{example} The path of the whole result is a dot."
    raise Usage(f"{found.raw} needs a command and a path before it", help=help)


def _command(words: list[Word]) -> Command:
    if not words:
        raise Usage("a command is missing", help="`dsectl help` lists the commands.")
    for position, word in enumerate(words):
        bare = word.bare or ""
        if bare in MISPLACED:
            raise Usage(f"column {word.column + 1}: {bare} does not belong here", help=MISPLACED[bare] + QUOTE_IT)
        if bare.endswith(";") and position < len(words) - 1:
            raise Usage(f"column {word.column + len(bare)}: ; does not end a step", help=ONE_A_LINE + QUOTE_IT)
    return Command(tuple(words))
