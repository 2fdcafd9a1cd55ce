"""What stands above a recipe: the cluster it needs, the principles it shows, and the change that must turn it red.

YAML decoded into a struct, so that what is misspelt or of the wrong type is refused. Its words stay words: YAML's own
types would make False of `no`, 8 of `010` and 90 of `1:30`.
"""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import msgspec

from cluster.config import node_settings
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError, Usage
from dsectl.ui.units import duration
from dsectl.ui.verdicts import EXIT_CODES, FAILED, INCONCLUSIVE

if TYPE_CHECKING:
    from yaml import Node

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
_WORDS = {
    "int": "a whole number",
    "array": "a list, as in [symmetry, simplicity]",
    "object": "keys with their values, as in `nodes: 5`",
}


class Red(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text of a step that is replaced, and the code with which the recipe must then end."""

    replace: str
    with_: str = msgspec.field(name="with")
    exit: int = EXIT_CODES[FAILED]


class FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that a recipe may have; all of them can be left out."""

    nodes: int = 5
    zones: int = 1
    replication: str = "3/2/2"
    profile: str = "local"
    durability: str = "interval"
    store: str = "memory"
    principles: tuple[str, ...] = ()
    timeout: str = "1m"
    """For the whole recipe, after its cluster has started."""
    red: Red | None = None

    @property
    def timeout_s(self) -> float:
        """In seconds."""
        return duration(self.timeout)

    def spec(self, name: str) -> ClusterSpec:
        """The cluster that it asks for. Raises Usage."""
        asked = ("nodes", "zones", "replication", "profile", "durability", "store")
        return ClusterSpec(name=name, **{setting: getattr(self, setting) for setting in asked}).resolved()


def read_front_matter(text: str, line: int = 2) -> FrontMatter:
    """Decode and check; `line` is where `text` begins in its file. Raises Usage, with the line where it is known."""
    import yaml

    try:
        node = yaml.compose(text, yaml.BaseLoader)
        if node is not None:
            _refuse_twice(node, line)
        found = msgspec.convert(yaml.load(text, yaml.BaseLoader) or {}, FrontMatter, strict=False)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = {} if mark is None else {"line": mark.line + line}
        raise Usage(f"invalid YAML in the front matter: {getattr(error, 'problem', error)}", **where) from None
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(FrontMatter))
        raise Usage(f"front matter: {_plain(str(error))}", help=f"Its keys: {known}.") from None
    except RecursionError:
        raise Usage("the front matter is nested too deeply") from None
    for principle in found.principles:
        if principle not in PRINCIPLES:
            raise Usage(f"unknown principle {principle!r}", help=f"They are: {', '.join(PRINCIPLES)}.")
    try:
        found.spec("recipe")
        node_settings(durability=found.durability, store=found.store)
    except ClusterError as error:
        help = error.help if error.help != Usage.help_text else "`dsectl help up` says what these may be."
        raise Usage(f"front matter: {error.message}", help=help) from None
    try:
        if found.timeout_s <= 0:
            raise Usage("must be above 0")
    except Usage as error:
        raise Usage(f"front matter: timeout: {error.message}", help=error.help) from None
    red = [EXIT_CODES[FAILED], EXIT_CODES[INCONCLUSIVE]]
    if found.red is not None and found.red.exit not in red:
        raise Usage(f"front matter: red may end with {red[0]} or {red[1]}, not {found.red.exit}")
    return found


def _refuse_twice(node: "Node", line: int) -> None:
    """YAML forbids a key that comes twice, and the parser takes the last one in silence."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "a key"
        if name in seen or not isinstance(key, yaml.ScalarNode):
            wrong = "is set twice" if name in seen else "must be a word"
            raise Usage(f"front matter: {name} {wrong}", line=key.start_mark.line + line)
        seen.add(name)
        _refuse_twice(value, line)


def _plain(message: str) -> str:
    """What msgspec says, in the words of who wrote the file: ``Expected `int`, got `str` - at `$.nodes```."""
    what, _, path = message.replace("`", "").partition(" - at $")
    if key := what.partition("unknown field ")[2]:
        close = get_close_matches(key.lower(), [*FrontMatter.__struct_fields__, "with", "replace", "exit"], n=1)
        return f"unknown key {key}" + (f"; did you mean {close[0]}?" if close else "")
    for type, words in _WORDS.items():
        for other in ("str", "array", "object"):
            what = what.replace(f"Expected {type}, got {other}", f"expected {words}")
    return f"{path.lstrip('.')}: {what}" if path else f"{what[:1].lower()}{what[1:]}"
