"""`dsectl`: from the command line to an exit code.

`invoke(argv)` is the one way to a command, for the process, the shell and recipes alike: it raises nothing but
SystemExit (a signal that ends the process) and prints what went wrong. It loads the module of the command that is asked
for and no other; what a one-shot command imports is most of its latency.
"""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from typing import NoReturn, TextIO

from cluster.errors import ClusterError, Failed, Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, Entry
from dsectl.cli.invocation import Invocation, Session, set_current
from dsectl.cli.options import Options, take_options
from dsectl.cli.options import similar as similar_options
from dsectl.cli.streams import OutputLost, prepare
from dsectl.cli.table import AT_THE_PROMPT, COMMANDS, lookup, parts_of, similar, similar_parts

HELP = ("--help", "-h")
EXIT_INTERRUPTED, EXIT_BROKEN_PIPE, EXIT_TERMINATED = 130, 141, 143


def invoke(
    argv: Sequence[str],
    session: Session | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
    *,
    on_ready: Callable[[], None] = lambda: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Carry out one command, given as the words after `dsectl`; returns its exit code.

    `session` keeps connections and contexts between commands; without one they end here. `out` and `err` default to the
    process's streams. A command that goes on calls `on_ready` once it does its work, and ends when `is_stopped` says.
    """
    options = Options()
    console = Console(out or sys.stdout, err or sys.stderr, options)
    invocation = Invocation(options, console, session or Session(), on_ready, is_stopped)
    leave = set_current(invocation)
    code = 0
    try:
        try:
            code = _run(take_options(argv, options), console)
        except ClusterError as error:
            code = error.exit_code
            console.error(error)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
            console.progress("")
        except (BrokenPipeError, OutputLost):
            raise
        except OSError as error:  # of the system, where nobody expected one
            code = Failed.exit_code
            place = f" ({error.filename})" if error.filename else ""
            help = "The limits and rights of this process, and the room on its disks, are the places to look."
            console.error(Failed(f"the system refused: {error.strerror or error}{place}", help=help))
        except Exception as error:
            code = ClusterError.exit_code
            import traceback

            console.err.write(traceback.format_exc())
            console.error(ClusterError(f"{type(error).__name__}: {error}"))
        console.flush()
    except BrokenPipeError:
        code = EXIT_BROKEN_PIPE
    except OutputLost as error:
        console.lost(error)
        code = code or Failed.exit_code
    finally:
        leave()
        if session is None:
            invocation.session.close()
    return code


def _run(words: list[str], console: Console) -> int:
    if "--version" in words[:1]:
        from importlib.metadata import version

        number = version("dsectl")
        return console.answer(Answer({"version": number}, lambda console: console.line(f"dsectl {number}")))
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
        return _carry_out(entry, args, console)
    except Usage as error:
        if error.help is Usage.help_text:
            error.help = f"`dsectl help {entry.name}` shows its arguments and options."
        raise


def _carry_out(entry: Entry, args: list[str], console: Console) -> int:
    """Call it, and print what it comes to, or what happens while it goes on."""
    if len(args) in entry.plain and not any(word.startswith("-") and word != "-" for word in args):
        result = entry.load()(*args)
    else:
        from dsectl.cli.parsing import run

        result = run(entry, args)
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


def unknown(name: str, args: Sequence[str] = ()) -> Usage:
    """The error for a command that does not exist."""
    if name == "watch" and args:
        return Usage("watch shows the cluster, not a key", help=f"`dsectl events --key {args[0]} -f` follows a key.")
    if name.startswith("-"):
        meant = "".join(f"Did you mean {one}? " for one in similar_options(name))
        return Usage(f"unknown option {name}", help=f"{meant}`dsectl help options` shows the options of all commands.")
    if parts := parts_of(name):
        given = f", not {args[0]!r}" if args else ""
        close = similar_parts(name, args[0]) if args else []
        meant = "".join(f"Did you mean `dsectl {one}`? " for one in close)
        return Usage(f"{name} needs one of {', '.join(parts)}{given}", help=f"{meant}`dsectl help {name}` lists them.")
    if (within := name.rstrip(":")) in AT_THE_PROMPT:
        return Usage(f"unknown command {name!r}", help=AT_THE_PROMPT[within])
    others = similar(name)
    help = (
        f"Did you mean {' or '.join(f'`dsectl {one}`' for one in others)}?" if others else "`dsectl help` lists them."
    )
    return Usage(f"unknown command {name!r}", help=help)


def main() -> NoReturn:
    """The process.

    It leaves without Python's own end. That would make an exit by SIGINT of any code, also of a success, after a Ctrl-C
    that was handled but fell into a piece of source that Python ran (as in making a dataclass), and costs time.
    """
    import signal

    code = EXIT_INTERRUPTED
    try:
        prepare()
        sys.unraisablehook = _raise_again
        for signum in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is not signal.SIG_IGN:  # as under nohup
                signal.signal(signum, lambda *_: sys.exit(EXIT_TERMINATED))
        # Not earlier, so that the start, before anything could be undone, is quiet.
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = invoke(sys.argv[1:])
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
