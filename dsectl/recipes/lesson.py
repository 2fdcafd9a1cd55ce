"""A recipe told to people: prose, a question, a stop before each block of steps, and what every step came to.

At a stop one carries the block out, leaves it out, looks at what stood before, looks around with commands of one's own,
or leaves. Nothing but an empty line carries anything out. The answers to questions are kept with the state, so that one
can see later what one had expected.
"""

import os
from collections.abc import Callable
from typing import Any

from msgspec import json

from cluster.emulator.home import find_home
from cluster.errors import ClusterError, Usage
from dsectl.cli.app import invoke
from dsectl.cli.console import Console
from dsectl.cli.options import Options, take_options
from dsectl.recipes.document import Block, Case, Part, Predict, Prose, Recipe
from dsectl.recipes.report import RecipeReport
from dsectl.recipes.run import Listener
from dsectl.script.check import check_argv
from dsectl.script.grammar import Run, Start, parse
from dsectl.script.interpreter import Interpreter, Outcome
from dsectl.script.tokens import VARIABLE, Line
from dsectl.script.values import MISSING
from dsectl.ui.table import table
from dsectl.ui.text import count, cut, markdown_lines, shown, wrapped
from dsectl.ui.units import show_duration
from dsectl.ui.verdicts import PASSED

COLUMNS_MAX = 100
"""Longer lines of prose are hard to read; off a terminal, of all."""
STEP_HANG = 8
"""Columns before what does not fit into the first line of a step."""
ROWS_MAX = 5
CELL_COLUMNS = 40
ANSWERS_FILE = "answers.jsonl"
REFUSED = ("up", "down", "rm", "demo", "recipe", "present")
"""What would take the lesson's cluster away, or run a second lesson inside of it."""
STOP = "[Enter] runs it  s skips it  b back  ? help  q quits > "
GUESS = "your guess> "
HELP = """\
Enter    carry the block out
s        leave it out; later steps may miss what it does
b        show what stood before, again and again further back; nothing is undone
q        leave the lesson, as Ctrl-D does; its cluster is removed
Ctrl-C   end a command of your own; else leave, also while a step is at work
Anything else is a command or a step of your own, on this lesson's cluster:
         status, members, get cart, explain cart, faults, watch
At a question it is your guess, and a command begins with a colon: `:members`"""


class Left(KeyboardInterrupt):
    """The reader has left the lesson; it ends as on an interrupt."""


