"""How soon the shell answers a key: from the write on a pseudo-terminal until the screen shows it, under load.

Five nodes and a load beside it: `paced` is a steady trickle from one client, `saturated` takes all the processor time
there is, so that what is measured is also the scheduler's patience. `events -f &` draws above the prompt meanwhile.
`typed` are characters of a line, `menu` are Tabs while the menu of completions is open, `bare` are characters typed to
prompt-toolkit alone, under the same load: nothing built on it can be quicker.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.bench.harness import fresh_cluster, percentile, show
from tests.processes.terminal import Person

KEYS = int(os.environ.get("KEYS", "200"))
LINES = ("put cart 'a book, a pen' --strict", "within 5s: get cart .value == book", "explain key-1 .owners[0] -> $x")
CLEAR_LINE, TAB, ENTER, CTRL_C, CTRL_D = "\x15", "\t", "\r", "\x03", "\x04"
LOAD = """
import asyncio, sys, cluster
async def client(c, number, pause):
    while True:
        await c.kv.put(f"key-{number}", b"value" * 20)
        await c.kv.get(f"key-{number}")
        await asyncio.sleep(pause)
async def main(clients, pause):
    async with cluster.connect("bench") as c:
        await asyncio.gather(*(client(c, number, pause) for number in range(clients)))
asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
"""
BARE = "from prompt_toolkit import PromptSession; PromptSession(bottom_toolbar='bare').prompt('> ')"
LIMIT_MS = 30.0
LOADS = {"none": ("0", "1"), "paced": ("4", "0.02"), "saturated": ("32", "0")}


class Keys:
    """Somebody who types with a pause that is never the same, and looks at the screen after each key."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.random = random.Random(7)

    def press(self, key: str, answered: Callable[[str], bool], what: str) -> float:
        """Milliseconds until the screen has the answer; `answered` is given the line as it was before."""
        self._pause()
        before = self.person.line
        began = time.perf_counter()
        self.person.type(key)
        self.person.wait_until(lambda: answered(before), what)
        return (self.person.read_at - began) * 1e3

    def _pause(self) -> None:
        """What comes meanwhile is drawn, and does not count."""
        until = time.monotonic() + self.random.uniform(0.02, 0.12)
        while time.monotonic() < until:
            self.person.look(until)


def typed(keys: Keys, prompt: str, number: int) -> list[float]:
    """Characters of lines."""
    found: list[float] = []
    person = keys.person
    person.wait_for_line(prompt)
    while len(found) < number:
        line = LINES[len(found) % len(LINES)]
        for end in range(1, len(line) + 1):
            wanted = f"{prompt} {line[:end]}".rstrip()
            found.append(keys.press(line[end - 1], partial(_begins, person, wanted), wanted))
        keys.press(CLEAR_LINE, lambda _: person.line == prompt, "an empty line")
    return found[:number]


def _begins(person: Person, wanted: str, before: str) -> bool:
    return person.line.startswith(wanted)


def menu(keys: Keys, number: int) -> list[float]:
    """Tabs in an open menu of keys; each takes the next."""
    person = keys.person
    keys.press("get key", lambda _: person.line.startswith("bench> get key"), "get key")
    keys.press(TAB, lambda _: "key-2" in person.screen.text, "the menu")
    found = [keys.press(TAB, partial(_is_next, person), "the next key") for _ in range(number)]
    keys.press(CTRL_C, lambda _: person.line == "bench>", "an empty line")
    return found


def _is_next(person: Person, before: str) -> bool:
    return person.line.startswith("bench> get key") and person.line != before


def told(load: str, kind: str, milliseconds: list[float]) -> None:
    """One line of the report."""
    ordered = sorted(milliseconds)
    p50, p99 = percentile(ordered, 0.5), percentile(ordered, 0.99)
    late = sum(one > LIMIT_MS for one in ordered)
    show(
        f"{load:<10} {kind:<6} {len(ordered)} keys: p50 {p50:5.1f}  p99 {p99:5.1f}  max {ordered[-1]:5.1f} ms, "
        f"{late} over {LIMIT_MS:.0f} ms"
    )


def main() -> None:
    """Three lines for each load."""
    os.environ["TERM"] = "xterm-256color"
    with fresh_cluster(5):
        for name, (clients, pause) in LOADS.items():
            load = subprocess.Popen([sys.executable, "-c", LOAD, clients, pause])
            try:
                bare(name)
                shell(name)
            finally:
                load.kill()
                load.wait()


def bare(load: str) -> None:
    """prompt-toolkit with nothing around it: what Python and the scheduler cost."""
    person = Person.of(sys.executable, "-c", BARE)
    person.wait_for_line(">")
    told(load, "bare", typed(Keys(person), ">", KEYS))
    person.type(CTRL_D)
    person.leave()


def shell(load: str) -> None:
    """The shell."""
    person = Person("-C", "bench", "shell")
    person.wait_for("green")
    for number in range(1, 10):
        person.type(f"put key-{number} x" + ENTER)
        person.wait_for("acks", times=number)
    person.type("clear" + ENTER)
    person.type("events -f &" + ENTER)
    person.wait_for("runs in the background")
    keys = Keys(person)
    told(load, "typed", typed(keys, "bench>", KEYS))
    told(load, "menu", menu(keys, KEYS))
    person.type(CTRL_D)
    person.leave()


if __name__ == "__main__":
    main()
