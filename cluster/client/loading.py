"""A class of services from a file or a module, as `MODULE:CLASS` or `PATH.py:CLASS`."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from cluster.errors import Usage


def load_service(target: str) -> type:
    """The class, which is a service. Modules are looked for in the current folder first, those that a file imports in
    the file's. Raises Usage."""
    from cluster.requests.service import definition_of

    place, _, name = target.rpartition(":")
    if not place or not name.isidentifier():
        raise Usage(f"{target!r} does not name a class: expected MODULE:CLASS or PATH.py:CLASS")
    module = _load(place, name)
    found = getattr(module, name, None)
    if not isinstance(found, type):
        services = [known for known, one in vars(module).items() if hasattr(one, "__service__")]
        help = (
            f"It has the {'service' if len(services) == 1 else 'services'} {', '.join(services)}." if services else None
        )
        raise Usage(f"{place} has no class {name!r}", help=help)
    definition_of(found)
    return found


def _load(place: str, name: str) -> ModuleType:
    path = Path(place)
    folder = str(path.resolve().parent if path.suffix == ".py" else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        if path.suffix != ".py":
            return import_module(place)
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None, "a loader follows from the suffix"
        module = module_from_spec(spec)
        sys.modules[path.stem] = module  # where the types of its methods are looked for
        spec.loader.exec_module(module)
        return module
    except FileNotFoundError:
        raise Usage(f"there is no file {place}", help="Its path begins at the current folder.") from None
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise Usage(
                f"there is no module {place!r}",
                help="Modules are looked for in the current folder; PATH.py:CLASS names a file anywhere.",
            ) from None
        raise Usage(f"{place} cannot be loaded: {error}") from error
    except ImportError as error:
        help = None
        if path.suffix == ".py" and "relative import" in str(error):
            help = f"A file is loaded without its package; name the module instead: `{_as_module(path)}:{name}`."
        raise Usage(f"{place} cannot be loaded: {error}", help=help) from error
    except Exception as error:  # whatever the code of a user does
        raise Usage(f"{place} cannot be loaded: {type(error).__name__}: {error}") from error


def _as_module(path: Path) -> str:
    """What a file of a package is called as a module, from the folder that the outermost package is in."""
    folder = path.resolve().parent
    names = [path.stem]
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names)
