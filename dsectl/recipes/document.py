"""A recipe file as a value: CommonMark whose blocks marked `dsectl` hold steps, those marked `predict` a question, and
those marked `python NAME.py` a file that the steps find in the folder `$files`.

Those that come with dsectl are found by their names, any file by its path. `#` is the title, `##` begins a case. Every
step keeps its line. What could be meant as steps and would not run is refused, wherever it stands: a test that was
skipped in silence would make the recipe green.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import ClusterError, NotFound, Usage
from dsectl.cli.resources import SUFFIX, recipe_names, resource
from dsectl.cli.table import lookup
from dsectl.recipes.frontmatter import FrontMatter, read_front_matter
from dsectl.script.check import Problem
from dsectl.script.grammar import Expect, Fails, Run, Start, Step, parse
from dsectl.script.tokens import Line, join_lines

if TYPE_CHECKING:
    from markdown_it.token import Token

STEPS, PREDICT, PYTHON = "dsectl", "predict", "python"
FILES = "files"
"""The variable that holds the folder of a recipe's own files."""
BYTES_MAX = 1024 * 1024
"""A lesson has some kilobytes."""
SETTINGS = FrontMatter.__struct_fields__
ALIKE = 0.75
"""Similarity from which a mark is taken for a misspelt one: `dsecl` and `dsctl` are, `dsl` and `select` are not."""
ANSWER = "answer:"

_FENCE = re.compile(r"[^A-Za-z_`~]*(?:`{3,}|~{3,})[ \t]*(\S.*)")
"""A line that would open a block with a mark, if nothing around it says otherwise."""
_FILE_NAME = re.compile(r"[a-z_][a-z0-9_]*\.py")
_DASHES = re.compile(r"-{3,}\s*")
_SETTING = re.compile(r"\s*(\w+)\s*:")
_CONTAINER = re.compile(r"^(?:[\s>*+\-]|\d+[.)]|\[[ xX]\])*|<!--|-->|<[^>]*>")
"""What of a line belongs to lists, quotes, comments and tags."""


@dataclass(frozen=True)
class Prose:
    """Markdown between blocks."""

    line: int
    text: str


@dataclass(frozen=True)
class Block:
    """Steps."""

    line: int
    steps: tuple[Line, ...]


@dataclass(frozen=True)
class Predict:
    """A question for the reader, asked before what follows; `answer` is shown once that has run, its variables
    replaced."""

    line: int
    question: str
    answer: str = ""


Part = Prose | Block | Predict


@dataclass
class Case:
    """A chapter, and a test case."""

    name: str
    line: int
    parts: list[Part] = field(default_factory=list)

    @property
    def steps(self) -> list[Line]:
        """All its steps."""
        return [step for part in self.parts if isinstance(part, Block) for step in part.steps]


@dataclass
class Recipe:
    """A whole file."""

    file: str
    text: str
    meta: FrontMatter
    title: str
    cases: list[Case]
    problems: list[Problem]
    files: dict[str, str] = field(default_factory=dict)
    """What its blocks of code say that have a file name, by name."""

    @property
    def steps(self) -> list[Line]:
        """All steps."""
        return [step for case in self.cases for step in case.steps]


def library() -> dict[str, Recipe]:
    """All that come with dsectl, by name."""
    return {name: load(name) for name in recipe_names()}


