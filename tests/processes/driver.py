"""A program that starts a cluster of stand-ins and holds it: `driver.py NAME [--leashed] [--child C] [--never-ready]`.

It writes `up` when the cluster is, then ends at the end of its input.
"""

import argparse
import sys
import time

from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.home import ClusterFiles, find_home
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError


class Answers:
    """All nodes are ready, or never."""

    def __init__(self, never: bool) -> None:
        self.never = never

    def wait_ready(self, files: ClusterFiles, names: list[str], timeout_s: float) -> None:
        """Hang, when asked to."""
        if self.never:
            say("waiting")
            time.sleep(60)

    def reload_faults(self, files: ClusterFiles, names: list[str]) -> None:
        """Nobody listens."""


def say(word: str) -> None:
    """Tell the test."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run; the exit code is the error's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--leashed", action="store_true")
    parser.add_argument("--child", default="stand_in:run_stand_in")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    world = LocalMachine(find_home(), Answers(options.never_ready), options.child)
    spec = ClusterSpec(name=options.name, nodes=options.nodes)
    try:
        report = emulator.up(
            spec,
            30.0,
            lambda stage, node: say(stage) if stage != "ready" else None,
            leashed=options.leashed,
            world=world,
        )
    except ClusterError as error:
        say(f"error {error.code}")
        return error.exit_code
    say("up")
    sys.stdin.read()
    assert options.leashed == (report.leash is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
