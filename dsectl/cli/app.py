"""`dsectl`: from the command line to an exit code.

`invoke(argv)` is the one way to a command, for the process, the shell and recipes alike: it raises nothing but
SystemExit (a signal that ends the process) and prints what went wrong. It loads the module of the command that is asked
for and no other; what a one-shot command imports is most of its latency.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn, TextIO

from cluster.errors import ClusterError, Usage
from dsectl.cli.console import Console
from dsectl.cli.invocation import Invocation, Session, set_current
from dsectl.cli.options import Options, take_options
from dsectl.cli.table import COMMANDS, Entry, lookup, parts_of, similar

EXIT_INTERRUPTED, EXIT_BROKEN_PIPE, EXIT_TERMINATED = 130, 141, 143


def invoke(
    argv: Sequence[str],
    session: Session | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
    *,
    on_ready: Callable[[], None] | None = None,
    is_stopped: Callable[[], bool] | None = None,
) -> int:
    """Carry out one command, given as the words after `dsectl`; returns its exit code.

    `session` keeps connections and contexts between commands; without one they end here. `out` and `err` default to the
    process's streams. A command that goes on calls `on_ready` once it does its work, and ends when `is_stopped` says.
    """
    options = Options()
    console = Console(out or sys.stdout, err or sys.stderr, options)
    invocation = Invocation(options, console, session or Session(), on_ready, is_stopped)
    leave = set_current(invocation)
    try:
        return _guarded(lambda: _run(take_options(argv, options), console), console)
    finally:
        leave()
        if session is None:
            invocation.session.close()


def _guarded(work: Callable[[], int], console: Console) -> int:
    """The exit code of `work`, whatever happens in it."""
    try:
        try:
            return work()
        except ClusterError as error:
            console.error(error)
            return error.exit_code
        except KeyboardInterrupt:
            console.progress("")
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            return EXIT_BROKEN_PIPE
        except Exception as error:
            import traceback

            console.err.write(traceback.format_exc())
            console.error(ClusterError(f"{type(error).__name__}: {error}"))
            return ClusterError.exit_code
    except BrokenPipeError:  # while telling the error
        return EXIT_BROKEN_PIPE


def _run(words: list[str], console: Console) -> int:
    if "--version" in words[:1]:
        from importlib.metadata import version

        number = version("dsectl")
        if console.options.json:
            console.value({"version": number})
        else:
            console.line(f"dsectl {number}")
        return 0
    if not words or words[0] in ("--help", "-h"):
        words = ["help", *words[1:]]
    found = lookup(words)
    if found is None and words[1:2] == ["--help"] and parts_of(words[0]):
        words = ["help", words[0]]
        found = lookup(words)
    if found is None:
        raise unknown(words[0], words[1:])
    entry, named_by = found
    args = words[named_by:]
    if "--help" in args[: args.index("--")] if "--" in args else "--help" in args:
        entry, args = COMMANDS["help"], entry.name.split()
    return _call(entry, args) or 0


def _call(entry: Entry, args: list[str]) -> int | None:
    function = getattr(import_module(entry.module), entry.function)
    if len(args) in entry.plain and not any(word.startswith("-") and word != "-" for word in args):
        result: int | None = function(*args)
        return result
    from dsectl.cli.parsing import run

    return run(entry, function, args)


def unknown(name: str, args: Sequence[str] = ()) -> Usage:
    """The error for a command that does not exist."""
    if name == "watch" and args:
        return Usage("watch shows the cluster, not a key", help=f"`dsectl events --key {args[0]} -f` follows a key.")
    if name.startswith("-"):
        return Usage(f"unknown option {name!r}", help="`dsectl help options` shows the options of all commands.")
    if parts := parts_of(name):
        given = f", not {args[0]!r}" if args else ""
        return Usage(f"{name} needs one of {', '.join(parts)}{given}", help=f"`dsectl help {name}` tells of each.")
    close = similar(name)
    help = f"Did you mean {' or '.join(f'`dsectl {one}`' for one in close)}?" if close else "`dsectl help` lists them."
    return Usage(f"unknown command {name!r}", help=help)


def main() -> NoReturn:
    """The process.

    It leaves without Python's own end. That would make an exit by SIGINT of any code, also of a success, after a Ctrl-C
    that was handled but fell into a piece of source that Python ran (as in making a dataclass), and costs time.
    """
    try:
        code = _process()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    try:
        sys.stderr.flush()
    finally:
        os._exit(code)


def _process() -> int:
    import signal

    signal.signal(signal.SIGTERM, _terminate)
    _prepare_output()
    try:
        code = invoke(sys.argv[1:])
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = EXIT_BROKEN_PIPE
    return code


def _prepare_output() -> None:
    """No character fails to be written; and under PYTHONUNBUFFERED, where Python takes a short write for a whole one, a
    buffer sees to it that a reader who went away is noticed."""
    import io

    if isinstance(sys.stdout.buffer, io.RawIOBase):
        buffer = io.BufferedWriter(sys.stdout.buffer)
        sys.stdout = io.TextIOWrapper(buffer, sys.stdout.encoding, line_buffering=sys.stdout.isatty())
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _terminate(signum: int, frame: object) -> NoReturn:
    raise SystemExit(EXIT_TERMINATED)


def drop_output() -> None:
    """Let the interpreter's last flush go nowhere instead of failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
