"""Where recipes are: those that come with dsectl by their names, and any file by its path."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from cluster.errors import NotFound, Usage
from dsectl.cli import resources
from dsectl.cli.resources import recipe_names, resource
from dsectl.recipes.document import Recipe, read_recipe

SUFFIX = resources.SUFFIX
names = recipe_names


@dataclass(frozen=True)
class Listed:
    """One that comes with dsectl."""

    name: str
    file: str
    title: str
    principles: tuple[str, ...]


def library() -> list[Recipe]:
    """All of them."""
    return [load(name) for name in names()]


def listed(recipe: Recipe, name: str) -> Listed:
    """A line of the list."""
    return Listed(name, recipe.file, recipe.title, recipe.meta.principles)


def load(name: str) -> Recipe:
    """A recipe by its name in the library, or by its path. Raises NotFound or Usage."""
    if "/" not in name and not name.endswith(SUFFIX):
        return _shipped(name)
    path = Path(name)
    try:
        return read_recipe(path.read_bytes().decode(), name)
    except FileNotFoundError:
        raise NotFound(f"there is no file {name}", help="`dsectl recipe list` shows those that come with it.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Usage(f"cannot read {name}: {reason}") from None


def _shipped(name: str) -> Recipe:
    try:
        found = resource("recipes", name + SUFFIX)
    except FileNotFoundError:
        close = get_close_matches(name, names(), n=1, cutoff=0.5)
        help = f"Did you mean {close[0]}? " if close else ""
        raise NotFound(
            f"no recipe is called {name!r}", help=f"{help}`dsectl recipe list` shows all; a file has its path or .md."
        ) from None
    return read_recipe(found.read_text(encoding="utf-8"), str(found))