class Lesson(Listener):
    """A listener that teaches. `ask` shows a text and returns a line that was typed, None at the end of input; it is
    itself None when nobody can be asked."""

    def __init__(self, recipe: Recipe, console: Console, ask: Callable[[str], str | None] | None) -> None:
        self.recipe = recipe
        self.console = console
        self.ask = ask
        self.answers: list[dict[str, Any]] = []
        """What the reader expected: `file line question answer`."""
        self.failed = False
        self.skipped = 0
        self.ran = False
        """Whether the last that was shown is what a step came to."""
        self._interpreter: Interpreter | None = None
        self._question: Predict | None = None
        """It is answered when the next block has run."""
        self._left: list[Line] = []
        """Steps of the block that are still to come."""
        self._pages: list[list[str]] = [[]]
        """What was shown between two stops, the last one still growing."""

    def starting(self) -> None:
        """It may take some seconds."""
        self.console.progress("starting a cluster of its own")

    def ready(self, report: RecipeReport, interpreter: Interpreter) -> None:
        """Tell where it happens."""
        self.console.progress("")
        self._interpreter = interpreter
        started = "" if report.ready_s is None else f", ready after {show_duration(report.ready_s)}"
        self._note(f"cluster {report.cluster}{started}")

    def case(self, case: Case) -> None:
        """A chapter's title; what stands before the first chapter goes under the title of the whole."""
        if self.failed:
            return
        self.ran = False
        self._show([""])
        if case.name != self.recipe.title:
            self._show([self.console.paint(f"## {shown(case.name)}", "strong"), ""])

    def part(self, part: Part) -> bool:
        """Prose is shown; a question waits for an answer, and a block is shown and waits for a key. Behind a step that
        failed nothing follows."""
        if self.failed:
            return False
        if self.ran:
            self._show([""])
            self.ran = False
        if isinstance(part, Prose):
            self._show([*rendered(part.text, self.console), ""])
        elif isinstance(part, Predict):
            self._ask_for_guess(part)
        elif isinstance(part, Block):
            return self._pause(part)
        return True

    def step(self, line: Line) -> None:
        """What is done."""
        self._show(
            wrapped(f"{self.console.paint('dsectl>', 'name')} {shown(line.text)}", self.console.columns, STEP_HANG)
        )
        self.console.flush()

    def ended(self, line: Line, outcome: Outcome) -> None:
        """What came of it; and behind a block's last step, what was asked before it."""
        self.ran = True
        self._outcome(outcome)
        if outcome.verdict != PASSED:
            self.failed = True
            self._show(["", self.console.paint("The lesson ends here: a step did not come out as it should.", "bad")])
        self._left = [one for one in self._left if one is not line]
        if not self._left and not self.failed:
            self.answer()

    def answer(self) -> None:
        """Show what happened beside what the reader had expected, if a question waits for it."""
        asked, self._question = self._question, None
        guess = next((one["answer"] for one in self.answers if asked is not None and one["line"] == asked.line), "")
        if asked is None or not (guess or asked.answer):
            return
        lines = [f"you expected: {shown(guess)}"] if guess else []
        if asked.answer:
            values = self._interpreter.variables if self._interpreter is not None else {}
            filled = VARIABLE.sub(lambda found: _text(values.get(found[1], found[0])), asked.answer)
            lines += rendered(f"what happened: {filled}", self.console)
        self._show(["", *lines])

    def keep_answers(self) -> str:
        """Add them to the file of all answers; returns its path, empty when nothing was asked."""
        if not self.answers:
            return ""
        path = find_home().folder / ANSWERS_FILE
        with path.open("ab") as file:
            for answer in self.answers:
                file.write(json.encode(answer) + b"\n")
        return str(path)

    # -- stops

    def _ask_for_guess(self, part: Predict) -> None:
        self.answer()  # of an earlier question, behind which no block came
        self._question = part
        first, *others = rendered(part.question, self.console, indent=2) or [""]
        self._show([f"{self.console.paint('?', 'warn')} {first}", *(f"  {line}" for line in others)])
        if self.ask is not None:
            guess = self._typed(GUESS, lambda typed: typed not in ("?", "b") and not typed.startswith(":"))
            if guess:
                answer = {"file": self.recipe.file, "line": part.line, "question": part.question, "answer": guess}
                self.answers.append(answer)
        self._show([""])

    def _pause(self, block: Block) -> bool:
        """One wants to read what will be done before it is done; whether it shall be."""
        self._left = list(block.steps)
        if self.ask is None:
            return True
        steps = [f"    {shown(step.text)}" for step in block.steps]
        self._show([line for step in steps for line in wrapped(step, self.console.columns, STEP_HANG)])
        typed = self._typed(self.console.paint(STOP, "dim"), lambda typed: typed in ("", "s"))
        if typed == "s":
            self.skipped += 1
            self._question = None
            self._note("left out")
        self._pages.append([])
        return not typed

    def _typed(self, prompt: str, ends: Callable[[str], bool]) -> str:
        """What ends a stop; until then, what every stop knows is done. Raises Left at the end of input."""
        assert self.ask is not None
        back = 0  # pages
        while True:
            self.console.flush()
            typed = self.ask(prompt)
            if typed is None or typed.strip() == "q":
                raise Left
            typed = typed.strip()
            if ends(typed):
                return typed
            back = back + 1 if typed == "b" else 0
            if typed == "?":
                self.console.lines(HELP.splitlines())
            elif typed == "b":
                first = max(0, len(self._pages) - 1 - back)
                rule = self.console.paint("-" * 8, "dim")
                self.console.lines([rule, *(line for page in self._pages[first:] for line in page), rule])
            else:
                self._look(typed.removeprefix(":"))

    def _look(self, text: str) -> None:
        """A command or a step of the reader's own; what goes wrong in it is no failure of the lesson."""
        interpreter = self._interpreter
        assert interpreter is not None
        text = text.strip().removeprefix("dsectl ")
        try:
            step = parse(text)
            if step is None:
                return
            if isinstance(step, Start):
                raise Usage("a job of your own has no place here", help="`dsectl shell -C NAME` has room for it.")
            if isinstance(step, Run) and step.into is None:
                argv = interpreter.argv(step.command)
                check_argv(argv)
                if (name := take_options(argv, Options())[0]) in REFUSED:
                    raise Usage(f"{name} has no place here: the lesson has a cluster of its own")
                invoke(argv, interpreter.session, self.console.out, self.console.err)
            else:
                self._outcome(interpreter.run(step), self.console.lines)
        except ClusterError as error:
            self.console.error(error)

    # -- what is shown

    def _show(self, lines: list[str]) -> None:
        page = self._pages[-1]
        if page and not page[-1] and lines and not lines[0]:  # one empty line is enough
            lines = lines[1:]
        page += lines
        self.console.lines(lines)

    def _note(self, text: str) -> None:
        self._show([self.console.paint(text, "dim")])

    def _outcome(self, outcome: Outcome, show: Callable[[list[str]], None] | None = None) -> None:
        show, paint = show or self._show, self.console.paint
        if outcome.verdict != PASSED:
            verdict = paint(f"  {outcome.verdict}: expected {shown(outcome.expected)}", "bad")
            show([verdict, f"  saw {shown(outcome.seen)}"])
        elif outcome.expected:
            show([f"  {paint('ok', 'good')}  {shown(outcome.seen)}"])
        else:
            value = outcome.result.value if outcome.result is not None else MISSING
            if outcome.into and self._interpreter is not None:
                value = self._interpreter.variable(outcome.into)
            columns = (self.console.columns or COLUMNS_MAX) - 2
            lines = value_lines(value, columns) if value is not MISSING else []
            if outcome.into:
                first, *others = lines
                lines = [f"${outcome.into} =", *lines] if others else [f"${outcome.into} = {first}"]
            show([paint(f"  {cut(line, columns)}", "dim") for line in lines])


