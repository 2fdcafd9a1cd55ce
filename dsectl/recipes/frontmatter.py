"""What stands above a recipe: the cluster it needs, the principles it shows, and the change that must turn it red.

YAML decoded into a struct, so that what is misspelt or of the wrong type is refused (`no` would be a False).
"""

from typing import Final

import msgspec

from cluster.config import node_settings
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError, Usage
from dsectl.ui.units import duration

PRINCIPLES: Final = (
    "decentralization",
    "asynchrony",
    "autonomy",
    "local responsibility",
    "controlled concurrency",
    "failure tolerant",
    "controlled parallelism",
    "small well-understood building blocks",
    "symmetry",
    "simplicity",
)
"""In the order of Amazon's description of its distributed systems (2007)."""
TIMEOUT_S = 60.0
EXIT_FAILED, EXIT_INCONCLUSIVE = 1, 3


class Red(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text of a step that is replaced, and the code with which the recipe must then end."""

    replace: str
    with_: str = msgspec.field(name="with")
    exit: int = EXIT_FAILED


class FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that a recipe may have; all of them can be left out."""

    nodes: int = 5
    zones: int = 1
    replication: str = "3/2/2"
    profile: str = "local"
    durability: str = "interval"
    store: str = "memory"
    principles: tuple[str, ...] = ()
    timeout: str = f"{TIMEOUT_S:.0f}s"
    """For the whole recipe, after its cluster has started."""
    red: Red | None = None

    @property
    def timeout_s(self) -> float:
        """In seconds."""
        return duration(self.timeout)

    def spec(self, name: str) -> ClusterSpec:
        """The cluster that it asks for. Raises Usage."""
        return ClusterSpec(
            name=name,
            nodes=self.nodes,
            zones=self.zones,
            replication=self.replication,
            profile=self.profile,
            durability=self.durability,
            store=self.store,
        ).resolved()


def read_front_matter(text: str) -> FrontMatter:
    """Decode and check. Raises Usage."""
    import yaml

    try:
        found = msgspec.convert(yaml.safe_load(text) or {}, FrontMatter)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" on line {mark.line + 2}" if mark is not None else ""
        raise Usage(f"the front matter is no YAML{where}: {getattr(error, 'problem', error)}") from None
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(FrontMatter))
        raise Usage(f"front matter: {str(error)[:1].lower()}{str(error)[1:]}", help=f"Its keys: {known}.") from None
    except RecursionError:
        raise Usage("the front matter is nested too deeply") from None
    _check(found)
    return found


def _check(found: FrontMatter) -> None:
    for principle in found.principles:
        if principle not in PRINCIPLES:
            raise Usage(f"{principle!r} is none of the principles", help=f"They are: {', '.join(PRINCIPLES)}.")
    try:
        found.spec("recipe")
        node_settings(durability=found.durability)
    except ClusterError as error:
        raise Usage(f"front matter: {error.message}", help=error.help) from None
    if found.timeout_s <= 0:
        raise Usage("front matter: the timeout must be above 0")
    if found.red is not None and found.red.exit not in (EXIT_FAILED, EXIT_INCONCLUSIVE):
        raise Usage(f"front matter: red may end with {EXIT_FAILED} or {EXIT_INCONCLUSIVE}, not {found.red.exit}")
