"""A recipe file as a value: CommonMark whose blocks marked `dsectl` hold steps, and those marked `predict` a question.

`#` is the title, `##` begins a case. Every step keeps its line. Anything that would be skipped in silence is refused: a
block that is not closed, or that stands inside a list, or a misspelt mark.
"""

from dataclasses import dataclass, field

from cluster.errors import Usage
from dsectl.recipes.frontmatter import FrontMatter, read_front_matter
from dsectl.script.check import Problem
from dsectl.script.tokens import Line, join_lines

STEPS, PREDICT = "dsectl", "predict"
BYTES_MAX = 1024 * 1024
"""A lesson has some kilobytes."""


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
    """A question for the reader, asked before what follows."""

    line: int
    question: str


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
    """What is wrong with its form."""

    @property
    def steps(self) -> list[Line]:
        """All steps."""
        return [step for case in self.cases for step in case.steps]


def read_recipe(text: str, file: str) -> Recipe:
    """Take a file's text apart. What is wrong ends in `problems`; nothing is raised."""
    recipe = Recipe(file, text, FrontMatter(), "", [], [])
    if len(text) > BYTES_MAX:
        recipe.problems.append(Problem(1, "a recipe has at most 1 MiB"))
        return recipe
    _Reader(recipe).read()
    if not recipe.steps and not recipe.problems:
        recipe.problems.append(
            Problem(1, "there are no steps in it", "Steps stand in blocks that begin with ```dsectl and end with ```.")
        )
    return recipe


class _Reader:
    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.lines = recipe.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.prose_from = 0

    def read(self) -> None:
        from markdown_it import MarkdownIt
        from mdit_py_plugins.front_matter import front_matter_plugin

        tokens = MarkdownIt("commonmark").use(front_matter_plugin).parse("\n".join(self.lines))
        for position, token in enumerate(tokens):
            begin, end = token.map or (0, 0)
            if token.type == "front_matter":
                self._front_matter(token.content, end)
            elif token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2"):
                self._heading(token.tag, tokens[position + 1].content, begin, end)
            elif token.type == "fence":
                self._fence(token.info.strip(), token.content, begin, end, nested=token.level > 0)
        if self.lines[:1] == ["---"] and not any(token.type == "front_matter" for token in tokens):
            self._wrong(0, "the front matter is not closed", "It ends with a line of three dashes.")
        self._prose(len(self.lines))

    def _front_matter(self, content: str, end: int) -> None:
        self.prose_from = end
        try:
            self.recipe.meta = read_front_matter(content)
        except Usage as error:
            self._wrong(0, error.message, error.help)

    def _heading(self, tag: str, text: str, begin: int, end: int) -> None:
        recipe = self.recipe
        self._prose(begin)
        self.prose_from = end
        if tag == "h2":
            if any(case.name == text for case in recipe.cases):
                self._wrong(begin, f"there are two cases called {text!r}", "Reports name cases by their headings.")
            recipe.cases.append(Case(text, begin + 1))
        elif recipe.title:
            self._wrong(begin, "there is a second title", "`#` is the title of the whole; `##` begins a case.")
        else:
            recipe.title = text

    def _fence(self, info: str, content: str, begin: int, end: int, *, nested: bool) -> None:
        kind = info.split()[0] if info else ""
        if kind not in (STEPS, PREDICT):
            if kind.lower().strip("{}.") in (STEPS, "dsect", "dsctl", PREDICT):
                self._wrong(begin, f"a block marked {kind!r} is not run", f"The mark is `{STEPS}` or `{PREDICT}`.")
            return
        if info != kind:
            self._wrong(begin, f"{info!r}: nothing comes behind `{kind}`")
        elif nested:
            self._wrong(begin, f"a {kind} block stands inside a list or a quote", "Begin it at the line's start.")
        elif end - begin != content.count("\n") + 2:
            self._wrong(begin, f"this {kind} block is not closed", "It ends with a line of three backticks.")
        else:
            self._prose(begin)
            self.prose_from = end
            part: Part = Predict(begin + 1, content.strip())
            if kind == STEPS:
                part = Block(begin + 1, tuple(join_lines(content.split("\n"), begin + 2)))
            self._case(begin).parts.append(part)

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