def load(name: str) -> Recipe:
    """A recipe by its name in the library, or by its path. Raises NotFound or Usage."""
    is_file = "/" in name or name.endswith(SUFFIX)
    try:
        found = Path(name) if is_file else resource("recipes", name + SUFFIX)
        return read_recipe(found.read_bytes().decode(), name if is_file else str(found))
    except FileNotFoundError:
        if is_file:
            help = "`dsectl recipe list` shows those that come with it."
            raise NotFound(f"there is no file {name}", help=help) from None
        close = get_close_matches(name, recipe_names(), n=1, cutoff=0.5)
        help = f"Did you mean {close[0]}? " if close else ""
        raise NotFound(
            f"no recipe is called {name!r}", help=f"{help}`dsectl recipe list` shows all; a file has its path or .md."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Usage(f"cannot read {name}: {reason}") from None


def read_recipe(text: str, file: str) -> Recipe:
    """Take a file's text apart. What is wrong ends in `problems`; nothing is raised."""
    recipe = Recipe(file, text, FrontMatter(), "", [], [])
    if len(text) > BYTES_MAX:
        recipe.problems.append(Problem(1, "a recipe has at most 1 MiB"))
        return recipe
    _Reader(recipe).read()
    if not recipe.steps and not recipe.problems:
        recipe.problems.append(
            Problem(1, "it has no steps", "Steps stand in blocks that begin with ```dsectl and end with ```.")
        )
    return recipe


class _Reader:
    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        text = recipe.text.removeprefix("\ufeff")  # some editors put a byte order mark before all they save
        self.lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.prose_from = 0
        self.read_lines: set[int] = set()
        """Those of blocks that were taken, or refused already."""

    def read(self) -> None:
        from markdown_it import MarkdownIt

        body = self._front_matter()
        tokens = MarkdownIt("commonmark").parse("\n".join([""] * body + self.lines[body:]))
        self.prose_from = body
        for position, token in enumerate(tokens):
            if token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2"):
                self._heading(token, tokens[position + 1].content)
            elif token.type == "fence":
                self._fence(token)
            elif token.type == "code_block":
                self._commands_only(token.content, token.map[0] if token.map else 0)
        self._prose(len(self.lines))
        self._not_run(body)

    def _front_matter(self) -> int:
        """Read it, from the first line that is not empty; returns the number of lines before the body."""
        begin = next((number for number, line in enumerate(self.lines) if line.strip()), 0)
        if self.lines[begin].startswith("+++"):
            self._wrong(begin, "the front matter is TOML", "It is YAML, between two lines of three dashes.")
        if not _DASHES.fullmatch(self.lines[begin]):
            return 0
        for end in range(begin + 1, len(self.lines)):
            if _DASHES.fullmatch(self.lines[end]):
                try:
                    self.recipe.meta = read_front_matter("\n".join(self.lines[begin + 1 : end]), begin + 2)
                except Usage as error:
                    self._wrong(error.detail.get("line", begin + 1) - 1, error.message, error.help)
                return end + 1
        self._wrong(begin, "the front matter is not closed", "It ends with a line of three dashes.")
        return 0

    def _heading(self, token: "Token", text: str) -> None:
        recipe = self.recipe
        begin, end = token.map or (0, 0)
        self._prose(begin)
        self.prose_from = end
        if token.tag == "h2":
            setting = _SETTING.match(text)
            if token.markup == "-" and setting and setting[1] in SETTINGS:
                self._wrong(begin, f"the setting {setting[1]!r} is not read", _AT_THE_TOP)
            if any(case.name == text for case in recipe.cases):
                self._wrong(begin, f"there are two cases called {text!r}", "Reports name cases by their headings.")
            recipe.cases.append(Case(text, begin + 1))
        elif recipe.title:
            self._wrong(begin, "there is a second title", "`#` is the title of the whole; `##` begins a case.")
        else:
            recipe.title = text

    def _fence(self, token: "Token") -> None:
        begin, end = token.map or (0, 0)
        info = token.info.strip()
        kind = info.split()[0] if info else ""
        if kind == PYTHON and info != kind:
            self._file(info.removeprefix(kind).strip(), token.content, begin)
        elif kind not in (STEPS, PREDICT):
            if not info:
                self._commands_only(token.content, begin + 1)
            names = [line.partition(":")[0] for line in token.content.splitlines() if not line.startswith((" ", "#"))]
            if kind.lower() in ("yaml", "yml") and names and set(names) <= {*SETTINGS, "---"}:
                self._wrong(begin + 1, "settings in a block are not read", _AT_THE_TOP)
        if kind not in (STEPS, PREDICT):
            return
        self.read_lines.update(range(begin, end))
        last = self.lines[end - 1].strip()
        if info != kind:
            self._wrong(begin, f"{info!r}: nothing comes behind `{kind}`")
        elif token.level > 0:
            self._wrong(begin, f"a {kind} block stands inside a list or a quote", "Begin it at the line's start.")
        elif end - 1 == begin or not re.fullmatch(re.escape(token.markup) + rf"{token.markup[0]}*", last):
            self._wrong(begin, f"this {kind} block is not closed", "It ends with a line of three backticks.")
        else:
            self._prose(begin)
            self.prose_from = end
            parts = self._case(begin).parts
            question, _, answer = token.content.strip().rpartition("\n")
            if kind == STEPS:
                parts.append(Block(begin + 1, tuple(join_lines(token.content.split("\n"), begin + 2))))
            elif answer.lower().startswith(ANSWER):
                parts.append(Predict(begin + 1, question.strip(), answer[len(ANSWER) :].strip()))
            else:
                parts.append(Predict(begin + 1, token.content.strip()))

    def _file(self, name: str, content: str, begin: int) -> None:
        """Code that the steps find in a file; it stays a part of the prose."""
        if not _FILE_NAME.fullmatch(name):
            help = "Letters, digits and _, then .py: ```python pricing.py"
            self._wrong(begin, f"{name!r} is no name of a file for this code", help)
        elif name in self.recipe.files:
            self._wrong(begin, f"there are two files called {name}")
        else:
            self.recipe.files[name] = content

    # -- what could be steps, and is not run

    def _not_run(self, body: int) -> None:
        """Refuse each line outside of all blocks that opens one, and else each that is a test."""
        is_told = False
        before = ""
        for number in range(body, len(self.lines)):
            line = self.lines[number]
            setting = _SETTING.match(line) if _DASHES.fullmatch(before) and number not in self.read_lines else None
            told = any(problem.line == number + 1 for problem in self.recipe.problems)
            if setting and setting[1] in SETTINGS and not told:
                self._wrong(number, f"the setting {setting[1]!r} is not read", _AT_THE_TOP)
            before = line if line.strip() else before
            opens = _FENCE.match(line)
            if number in self.read_lines or opens:
                is_told = False
            if number in self.read_lines:
                continue
            if opens and (mark := _meant(opens[1])):
                is_told = True
                written = opens[1].strip("`~ ")
                help = _PLACE if written == mark else f"The mark is `{mark}`, and nothing else."
                self._wrong(number, f"a block marked {written!r} is not run here", help)
            elif not is_told and _is_test(_CONTAINER.sub("", line).strip()):
                self._wrong(number, f"this step is not run: {line.strip()[:60]}", _BETWEEN)

    def _commands_only(self, content: str, begin: int) -> None:
        """Refuse code without a mark whose lines are all commands."""
        texts = [line.text for line in join_lines(content.split("\n"))]
        steps = [_step(text) for text in texts if not _is_test(text)]
        commands = [
            lookup([word.text() for word in step.command.words]) if isinstance(step, Run | Start | Fails) else step
            for step in steps
        ]
        if texts and len(steps) == len(texts) and None not in commands:
            help = f"{_BETWEEN} A block marked `text` is only shown."
            self._wrong(begin, f"these look like steps, and are not run: {texts[0][:60]}", help)

    def _prose(self, end: int) -> None:
        """What stands between the last heading or block and line `end`."""
        begin, self.prose_from = self.prose_from, end
        text = "\n".join(self.lines[begin:end]).strip("\n")
        if text.strip():
            self._case(begin).parts.append(Prose(begin + 1, text))

    def _case(self, line: int) -> Case:
        """The case that a part belongs to; what stands before the first one is a case with the title's name."""
        recipe = self.recipe
        if not recipe.cases:
            recipe.cases.append(Case(recipe.title or recipe.file, line + 1))
        return recipe.cases[-1]

    def _wrong(self, line: int, message: str, help: str = "") -> None:
        self.recipe.problems.append(Problem(line + 1, message, help))


_AT_THE_TOP = "Front matter stands at the very top, between two lines of three dashes."
_BETWEEN = "Steps that run stand between ```dsectl and ```."
_PLACE = "Begin it at the start of its line, outside of lists, quotes, comments, indented text and other blocks."


def _meant(info: str) -> str:
    """Which mark a block's info string may stand for; empty if it is another one."""
    for word in re.findall(r"[a-z0-9]+", unicodedata.normalize("NFKC", info).casefold()):
        for mark in (STEPS, PREDICT):
            if word.startswith(mark) or get_close_matches(word, [mark], cutoff=ALIKE):
                return mark
    return ""


def _step(text: str) -> Step | None:
    try:
        return parse(text)
    except ClusterError:
        return None


def _is_test(text: str) -> bool:
    """Whether a line outside of all blocks is a step that tests something."""
    return text.startswith(("expect ", "within ", "always ")) and isinstance(_step(text), Expect)
