"""The docs are true: generated pages are as generated now, links lead somewhere, what is named exists."""

import re
from pathlib import Path

import pytest

from cluster.errors import REGISTRY
from dsectl.reference import DOCS, PAGES
from dsectl.table import COMMANDS

ROOT = DOCS.parent
WRITTEN = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


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
    later = {"shell", "recipe"}  # named as coming next
    assert [name for _, name in shown if name not in COMMANDS and name not in later] == []


def test_every_package_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    packages = [folder.name for folder in (ROOT / "cluster").iterdir() if (folder / "__init__.py").exists()]
    assert [name for name in packages if f"`{name}`" not in readme] == []
