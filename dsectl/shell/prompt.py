"""The prompt: keys in, lines out. What a line does is `evaluate`'s business, and what may be typed is `candidates`'.

Nothing here waits for the cluster while somebody types: names are looked up in a thread, and the toolbar shows the last
view.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from cluster.emulator.home import find_home
from cluster.errors import Usage
from dsectl.completion.grammar import Grammar
from dsectl.console import Console
from dsectl.recipes.frontmatter import FrontMatter
from dsectl.shell.above import Above
from dsectl.shell.candidates import candidates
from dsectl.shell.evaluate import Leave, Shell
from dsectl.shell.export import export
from dsectl.shell.lexer import ShellLexer
from dsectl.shell.names import LiveNames
from dsectl.shell.own import OWN
from dsectl.shell.past import Past
from dsectl.shell.problem import problem
from dsectl.shell.remember import Remember
from dsectl.shell.state import View, Watch
from dsectl.shell.toolbar import announcement, toolbar
from dsectl.steps.grammar import Run, parse
from dsectl.steps.lines import join_lines
from dsectl.views.text import shown

STYLE = Style.from_dict(
    {
        "prompt": "bold ansicyan",
        "bottom-toolbar": "noreverse",
        "bar": "ansigray",
        "bar.dim": "ansigray italic",
        "bar.cluster": "bold",
        "bar.green": "ansigreen",
        "bar.amber": "ansiyellow",
        "bar.red": "ansired bold",
        "line.command": "bold",
        "line.step": "ansimagenta",
        "line.option": "ansicyan",
        "line.string": "ansigreen",
        "line.variable": "ansiyellow",
        "line.operator": "ansimagenta",
        "line.path": "ansiblue",
        "line.comment": "ansigray italic",
        "auto-suggestion": "ansibrightblack",
    }
)
HISTORY_LINES = 40


class Ended(Exception):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.code = 128 + number


class Prompt:
    """One interactive session."""

    def __init__(self, console: Console, cluster: str | None, globals_: list[str], *, vi: bool) -> None:
        self.console = console
        self.above = Above(console.paint)
        self.shell = Shell(console, cluster, globals_, self.above)
        self.shell.own |= {"history": self._history, "clear": self._clear}
        self.watch = Watch(lambda: self.shell.cluster, self._changed)
        self.names = LiveNames(lambda: self.watch.view)
        self.remember = Remember()
        self.grammar: Grammar | None = None
        self.past = Past(find_home().folder)
        self.session: PromptSession[str] = PromptSession(
            history=self.past,
            auto_suggest=AutoSuggestFromHistory(),
            completer=ThreadedCompleter(LineCompleter(self)),
            complete_while_typing=False,
            lexer=ShellLexer(),
            style=STYLE,
            bottom_toolbar=self._toolbar,
            editing_mode=EditingMode.VI if vi else EditingMode.EMACS,
            enable_suspend=True,
            color_depth=None if console.paint.enabled else ColorDepth.MONOCHROME,
        )

    def run(self) -> int:
        """Until Ctrl-D, `exit` or a signal; returns the exit code."""
        threading.Thread(target=self._read_grammar, name="shell grammar", daemon=True).start()
        self.watch.start()
        self.console.note("Tab completes, `help` lists commands, Ctrl-D leaves.")
        try:
            with self._signals():
                return self._loop()
        except Ended as end:
            return end.code
        finally:
            self._close()

    def _loop(self) -> int:
        while True:
            try:
                with patch_stdout(raw=True):
                    text = self.session.prompt([("class:prompt", f"{self.shell.cluster}> ")])
                for line in join_lines(text.splitlines()):
                    self._line(line.text)
            except KeyboardInterrupt:  # the line is cleared
                continue
            except (EOFError, Leave):
                return 0

    def _line(self, text: str) -> None:
        code = self.shell.line(text)
        self.console.flush()
        self.watch.hurry()
        entry = self.shell.record.entries[-1] if self.shell.record.entries else None
        if entry is None or code:
            return
        step = parse(entry.line, shell=True)
        if isinstance(step, Run) and step.into is None and step.command.name not in self.shell.own:
            self.remember.look(entry, self.shell.interpreter.argv(step.command), self.shell.cluster)

    def _close(self) -> None:
        running = [job.name for job in self.shell.interpreter.jobs.values() if job.is_running]
        if running:
            self.console.note(f"ending {', '.join(running)}")
        self.watch.stop()
        self.remember.close()
        self.shell.close()

    # -- the screen

    def _toolbar(self) -> StyleAndTextTuples:
        jobs = sum(job.is_running for job in self.shell.interpreter.jobs.values())
        buffer = self.session.default_buffer
        return list(toolbar(self.watch.view, jobs, shown(problem(buffer.text, self.grammar))))

    def _changed(self, before: View, after: View) -> None:
        """The view is another one; called by the thread that looks."""
        told = announcement(before, after)
        if told:
            self.above.tell(self.console.paint(shown(told), "warn"))
        app = self.session.app
        if app.is_running:
            app.invalidate()

    def _read_grammar(self) -> None:
        """All commands are loaded beside the first keys."""
        from dsectl.completion.signatures import read_grammar

        self.grammar = read_grammar()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """A signal that ends the process leaves the terminal as it was."""
        numbers = (signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, self._on_signal) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        app = self.session.app
        if app.is_running and app.loop is not None:
            app.loop.call_soon_threadsafe(partial(_end, app, number))
        else:
            raise Ended(number)

    # -- the commands that need more than a shell

    def _history(self, args: list[str]) -> int:
        if not args:
            entries = self.shell.record.entries[-HISTORY_LINES:]
            first = len(self.shell.record.entries) - len(entries) + 1
            self.console.lines([f"{number:4}  {shown(entry.line)}" for number, entry in enumerate(entries, first)])
            return 0
        if args[0] != "export" or len(args) > 2:
            raise Usage("it is `history` or `history export FILE`")
        self._export(args[1] if len(args) == 2 else "-")
        return 0

    def _export(self, file: str) -> None:
        self.remember.settle()
        text = export(self.shell.record.entries, self._meta(), "A session")
        if file == "-":
            self.console.line(text.rstrip("\n"))
            return
        try:
            with open(file, "x", encoding="utf-8") as out:
                out.write(text)
        except FileExistsError:
            raise Usage(f"{file} exists", help="Name a new file; nothing is overwritten.") from None
        except OSError as error:
            raise Usage(f"cannot write {file}: {error.strerror}") from None
        self.console.note(f"wrote {shown(file)}; read it over, then `recipe run {shown(file)}` runs it")

    def _meta(self) -> FrontMatter:
        """The cluster as it was made."""
        from cluster.emulator.home import load_cluster
        from cluster.errors import ClusterError

        try:
            spec = load_cluster(self.shell.cluster).record.spec
        except ClusterError:
            return FrontMatter()
        return FrontMatter(nodes=spec.nodes or 5, zones=spec.zones or 1, replication=spec.replication or "3/2/2")

    def _clear(self, args: list[str]) -> int:
        if args:
            raise Usage(OWN["clear"][0] + " takes no arguments")
        sys.stdout.write("\x1b[2J\x1b[3J\x1b[H")
        sys.stdout.flush()
        return 0


def _end(app: object, number: int) -> None:
    from prompt_toolkit.application import Application

    assert isinstance(app, Application)
    if app.is_running and app.future is not None and not app.future.done():
        app.exit(exception=Ended(number))


class LineCompleter(Completer):
    """Feeds prompt-toolkit; it runs in a thread."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may stand at the cursor."""
        prompt = self.prompt
        if prompt.grammar is None:
            return
        interpreter = prompt.shell.interpreter
        text = document.current_line_before_cursor
        for one in candidates(text, prompt.grammar, prompt.names, list(interpreter.variables), list(interpreter.jobs)):
            yield Completion(one.text, -one.typed, display=shown(one.text), display_meta=one.help)
