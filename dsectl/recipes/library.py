"""Where recipes are: those that come with dsectl by their names, and any file by its path."""

from difflib import get_close_matches
from pathlib import Path

from cluster.errors import NotFound, Usage
from dsectl.cli.resources import SUFFIX, recipe_names, resource
from dsectl.recipes.document import Recipe, read_recipe


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
