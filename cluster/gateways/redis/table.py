"""What a command of Redis is here: its name, how many words it has, which of them are keys, one line, its handler.

`COMMAND`, `COMMAND DOCS` and the table in docs/redis.md are made from it; the tables themselves stand beside the
handlers. What is refused stands in the same table, with the reason instead of a handler.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cluster.gateways.redis.session import RedisCall

Handler: TypeAlias = "Callable[[RedisCall], None]"
NO_KEYS = (0, 0, 0)
ONE_KEY, ALL_KEYS, PAIRS = (1, 1, 1), (1, -1, 1), (1, -1, 2)
"""First and last word that is a key (-1: the last word), and the step between them."""


@dataclass(frozen=True, slots=True)
class RedisCommand:
    """One command, or with `|` in its name one subcommand."""

    name: str
    arity: int
    """How many words it has, its name included; negative: at least so many."""
    group: str
    summary: str
    handler: Handler
    keys: tuple[int, int, int] = NO_KEYS
    flags: tuple[str, ...] = ()
    """Those that Redis' own COMMAND knows."""
    any_time: bool = False
    """Whether it may overlap whatever is under way on its connection. Else a command without keys waits for all before
    it, and one with keys for those that have a key in common with it."""
    limits: str = ""
    """What is other here than in Redis."""

    @property
    def open(self) -> bool:
        """Whether it is carried out before the password."""
        return "no_auth" in self.flags

    @property
    def in_subscribed(self) -> bool:
        """Whether a connection that listens may give it, in RESP2."""
        return "in_subscribed" in self.flags

    def keys_of(self, words: list[bytes]) -> tuple[bytes, ...]:
        """The keys of a request, of which the arity has been checked."""
        first, last, step = self.keys
        if first == last:
            return (words[first],) if first else ()
        return tuple(words[first : len(words) + 1 + last : step])

    def accepts(self, count: int) -> bool:
        """Whether it may have so many words."""
        return count == self.arity if self.arity > 0 else count >= -self.arity


@dataclass(frozen=True, slots=True)
class Refused:
    """Commands that are not offered, and why."""

    names: tuple[str, ...]
    reason: str


@dataclass(slots=True)
class CommandTable:
    """The commands of one group, in the order in which they are written."""

    group: str
    commands: list[RedisCommand] = field(default_factory=list)

    def add(
        self,
        name: str,
        arity: int,
        summary: str,
        keys: tuple[int, int, int] = NO_KEYS,
        flags: str = "",
        *,
        any_time: bool = False,
        limits: str = "",
    ) -> Callable[[Handler], Handler]:
        """Decorates the handler of a command; one function may be that of several."""

        def decorate(handler: Handler) -> Handler:
            words = tuple(flags.split())
            self.commands.append(
                RedisCommand(name, arity, self.group, summary, handler, keys, words, any_time=any_time, limits=limits)
            )
            return handler

        return decorate
