"""One line of the shell, carried out: a command as on the command line, a step, or one of the shell's own commands.

Commands write to the streams themselves, as people want to read them; steps are judged as in a recipe.
Prompt, completion and screen are no concern of this file: `-c` and `shell < file` use it as it is.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any, TextIO, cast

from cluster.errors import ClusterError, Usage
from dsectl.cli.app import invoke
from dsectl.cli.console import Console
from dsectl.cli.invocation import DEFAULT_CLUSTER, Session
from dsectl.script.execution import JobListener
from dsectl.script.grammar import Command, Pipe, Run, Start, Step, Wait, parse
from dsectl.script.interpreter import SUCCESS, Interpreter, time_scale
from dsectl.script.values import MISSING, shown_value
from dsectl.ui.table import table
from dsectl.ui.text import count, cut, shown
from dsectl.ui.verdicts import EXIT_CODES, PASSED

OWN = {
    "history": ("history [export FILE]", "Show what was typed; export the session as a recipe."),
    "jobs": ("jobs", "List the jobs (`COMMAND &` or `COMMAND &NAME` starts one)."),
    "wait": ("wait NAME", "Wait for a job to end by itself."),
    "stop": ("stop NAME", "End a job."),
    "use": ("use CLUSTER", "Use another cluster from now on."),
    "clear": ("clear", "Clear the screen."),
    "exit": ("exit", "Leave, as Ctrl-D does; jobs are stopped."),
}
STEPS = (
    ("expect COMMAND .path == value", "Check once; also != < <= > >= in contains matches."),
    ("within 5s: COMMAND .path == value", "Check until it holds."),
    ("always 5s: COMMAND .path == value", "Check for that long; it must always hold."),
    ("COMMAND .path -> $name", "Keep a value; $name stands for it later."),
    ("COMMAND &name", "Run in the background."),
    ("COMMAND | jq .", "Pipe the JSON to a command of sh."),
    ("! COMMAND", "It must fail; `!7` with code 7."),
)
"""What a line can be besides a command: for help."""


Invoke = Callable[[TextIO], int]
BROKEN_PIPE = 141


def pipe(command_line: str, invoke: Invoke, out: TextIO, stdout: IO[str] | None = None) -> int:
    """Run both; returns the exit code of the last that failed, as a shell with `pipefail` does.

    `invoke` writes to the stream that it is given. A reader that leaves early ends it quietly. What sh prints goes to
    the terminal itself where `out` is that, and else to `out` at the end.
    """
    out.flush()
    if out is not sys.stdout and stdout is None:
        with TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as file:
            try:
                return pipe(command_line, invoke, out, file)
            finally:
                file.seek(0)
                out.write(file.read())
    reader = subprocess.Popen(
        ["sh", "-c", command_line], stdin=subprocess.PIPE, stdout=stdout, encoding="utf-8", errors="backslashreplace"
    )
    assert reader.stdin is not None
    code = 0
    try:
        code = invoke(cast(TextIO, reader.stdin))
        with suppress(BrokenPipeError):
            reader.stdin.close()
        with suppress(KeyboardInterrupt):  # it reaches the reader, too, which may go on; a second one ends it
            reader.wait()
        reader.wait()
    except BaseException:  # the shell is to end
        reader.terminate()
        raise
    finally:
        with suppress(BrokenPipeError):
            reader.stdin.close()
        reader.wait()
    if reader.returncode:
        return reader.returncode if reader.returncode > 0 else 128 - reader.returncode  # as sh says it of a signal
    return 0 if code == BROKEN_PIPE else code


EXIT_INTERRUPTED = 130
VALUE_COLUMNS = 200
CLEAR = "\x1b[2J\x1b[3J\x1b[H"
"""The screen, what has scrolled off it, and the cursor to its corner."""
ENTRIES_MAX = 10_000
"""Of one session; the oldest go first."""


class Leave(Exception):
    """`exit` was typed."""


@dataclass
class EnteredLine:
    """One line that was carried out."""

    line: str
    code: int
    """The exit code that it ended with."""
    value: Any = MISSING
    """What a look saw, as JSON, where it was asked for again to be remembered."""


class Shell:
    """The state of one session: variables, jobs, the cluster in use, and what was done."""

    def __init__(
        self,
        console: Console,
        cluster: str | None,
        globals_: list[str],
        listener: JobListener | None = None,
    ) -> None:
        """`globals_` are global options that stand before every command, as `--json`."""
        self.console = console
        self.session = Session(cluster)
        self.globals = globals_
        self.interpreter = Interpreter(self.session, listener=listener, time_scale=time_scale())
        self.entries: list[EnteredLine] = []
        self.settle: Callable[[], None] = lambda: None
        """Called before the entries are exported: whoever adds values to them finishes."""

    @property
    def cluster(self) -> str:
        """The name of the cluster in use."""
        return self.session.cluster or os.environ.get("DSECTL_CLUSTER") or DEFAULT_CLUSTER

    # -- lines

    def line(self, text: str) -> int:
        """Carry it out; returns the exit code. Nothing is raised but Leave and SystemExit."""
        text = text.strip().removeprefix("dsectl ")
        try:
            step = parse(text, shell=True)
            if step is None:
                return 0
            if isinstance(step, Run) and step.into is None:
                code = self._command(step.command)
            elif isinstance(step, Pipe):
                code = self._pipe(step)
            else:
                code = self._step(step)
        except ClusterError as error:
            self.console.error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        if code == EXIT_INTERRUPTED:  # also where a command has caught it, and said nothing
            self.console.note("interrupted")
        self.entries.append(EnteredLine(text, code))
        del self.entries[:-ENTRIES_MAX]
        return code

    def _command(self, command: Command) -> int:
        argv = self.interpreter.argv(command)
        name = command.name or ""
        if name in OWN:
            return self._own(name, argv[1:])
        if name == "shell":
            raise Usage("shell cannot be used here: this is the shell")
        if name == "help" and len(argv) == 2 and argv[1] in OWN:
            usage, help = OWN[argv[1]]
            self.console.lines([f"Usage: {usage}", "", f"  {help}"])
            return 0
        code = self.invoke(argv)
        if argv == ["help"] and not self.console.options.json:
            paint = self.console.paint
            rows = [*OWN.values(), *STEPS]
            width = max(len(usage) for usage, _ in rows)
            self.console.lines(["", paint("In the shell", "strong")])
            self.console.lines([f"  {paint(f'{usage:<{width}}', 'name')}  {help}" for usage, help in rows])
        return code

    def invoke(self, argv: list[str], out: TextIO | None = None) -> int:
        """Carry out a command of `dsectl` in this session."""
        return invoke([*self.globals, *argv], self.session, out or self.console.out, self.console.err)

    def _pipe(self, step: Pipe) -> int:
        argv = self.interpreter.argv(step.command)
        if step.command.name in OWN:
            raise Usage(f"{step.command.name} prints no JSON", help="The commands that `dsectl help` lists have.")
        try:
            return pipe(step.shell, lambda stream: self.invoke(["--json", *argv], stream), self.console.out)
        finally:
            # What sh printed may lack its last line end; the prompt would stand behind it. As zsh does: a sign and
            # blanks that fill the line, of which nothing is left when the line was empty.
            columns = self.console.columns or 0
            if columns:
                self.console.out.write(f"{self.console.paint('⏎', 'dim')}{' ' * (columns - 1)}\r\x1b[K")

    # -- steps

    def _step(self, step: Step) -> int:
        console, known = self.console, list(self.interpreter.jobs)
        outcome = self.interpreter.run(step)
        if console.options.json:
            fields = {"verdict": outcome.verdict, "expected": outcome.expected, "seen": outcome.seen}
            console.value({name: value for name, value in fields.items() if value})
            return EXIT_CODES[outcome.verdict]
        error = outcome.result.reported if outcome.result is not None and outcome.expected == SUCCESS else None
        if error is not None:
            console.error(ClusterError(error.get("message", ""), help=error.get("help", "")))
        elif outcome.verdict != PASSED:
            console.err.write(
                f"{console.paint_err(outcome.verdict, 'bad')}  expected {shown(outcome.expected)}\n"
                f"        saw {shown(outcome.seen)}\n"
            )
        elif isinstance(step, Run) and step.into is not None:
            value = shown_value(self.interpreter.variables[step.into], VALUE_COLUMNS)
            console.line(f"{console.paint('$' + step.into, 'name')} = {shown(value)}")
        elif isinstance(step, Start):
            name = next((job for job in self.interpreter.jobs if job not in known), step.job or "")
            console.note(f"[{name}] runs in the background; `stop {name}` ends it")
        elif isinstance(step, Wait) and outcome.result is not None:
            value = outcome.result.value
            told = count(len(value), "line") if isinstance(value, list) else shown(shown_value(value, VALUE_COLUMNS))
            console.line(f"{console.paint('ok', 'good')}  {step.job} has ended: {told}")
        elif outcome.expected:
            console.line(f"{console.paint('ok', 'good')}  {cut(shown(outcome.seen), VALUE_COLUMNS)}")
        return EXIT_CODES[outcome.verdict]

    def _own(self, name: str, args: list[str]) -> int:
        """One of the commands that only the shell has, and that are not steps."""
        console, jobs = self.console, self.interpreter.jobs.values()
        if name == "history":
            from dsectl.shell.export import history  # it knows the commands of the shell, which stand here

            self.settle()
            return history(args, self.entries, self.cluster, console)
        if name == "use":
            if len(args) != 1:
                raise Usage("use needs the name of one cluster", help="`ps` lists them.")
            from cluster.emulator.home import find_home, load_cluster

            load_cluster(args[0], find_home())
            self.session.cluster = args[0]
            return 0
        if args:
            raise Usage(f"{name} takes no arguments, not {args[0]!r}")
        if name == "exit":
            raise Leave
        if name == "clear":
            console.out.write(CLEAR if console.is_terminal else "")
        elif console.options.json:
            console.value([{"job": job.name, "command": job.argv, "state": job.state} for job in jobs])
        elif jobs:
            rows = [(job.name, job.state, str(len(job.lines())), shown(" ".join(job.argv))) for job in jobs]
            head = ("JOB", "STATE", "LINES", "COMMAND")
            console.lines(table(head, rows, console.paint, console.columns, right=("LINES",)))
        else:
            console.note("no jobs; `events -f &` starts one")
        return 0

    def close(self) -> int:
        """End all jobs and connections; returns the exit code of the first job that failed and was not waited for."""
        self.interpreter.end_jobs()
        self.session.close()
        jobs = [job for job in self.interpreter.jobs.values() if not job.waited and job.result and job.result.code]
        for job in jobs:
            assert job.result is not None
            self.console.note(f"[{job.name}] failed: {shown(job.result.error)}")
        return next((job.result.code for job in jobs if job.result), 0)
