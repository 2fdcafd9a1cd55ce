"""The shell: at a prompt, from a file, or one line of it."""

import os
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import command
from dsectl.cli.invocation import current
from dsectl.script.tokens import join_lines
from dsectl.shell.evaluate import Leave, Shell
from dsectl.ui.text import shown
from dsectl.ui.units import as_option

VI = "DSECTL_EDIT_MODE"
BYTE_ORDER_MARK = "\ufeff"
"""As some editors begin a file."""


@command("shell", "Type commands and steps at a prompt.", group="more", rank=3, barred="it is for people")
def shell(
    line: Annotated[
        str | None, typer.Option("-c", metavar="LINE", help="Line to carry out instead of a prompt.")
    ] = None,
    vi: Annotated[
        bool, typer.Option("--vi/--emacs", help="Keys to edit the line with (default: $DSECTL_EDIT_MODE, or emacs).")
    ] = os.environ.get(VI) == "vi",
) -> int:
    """Commands without `dsectl` before them, and the steps of recipes: `within 5s: get k .value == 1`, `… -> $x`,
    `… &`, `… | jq .`. With -c or from a file (`dsectl shell < FILE`) there is no prompt, and the first line that fails
    ends it with its exit code."""
    invocation = current()
    options, console = invocation.options, invocation.console
    flags = {"--json": options.json, "--quiet": options.quiet, "--raw": options.raw, "--no-input": options.no_input}
    globals_ = [flag for flag, given in flags.items() if given]  # they stand for every command of the session
    globals_ += ["--via", options.via] if options.via is not None else []
    globals_ += ["--timeout", as_option(options.timeout_s)] if options.timeout_s is not None else []
    if line is not None:
        return _carry_out(line.replace("\r\n", "\n").split("\n"), console, options.cluster, globals_, told=False)
    if not sys.stdin.isatty() or options.no_input:
        texts = (text.decode(errors="replace").rstrip("\r\n") for text in sys.stdin.buffer)
        lines = (text if number else text.removeprefix(BYTE_ORDER_MARK) for number, text in enumerate(texts))
        return _carry_out(lines, console, options.cluster, globals_, told=True)
    if not console.is_terminal:
        raise Usage("the shell needs a terminal", help="`dsectl shell -c LINE` and `dsectl shell < FILE` do not.")
    from dsectl.shell.prompt import Prompt

    return Prompt(console, options.cluster, globals_, vi=vi).run()


def _carry_out(lines: Iterable[str], console: Console, cluster: str | None, globals_: list[str], *, told: bool) -> int:
    """Every line until one fails; returns its code, or that of a job that failed. `told`: say which line it was."""
    shell = Shell(console, cluster, globals_)
    code = of_jobs = 0
    try:
        for line in join_lines(lines):
            code = shell.line(line.text)
            console.flush()
            if code:
                if told:
                    console.note(f"stopped at line {line.number}: {shown(line.text)}")
                break
    except Leave:
        pass
    finally:
        of_jobs = shell.close()
    return code or of_jobs
