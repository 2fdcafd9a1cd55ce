"""What is said while the story goes on: shown by a `Teller` at once, and kept as the steps of the findings."""

import time
from typing import Protocol

from dsectl.demo.findings import Findings, Step


class Teller(Protocol):
    """Who shows the story."""

    def step(self, title: str) -> None:
        """A new chapter."""

    def say(self, text: str) -> None:
        """Something was seen or measured."""

    def states(self, matrix: dict[str, dict[str, str]], hints: int | None) -> None:
        """What each node believes of the others now (observer -> subject -> state, silent ones left out), and how many
        copies wait, if all who run said so."""


class Narrator:
    """Passes on and writes down."""

    def __init__(self, teller: Teller, found: Findings) -> None:
        self.teller = teller
        self.found = found
        self.began = time.monotonic()

    def step(self, title: str) -> None:
        """A new chapter."""
        self.found.steps.append(Step(round(time.monotonic() - self.began, 3), title))
        self.teller.step(title)

    def say(self, text: str) -> None:
        """Something was seen or measured in this chapter."""
        self.found.steps[-1].seen.append(text)
        self.teller.say(text)

    def timed(self, what: str, seconds: float | None) -> None:
        """Something that was waited for happened, or did not."""
        self.say(f"{what}: not in the time allowed" if seconds is None else f"{what} after {duration(seconds)}")


def duration(seconds: float | None) -> str:
    """`39 ms`, `1.65 s`, `never`."""
    if seconds is None:
        return "never"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
