"""Checks steps without running them: what `recipe check` shows.

What a variable will hold is not known here, so words with variables are checked in their form only.
"""

from dataclasses import dataclass

from cluster.errors import ClusterError, Usage
from dsectl.cli.declaration import Given
from dsectl.cli.options import Options, take_options
from dsectl.cli.table import lookup
from dsectl.script.grammar import RESERVED, Command, Expect, Fails, Run, Sleep, Start, Step, Wait, parse
from dsectl.script.values import regular_expression, value_of_word

EXIT_CODE_MAX = 255
PLACEHOLDERS = ("1", "1s", "1KiB", "n1")
"""A variable may hold a number, a duration, a size or a name; its command says which it takes."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong on a line. A warning refuses nothing."""

    line: int
    message: str
    help: str = ""
    warning: bool = False


class Checker:
    """Goes through the steps of one recipe in their order."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        # Each with the line that gave it its value, or that started it.
        self.variables: dict[str, int] = {}
        self.jobs: dict[str, int] = {}
        self.waiting: dict[str, int] = {}
        """Jobs that no step has waited for yet."""
        self.misnamed: set[str] = set()
        """Jobs that were refused for their name; what is said of them later is not held against the recipe again."""
        self.given: list[Given] = []
        """What the command of the last line gives, but for what variables will hold."""

    def line(self, number: int, text: str) -> Step | None:
        """Check one step; returns it unless it cannot be read."""
        self.given = []
        try:
            step = parse(text)
            if step is not None:
                self._step(number, step)
        except ClusterError as error:
            self.problems.append(Problem(number, error.message, error.help))
            return None
        return step

    def end(self) -> None:
        """The last step was checked."""
        for name, number in self.waiting.items():
            self.problems.append(
                Problem(number, f"the job {name} is never waited for", f"`wait {name}` or `stop {name}` at the end.")
            )

    def _step(self, number: int, step: Step) -> None:
        match step:
            case Run(command, path, into):
                self._command(command)
                self._known(path.variables if path else [])
                if into is not None:
                    self.variables[into] = number
            case Start(command, job):
                self._command(command)
                assert job is not None  # outside the shell a job has a name
                if lookup([job]) is not None:
                    self.misnamed.add(job)
                    raise Usage(f"{job} is a command: choose another name for the job")
                if job in self.waiting:
                    raise Usage(f"a job called {job} was started on line {self.waiting[job]} and may still run")
                self.jobs[job] = self.waiting[job] = number
            case Fails(command, code):
                self._command(command)
                if code is not None and not 0 < code <= EXIT_CODE_MAX:
                    help = "`dsectl help exit-codes` lists them."
                    raise Usage(f"invalid exit code {code}: expected 1 to 255", help=help)
            case Expect(command, test, seconds):
                if len(command.words) > 1 or command.name not in {*self.jobs, *self.misnamed}:
                    args = self._command(command)
                    if seconds is not None:
                        refuse_polling(args)
                self._known([*test.path.variables, *test.value.variables])
                if test.operator == "matches" and not test.value.variables:
                    regular_expression(value_of_word(test.value, dict[str, object]().__getitem__))
            case Wait(job):
                if job not in self.jobs and job not in self.misnamed:
                    known = f"Jobs so far: {', '.join(self.jobs)}." if self.jobs else f"It begins with `… &{job}`."
                    raise Usage(f"unknown job {job}", help=known)
                self.waiting.pop(job, None)
            case Sleep():
                help = "`within 5s: …` waits for a condition."
                self.problems.append(Problem(number, "sleep waits too long or too short", help, warning=True))
            case _:
                raise Usage("a pipe is for the shell", help="Take a value by its path: `status .verdict -> $verdict`.")

    def _known(self, variables: list[str]) -> None:
        for name in variables:
            if name not in self.variables:
                known = f"Known here: {', '.join(f'${one}' for one in self.variables)}." if self.variables else ""
                raise Usage(f"${name} has no value here", help=known or f"`get cart .context -> ${name}` gives it one.")

    def _command(self, command: Command) -> list[str]:
        """The words, a placeholder in the place of each variable. Raises Usage for what would be refused."""
        for word in command.words:
            self._known(word.variables)
        if command.words[0].bare is None:
            raise Usage("a command cannot be quoted or a variable", help="`dsectl help` lists the commands.")
        unknown = any(word.variables for word in command.words)
        refusals: list[Usage] = []
        for placeholder in PLACEHOLDERS if unknown else ("",):
            texts = [word.text(placeholder) for word in command.words]
            held = {word.text(placeholder) for word in command.words if word.variables}
            try:
                self.given = [one for one in check_argv(texts, in_recipe=True) if str(one.value) not in held]
                break
            except Usage as error:
                refusals.append(error)
        else:
            raise refusals[0]
        if any(word.bare == "-" for word in command.words[1:]):
            help = "`@FILE` reads a file; --literal means the dash itself."
            raise Usage("there is no standard input here", help=help)
        return texts


def refuse_polling(argv: list[str]) -> None:
    """Raises Usage for a command that must not be repeated, or does not end."""
    found = lookup(take_options(argv, Options()))
    if found is None:
        return  # the command line says so
    entry, _ = found
    if not entry.readonly:
        help = "Run it once, and poll a command that only reads, such as `get` or `members`."
        raise Usage(f"{entry.name} changes something, and so must not be polled", help=help)
    following = [option for option in entry.streams if option in argv]
    if following:
        raise Usage(f"{entry.name} with {following[0]} does not end, and so cannot be polled")


def check_argv(argv: list[str], *, in_recipe: bool = False) -> list[Given]:
    """What a command line gives. Raises Usage for what `invoke(argv)` would refuse before it does anything."""
    from dsectl.cli.app import unknown
    from dsectl.cli.parsing import check

    options = Options()
    words = take_options(argv, options)
    if not words:
        raise Usage("a command is missing", help="`dsectl help` lists the commands.")
    if words[0] in RESERVED:
        raise Usage(f"{words[0]} cannot be used here: it begins a line")
    if in_recipe and options.cluster is not None:
        raise Usage("-C has no place here: a recipe speaks to its own cluster")
    found = lookup(words)
    if found is None:
        raise unknown(words[0], words[1:])
    entry, named_by = found
    if in_recipe and entry.barred:
        help = "`dsectl help recipes` shows which steps there are."
        raise Usage(f"{entry.name} has no place here: {entry.barred}", help=help)
    given = check(entry, words[named_by:])
    return given if options.via is None else [*given, Given("via", "NODE", options.via)]