def rendered(text: str, console: Console, indent: int = 0) -> list[str]:
    """Markdown as it looks on a terminal; as it was written, where there is none, or one that can show no more."""
    text = shown(text, lines=True)
    if not console.is_terminal or os.environ.get("TERM", "dumb") == "dumb":
        return text.splitlines()
    return markdown_lines(text, min(console.columns or COLUMNS_MAX, COLUMNS_MAX) - indent)


def value_lines(value: Any, columns: int) -> list[str]:
    """A value for people: members side by side, rows as a table, whatever is long cut."""
    if isinstance(value, dict):
        flat = {name: one for name, one in value.items() if not isinstance(one, dict | list) or _is_short(one)}
        lines: list[str] = []
        for part in (f"{name} {_cell(one)}" for name, one in flat.items() if one != ""):
            if lines and len(lines[-1]) + 3 + len(part) <= columns:
                lines[-1] += f" · {part}"
            else:
                lines.append(part)
        for name, one in value.items():
            if name not in flat:
                lines += [f"{name}:", *(f"  {line}" for line in value_lines(one, columns - 2))]
        return [shown(line) for line in lines] or ["nothing"]
    if isinstance(value, list) and not _is_short(value):
        rows = value[:ROWS_MAX]
        if all(isinstance(row, dict) for row in rows):
            names = list(dict.fromkeys(name for row in rows for name in row))
            lines = table([name.upper() for name in names], [[_cell(row.get(name)) for name in names] for row in rows])
        else:
            lines = [_cell(row) for row in rows]
        more = len(value) - len(rows)
        return lines + ([f"and {count(more, 'more', 'more')}"] if more else [])
    return [_cell(value, columns)]


def _is_short(value: Any) -> bool:
    """Whether a list or an object fits into a cell."""
    is_plain = isinstance(value, list) and not any(isinstance(one, dict | list) for one in value)
    return not value or (is_plain and len(_cell(value)) < CELL_COLUMNS)


def _cell(value: Any, columns: int = CELL_COLUMNS) -> str:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        text = ", ".join(value)
    elif value in ([], {}):
        text = "none"
    else:
        text = _text(value)
    return cut(shown(text), columns)


def _text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.encode(value).decode()
