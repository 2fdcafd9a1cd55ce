"""The files shipped beside the code: recipes and shell completions.

A wheel carries them inside the package, under `dsectl/_data/`; an editable install reads the folders of the source tree
next to the package. Does not say what the files mean, and never writes.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

Folder = Literal["recipes", "completions"]


def folder(name: Folder) -> Traversable:
    """The folder `name`, from the wheel or from the source tree; use `.iterdir()` to list it."""
    package = files("dsectl")
    shipped = package / "_data" / name
    if shipped.is_dir():
        return shipped
    # Not in a wheel, so the package is a real directory and the folder is its neighbour.
    return Path(str(package)).parent / name


def resource(folder_name: Folder, name: str) -> Traversable:
    """The file `name` of a shipped folder; FileNotFoundError if there is none. `name` is a plain file name, no path."""
    found = folder(folder_name) / name
    if "/" in name or not found.is_file():
        raise FileNotFoundError(f"{folder_name} holds no file {name!r}")
    return found
