"""The prompt: keys in, lines out. What a line does is `evaluate`'s business, and what may be typed is `complete`'s.

Nothing here waits for the cluster while keys come: names are looked up in a thread, and the toolbar shows the last
view.
"""

import signal
import sys
from contextlib import ExitStack

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.styles import Style

from cluster.emulator.home import find_home
from dsectl.cli.console import Console
from dsectl.cli.streams import drop_output
from dsectl.script.grammar import Run, parse
from dsectl.script.tokens import join_lines
from dsectl.shell.above import Above
from dsectl.shell.complete import LazyGrammar, LineCompleter
from dsectl.shell.evaluate import EXIT_INTERRUPTED, OWN, Leave, Shell
from dsectl.shell.keyboard import NOT_TOO_LONG, BurstInput, Pastes, key_bindings, quiet_keyboard
from dsectl.shell.line import ShellLexer, problem
from dsectl.shell.looks import LiveNames, Remember
from dsectl.shell.past import Past, SuggestFromHistory
from dsectl.shell.signals import Ended, Signals
from dsectl.shell.toolbar import ClusterView, StatusPoller, announcement, toolbar
from dsectl.ui.text import shown

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


SWITCH_S = 0.0005
"""How long the thread that draws may have to wait for one that computes; Python's 5 ms would be felt in each key."""
EXIT_HUNG_UP = 128 + signal.SIGHUP


class Prompt:
    """One interactive session."""

    def __init__(self, console: Console, cluster: str | None, globals_: list[str], *, vi: bool) -> None:
        self.console = console
        self.above = Above(console)
        self.shell = Shell(console, cluster, globals_, self.above)
        self.poller = StatusPoller(lambda: self.shell.cluster, self._changed)
        self.remember = Remember()
        self.shell.settle = self.remember.settle
        self.signals = Signals(self._end_prompt)
        self.pastes = Pastes()
        self.grammar = LazyGrammar(
            lambda error: self.above.say(console.paint(f"completion is off: {shown(str(error))}", "bad"))
        )
        names = LiveNames(lambda: self.poller.view, self.shell.interpreter.jobs, self.shell.session.receipts)
        completer = LineCompleter(self.grammar, names, self.shell.interpreter)
        folder = find_home().folder
        try:
            history: History = Past(folder)
        except OSError as error:
            console.note(f"note: history is not kept: cannot write to {shown(str(folder))}: {error.strerror}")
            history = InMemoryHistory()
        self.session: PromptSession[str] = PromptSession(
            input=BurstInput(sys.stdin),
            history=history,
            auto_suggest=SuggestFromHistory(),
            completer=ThreadedCompleter(completer),
            complete_while_typing=False,
            lexer=ShellLexer(),
            style=STYLE,
            bottom_toolbar=self._toolbar,
            editing_mode=EditingMode.VI if vi else EditingMode.EMACS,
            enable_suspend=True,
            key_bindings=key_bindings(self.pastes),
            validator=NOT_TOO_LONG,
            validate_while_typing=False,
            color_depth=None if console.paint.enabled else ColorDepth.MONOCHROME,
        )

    def run(self) -> int:
        """Until Ctrl-D, `exit` or a signal; returns the exit code."""
        sys.setswitchinterval(SWITCH_S)
        self.session.app.key_processor.before_key_press += lambda _: self.poller.touched()
        self.grammar.begin()
        self.poller.start()
        self.console.note("Tab completes, `help` lists commands, Ctrl-D leaves.")
        with ExitStack() as stack:
            stack.enter_context(self.signals.handled())
            stack.enter_context(quiet_keyboard(sys.stdin))
            stack.callback(self._close)
            try:
                return self._loop()
            except Ended as end:
                return end.code
            except OSError:  # nothing can be written any more: the terminal is gone
                return EXIT_HUNG_UP

    def _loop(self) -> int:
        def begin() -> None:
            self.signals.at_prompt()
            self.above.begin()

        while True:
            try:
                message: StyleAndTextTuples = [("class:prompt", f"{self.shell.cluster}> ")]
                text = self.pastes.expand(self.session.prompt(message, pre_run=begin))
            except KeyboardInterrupt:  # the line is cleared
                continue
            except EOFError:
                return 0
            finally:
                self.above.end()
            try:
                with self.signals.in_command():
                    self._lines(text)
            except KeyboardInterrupt:
                self.console.note("interrupted")
            except Leave:
                return 0

    def _lines(self, text: str) -> None:
        """All that was typed or pasted, until Ctrl-C."""
        typed_ahead = get_typeahead(self.session.input)
        last = max((at for at, key in enumerate(typed_ahead) if key.key is Keys.ControlC), default=None)
        if last is not None:  # it was pressed before this began, and is meant for it
            store_typeahead(self.session.input, typed_ahead[last + 1 :])
            raise KeyboardInterrupt
        store_typeahead(self.session.input, typed_ahead)
        for line in join_lines(text.splitlines()):
            code = self.shell.line(line.text)
            self.console.flush()
            self.poller.hurry()
            if code == EXIT_INTERRUPTED:
                return
            entry = self.shell.entries[-1] if self.shell.entries else None
            if entry is None or code:
                continue
            step = parse(entry.line, shell=True)
            if isinstance(step, Run) and step.into is None and step.command.name not in OWN:
                self.remember.look(entry, self.shell.interpreter.argv(step.command), self.shell.cluster)

    def _close(self) -> None:
        running = [job.name for job in self.shell.interpreter.jobs.values() if job.is_running]
        if running:
            self.above.say(self.console.paint(f"ending {', '.join(running)}", "dim"))
        self.poller.stop()
        self.remember.close()
        self.shell.close()
        try:
            self.console.flush()
        except OSError:  # the terminal is gone
            drop_output()

    # -- the screen

    def _toolbar(self) -> StyleAndTextTuples:
        jobs = sum(job.is_running for job in self.shell.interpreter.jobs.values())
        buffer = self.session.default_buffer
        return list(toolbar(self.poller.view, jobs, shown(problem(buffer.text, self.grammar.now))))

    def _changed(self, before: ClusterView, after: ClusterView) -> None:
        """The view is another one; called by the thread that looks."""
        change = announcement(before, after)
        if change:
            self.above.say(self.console.paint(shown(change), "warn"))
        app = self.session.app
        if app.is_running:
            app.invalidate()

    def _end_prompt(self, number: int) -> None:
        """A signal: the prompt is taken away first, so that the terminal is as it was."""
        app = self.session.app

        def leave() -> None:
            if app.is_running and app.future is not None and not app.future.done():
                app.exit(exception=Ended(number))

        if app.is_running and app.loop is not None:
            app.loop.call_soon_threadsafe(leave)
