"""The files shipped beside the code: recipes, shell completions, and the pages of docs/ that `dsectl help` reads.

A wheel carries them inside the package, under `dsectl/_data/`; an editable install reads the folders of the source tree
next to the package. Does not say what the files mean, and never writes.
"""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

SUFFIX = ".md"
INDEX = "README.md"
"""Of the recipes: it links them in the order in which they are best read."""

Folder = Literal["recipes", "completions", "docs"]


def folder(name: Folder) -> Traversable:
    """The folder `name`, from the wheel or from the source tree; use `.iterdir()` to list it."""
    package = files("dsectl")
    shipped = package / "_data" / name
    if shipped.is_dir():
        return shipped
    # Not in a wheel, so the package is a real directory and the folder is its neighbour.
    return Path(str(package)).parent / name


def recipe_names() -> list[str]:
    """The names of the shipped recipes, in the order of their index; what it does not link comes last."""
    files = (entry.name for entry in folder("recipes").iterdir())
    there = sorted(file.removesuffix(SUFFIX) for file in files if file.endswith(SUFFIX) and file != INDEX)
    linked = re.findall(r"\]\(([\w-]+)\.md\)", resource("recipes", INDEX).read_text(encoding="utf-8"))
    return [*(name for name in dict.fromkeys(linked) if name in there), *(name for name in there if name not in linked)]


def resource(folder_name: Folder, name: str) -> Traversable:
    """The file `name` of a shipped folder; FileNotFoundError if there is none. `name` is a plain file name, no path."""
    found = folder(folder_name) / name
    if "/" in name or not found.is_file():
        raise FileNotFoundError(f"{folder_name} holds no file {name!r}")
    return found
