"""The docs are true: generated pages are as generated now, links lead somewhere, what is named exists."""

import re
import shlex
from pathlib import Path

import msgspec
import pytest
import yaml

from cluster.errors import REGISTRY
from dsectl.cli.table import COMMANDS
from dsectl.cli.topics import find_terms, terms, topics
from dsectl.commands.help import about
from dsectl.recipes.check import check_recipe
from dsectl.recipes.document import read_recipe
from dsectl.recipes.frontmatter import FrontMatter
from dsectl.reference import DOCS, PAGES
from dsectl.script.check import check_argv
from dsectl.script.grammar import parse
from dsectl.script.values import OPERATORS

ROOT = DOCS.parent
WRITTEN = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "recipes").glob("*.md")),
]


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks of a kind on a page of the docs."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def command_lines(lines: list[str]) -> list[list[str]]:
    """The words behind `dsectl` of those lines that are command lines of it."""
    found = [re.match(r"(?:\$ )?dsectl (.*)", line) for line in lines]
    return [shlex.split(match[1]) for match in found if match]


@pytest.mark.parametrize("name", list(PAGES))
def test_generated_pages_are_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m dsectl.reference"


def test_every_command_and_every_error_is_documented() -> None:
    commands = (DOCS / "cli.md").read_text(encoding="utf-8")
    errors = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"### dsectl {name}\n" not in commands] == []
    assert [code for code in REGISTRY if f"`{code}`" not in errors] == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_commands_that_are_shown_exist(page: Path) -> None:
    shown = re.findall(r"(?:^\$ |`)dsectl ((?:-C \S+ )?)([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    known = {name.partition(" ")[0] for name in COMMANDS}
    assert [name for _, name in shown if name not in known] == []


def test_the_snippets_for_ci_are_yaml_and_keep_report_and_evidence() -> None:
    found = blocks("recipes.md", "yaml")
    assert len(found) == 2
    for text in found:
        yaml.safe_load(text)
        assert "--junit recipes.xml" in text and "kept" in text, text
    (github, gitlab) = map(yaml.safe_load, found)
    runs = [step["run"] for step in github["jobs"]["recipes"]["steps"] if "run" in step]
    assert command_lines(runs) == command_lines(gitlab["recipes"]["script"]) != []


@pytest.mark.parametrize("page", ["recipes.md"])
def test_command_lines_of_snippets_would_be_accepted(page: str) -> None:
    lines = [line for kind in ("sh", "console") for text in blocks(page, kind) for line in text.splitlines()]
    lines += [run for text in blocks(page, "yaml") for run in re.findall(r"dsectl recipe .*", text)]
    found = command_lines(lines)
    assert len(found) > 4
    for words in found:
        check_argv(words)
        if words[:2] == ["shell", "-c"]:
            assert parse(words[2], shell=True) is not None


def test_the_language_is_documented_as_it_is() -> None:
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    keys = [field.encode_name for field in msgspec.structs.fields(FrontMatter)]
    assert [key for key in keys if f"| `{key}` |" not in page] == []
    assert [operator for operator in OPERATORS if f'"{operator}"' not in page] == []
    (example,) = re.findall(r"^````markdown\n(.*?)^````$", page, re.MULTILINE | re.DOTALL)
    recipe = read_recipe(example, "basket.md")
    assert check_recipe(recipe) == [] and recipe.steps[-1].number == 26, "the line that the transcript names"
    told = re.findall(r"^(\S.*?\S)  +\S", topics()["recipes"].text, re.MULTILINE)
    assert len(told) >= 7 and all(parse(step) for step in told), "the steps of `dsectl help recipes`"
    assert all(key in topics()["recipes"].text for key in keys)


def test_every_package_is_named_in_the_architecture() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    packages = [init.parent.name for top in ("cluster", "dsectl") for init in (ROOT / top).glob("*/__init__.py")]
    assert [name for name in packages if f"`{name}`" not in page] == []


def test_every_file_that_the_architecture_names_exists() -> None:
    names = set(re.findall(r"([a-z_/]+\.py)\b", (DOCS / "architecture.md").read_text(encoding="utf-8")))
    known = {str(path.relative_to(ROOT)) for top in ("cluster", "dsectl") for path in (ROOT / top).rglob("*.py")}
    places = ("", "cluster/", "cluster/client/", "dsectl/cli/")
    assert len(names) > 40
    assert [name for name in sorted(names) if not any(place + name in known for place in places)] == []


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda page: page.name)
def test_decisions_have_one_form(page: Path) -> None:
    """A number of its own, a title, status and date, then what was decided and why."""
    text, number = page.read_text(encoding="utf-8"), page.name[:4]
    assert re.match(
        rf"# {number}: .+\n\n(Accepted|Replaced by \d{{4}}), \d{{4}}-\d\d-\d\d\.\n\n\*\*Decision\.\*\* ", text
    )
    assert "**Why.** " in text
    assert len(list(page.parent.glob(f"{number}-*"))) == 1, "the number of another one"


def test_the_readme_stays_short() -> None:
    words = (ROOT / "README.md").read_text(encoding="utf-8").split()
    assert 500 <= len(words) <= 800, "the rest lives in docs/"


def test_the_glossary_is_in_order_and_names_what_there_is() -> None:
    names = [term.name for term in terms()]
    assert names == sorted(names)
    paragraphs = re.findall(r"^\*\*", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) == len(paragraphs), "a paragraph is not written as the others are"
    known = {name.partition(" ")[0] for name in COMMANDS} | set(topics())
    assert [(term.name, one) for term in terms() for one in term.see if one not in known] == []
    assert all(term.text.endswith(".") and term.text[0].isupper() for term in terms())


@pytest.mark.parametrize(
    "word", ["sibling", "siblings", "context", "hint", "quorum", "ring", "dot", "epoch", "vector clock", "Fallback"]
)
def test_every_word_of_the_field_has_help(word: str) -> None:
    assert about(word.split()) and find_terms(word)


def test_a_command_or_topic_of_that_name_comes_first() -> None:
    assert about(["ring"])[-1] == "  See `dsectl ring`." and len(about(["ring"])) > 10, "the command, then the term"
    assert any("fallback keeps" in line for line in about(["hint"]))
    assert len([line for line in about(["partition"]) if line.startswith("partition (of ")]) == 2
