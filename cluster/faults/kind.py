"""What a kind of fault is: everything that the commands, the views, the nodes and the simulation want of it.

To add one: its fields to `Fault`, a subclass of `FaultKind` (and of `FaultRule`, when it acts on packets) in the file
of its scope, and its place in `KINDS` beside `Fault`. Nothing else names kinds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple

from cluster.errors import Usage

if TYPE_CHECKING:
    from random import Random

    from cluster.faults.fault import Fault

EVERYONE: Final = "all"

Scope = Literal["link", "process", "disk", "clock"]


class Figure(NamedTuple):
    """One number of a fault, for people: `delay`, 0.05, `s`."""

    label: str
    value: float
    unit: Literal["s", "share", "bytes/s", "skew"]
    spread: float = 0.0
    """± in the same unit."""


class Ailment(NamedTuple):
    """What an active fault does to the disk or to the clock of a node."""

    id: str
    log_delay_s: float = 0.0
    """By how much longer each append to the log, and each sync of it, takes."""
    full: bool = False
    """Writes find no room."""
    skew_s: float = 0.0
    """By how much the wall clock is ahead; negative: behind."""


class FaultRule(ABC):
    """What one active fault does to the packets that a node receives. Stateless unless it says otherwise."""

    def __init__(self, fault: Fault) -> None:
        self.id = fault.id

    @abstractmethod
    def involves(self, name: str) -> bool:
        """Whether any link of `name` may be touched."""

    def stops(self, source: str, target: str) -> bool:
        """Whether nothing passes from `source` to `target`."""
        return False

    def slows(self, source: str, target: str) -> bool:
        """Whether packets from `source` to `target` come late, doubled, or not all."""
        return False

    def on_stream(self, source: str, random: Random, size: int, now: float) -> float:
        """By how many seconds bytes of a stream from `source` are late. Asked only if it slows them."""
        return 0.0

    def on_datagram(self, delays: list[float], source: str, random: Random, size: int, now: float) -> list[float]:
        """What becomes of the copies of a datagram: seconds for each that is delivered. Asked only if it slows them."""
        return delays


class FaultKind:
    """A kind of fault, of which there is one object."""

    name: ClassVar[str]
    scope: ClassVar[Scope]
    fields: ClassVar[tuple[str, ...]]
    """The fields of `Fault` that say what it does, in the order in which JSON has them."""
    verb: ClassVar[str]
    """What happened to what it touched: `41 dropped`."""
    cure: ClassVar[str] = "heal"
    """The command that ends it, or what it has done."""
    command: ClassVar[str] = ""
    """The command that begins it, when that has another name."""

    def subject(self, fault: Fault) -> str:
        """Whom it hits, for people."""
        return ",".join(fault.nodes)

    def validate(self, fault: Fault) -> None:
        """Raise Usage, saying what is wrong, for a fault that cannot be."""
        if not fault.nodes:
            raise Usage(f"a {self.name} needs at least one node")

    def figures(self, fault: Fault) -> list[Figure]:
        """Its numbers that are not zero."""
        return []

    def remarks(self, fault: Fault) -> list[str]:
        """What else there is to say of it."""
        return []

    def rule(self, fault: Fault) -> FaultRule | None:
        """What it does to packets; None for a fault of anything but links."""
        return None

    def ailment(self, fault: Fault) -> Ailment | None:
        """What it does to the disk and the clock of its nodes while it is active; None when it does nothing there."""
        return None

    def done(self, fault: Fault) -> dict[str, int]:
        """What was done at once, counted by whoever did it; what nodes meet later is in their receipts."""
        return {}
