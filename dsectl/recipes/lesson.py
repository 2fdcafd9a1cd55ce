"""A recipe told to people: prose, a question, a pause before each block, and what every step came to.

The answers to questions are kept with the state, so that one can see later what one had expected.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import json

from cluster.emulator.home import find_home
from dsectl.cli.console import Console
from dsectl.recipes.document import Block, Case, Part, Predict, Prose, Recipe
from dsectl.recipes.report import RecipeReport
from dsectl.script.interpreter import Interpreter, Outcome
from dsectl.script.polling import PASSED
from dsectl.script.tokens import Line
from dsectl.script.values import MISSING, shown_value
from dsectl.ui.text import cut, shown

RESULT_COLUMNS = 100
"""Off a terminal."""
ANSWERS_FILE = "answers.jsonl"


@dataclass
class Answer:
    """What the reader expected."""

    file: str
    line: int
    question: str
    answer: str


@dataclass
class Lesson:
    """A listener that teaches. `ask` shows a text and returns a line that was typed; None when nobody can be asked."""

    recipe: Recipe
    console: Console
    ask: Callable[[str], str] | None
    answers: list[Answer] = field(default_factory=list)
    failed: bool = False
    ran: bool = False
    """Whether the last that was shown is what a step came to."""

    def ready(self, report: RecipeReport, interpreter: Interpreter) -> None:
        """Tell where it happens."""
        started = "" if report.ready_s is None else f", ready after {report.ready_s:.2f} s"
        self._note(f"cluster {report.cluster}{started}")

    def case(self, case: Case) -> None:
        """A chapter's title; what stands before the first chapter goes under the title of the whole."""
        self.console.line("")
        self.ran = False
        if case.name != self.recipe.title:
            self.console.lines([self.console.paint(f"## {shown(case.name)}", "strong"), ""])

    def part(self, part: Part) -> bool:
        """Prose is shown; a question waits for an answer, and a block is shown and waits for a key."""
        if self.ran:
            self.console.line("")
            self.ran = False
        if isinstance(part, Prose):
            self._prose(part.text)
        elif isinstance(part, Predict):
            self._question(part)
        elif isinstance(part, Block) and not self.failed:
            self._pause(part)
        return True

    def step(self, line: Line) -> None:
        """What is done."""
        self.console.line(f"{self.console.paint('dsectl>', 'name')} {shown(line.text)}")
        self.console.flush()

    def ended(self, line: Line, outcome: Outcome) -> None:
        """What came of it."""
        paint = self.console.paint
        self.ran = True
        if outcome.verdict != PASSED:
            self.failed = True
            self.console.lines(
                [
                    paint(f"  {outcome.verdict}: expected {shown(outcome.expected)}", "bad"),
                    f"  saw {shown(outcome.seen)}",
                ]
            )
        elif outcome.expected:
            self.console.line(f"  {paint('ok', 'good')}  {shown(outcome.seen)}")
        elif outcome.taken:
            self._result(outcome.taken)
        elif outcome.result is not None and outcome.result.value is not MISSING:
            self._result(shown_value(outcome.result.value))

    def _result(self, text: str) -> None:
        self._note(cut(f"  {shown(text)}", self.console.columns or RESULT_COLUMNS))

    def _prose(self, text: str) -> None:
        if self.console.is_terminal:
            from rich.console import Console as RichConsole
            from rich.markdown import Markdown

            RichConsole(file=self.console.out, highlight=False).print(Markdown(text))
        else:
            self.console.line(text)
        self.console.line("")

    def _question(self, part: Predict) -> None:
        self.console.line(self.console.paint(f"?  {shown(part.question, lines=True)}", "warn"))
        if self.ask is not None:
            answer = self.ask("your guess> ")
            self.answers.append(Answer(self.recipe.file, part.line, part.question, answer))
        self.console.line("")

    def _pause(self, block: Block) -> None:
        """One wants to read what will be done before it is done."""
        if self.ask is not None:
            self.console.lines([f"    {shown(step.text)}" for step in block.steps])
            self.console.flush()
            self.ask(self.console.paint("[Enter] carries this out ", "dim"))

    def _note(self, text: str) -> None:
        self.console.line(self.console.paint(text, "dim"))

    def keep_answers(self) -> str:
        """Add them to the file of all answers; returns its path, empty when nothing was asked."""
        if not self.answers:
            return ""
        path = find_home().folder / ANSWERS_FILE
        with path.open("ab") as file:
            for answer in self.answers:
                file.write(json.encode(answer) + b"\n")
        return str(path)
