"""`dsectl`: from the command line to an exit code.

`invoke(argv)` is the one way to a command, for the process, the shell and recipes alike: it raises nothing but
SystemExit (a signal that ends the process) and prints what went wrong. It loads the module of the command that is asked
for and no other; what a one-shot command imports is most of its latency.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NoReturn, TextIO

from cluster.errors import ClusterError, Failed, Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer
from dsectl.cli.invocation import Invocation, Session, set_current
from dsectl.cli.options import Options, take_options
from dsectl.cli.streams import OutputLost, prepare
from dsectl.cli.table import COMMANDS, Entry, lookup, parts_of, similar

HELP = ("--help", "-h")
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
    """The exit code of `work`, whatever happens in it or to its output."""
    code = 0
    try:
        try:
            code = work()
        except ClusterError as error:
            code = error.exit_code
            console.error(error)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
            console.progress("")
        except (BrokenPipeError, OutputLost):
            raise
        except OSError as error:
            code = Failed.exit_code
            console.error(_refused(error))
        except Exception as error:
            code = ClusterError.exit_code
            import traceback

            console.err.write(traceback.format_exc())
            console.error(ClusterError(f"{type(error).__name__}: {error}"))
        console.flush()
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    except OutputLost as error:
        console.lost(error)
        return code or Failed.exit_code
    return code


def _refused(error: OSError) -> ClusterError:
    """An error of the system that nobody expected where it came up."""
    place = f" ({error.filename})" if error.filename else ""
    return Failed(
        f"the system refused: {error.strerror or error}{place}",
        help="The limits and rights of this process, and the room on its disks, are the places to look.",
    )


def _run(words: list[str], console: Console) -> int:
    if "--version" in words[:1]:
        from importlib.metadata import version

        number = version("dsectl")
        if console.options.json:
            console.value({"version": number})
        else:
            console.line(f"dsectl {number}")
        return 0
    if not words or words[0] in HELP:
        words = ["help", *words[1:]]
    found = lookup(words)
    if found is None and words[1:2] and words[1] in HELP and parts_of(words[0]):
        words = ["help", words[0]]
        found = lookup(words)
    if found is None:
        raise unknown(words[0], words[1:])
    entry, named_by = found
    args = words[named_by:]
    if any(word in HELP for word in (args[: args.index("--")] if "--" in args else args)):
        entry, args = COMMANDS["help"], entry.name.split()
    try:
        return _finish(_call(entry, args), console)
    except Usage as error:
        if error.help is Usage.help_text:
            error.help = f"`dsectl help {entry.name}` shows its arguments and options."
        raise


def _finish(result: Answer | Iterator[Answer] | int, console: Console) -> int:
    """Print what a command came to, or what happens while it goes on."""
    if isinstance(result, int):
        return result
    if isinstance(result, Answer):
        return console.answer(result)
    code = 0
    try:
        for answer in result:
            code = console.answer(answer)
            console.flush()
    finally:
        if isinstance(result, Generator):
            result.close()
    return code


def _call(entry: Entry, args: list[str]) -> Any:
    if len(args) in entry.plain and not any(word.startswith("-") and word != "-" for word in args):
        return entry.load()(*args)
    from dsectl.cli.parsing import run

    return run(entry, args)


def unknown(name: str, args: Sequence[str] = ()) -> Usage:
    """The error for a command that does not exist."""
    if name == "watch" and args:
        return Usage("watch shows the cluster, not a key", help=f"`dsectl events --key {args[0]} -f` follows a key.")
    if name.startswith("-"):
        return Usage(f"unknown option {name!r}", help="`dsectl help options` shows the options of all commands.")
    if parts := parts_of(name):
        given = f", not {args[0]!r}" if args else ""
        return Usage(f"{name} needs one of {', '.join(parts)}{given}", help=f"`dsectl help {name}` lists them.")
    close = similar(name)
    help = f"Did you mean {' or '.join(f'`dsectl {one}`' for one in close)}?" if close else "`dsectl help` lists them."
    return Usage(f"unknown command {name!r}", help=help)


def main() -> NoReturn:
    """The process.

    It leaves without Python's own end. That would make an exit by SIGINT of any code, also of a success, after a Ctrl-C
    that was handled but fell into a piece of source that Python ran (as in making a dataclass), and costs time.
    """
    code = EXIT_INTERRUPTED
    try:
        code = _process()
    except KeyboardInterrupt:
        pass
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else ClusterError.exit_code
    except BaseException:
        code = ClusterError.exit_code
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _process() -> int:
    import signal

    prepare()
    sys.unraisablehook = _raise_again
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signum, _terminate)
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    ):  # so that the start, before anything could be undone, is quiet
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return invoke(sys.argv[1:])


def _terminate(signum: int, frame: object) -> NoReturn:
    raise SystemExit(EXIT_TERMINATED)


def _raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """A signal that fell into a place where Python lets no exception through (a finalizer, the lock of a module being
    loaded) would be lost: it is sent again, by another thread, since here it would be lost once more."""
    import _thread
    import signal

    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _thread.start_new_thread(os.kill, (os.getpid(), signal.SIGINT))
    elif isinstance(unraisable.exc_value, SystemExit):
        _thread.start_new_thread(os.kill, (os.getpid(), signal.SIGTERM))
    else:
        sys.__unraisablehook__(unraisable)
