"""The global options: taken from anywhere, up to `--`."""

import pytest

from cluster.errors import Usage
from dsectl.cli.options import Options, take_options


@pytest.mark.parametrize(
    ("argv", "left"),
    [
        ("get k", "get k"),
        ("--json get k", "get k"),
        ("get k --json", "get k"),
        ("get --json k -q", "get k"),
        ("get -C c k", "get k"),
        ("get --cluster=c k", "get k"),
        ("--via n1 put k v --timeout 2s", "put k v"),
        ("put k -- --json", "put k -- --json"),
        ("put k -", "put k -"),
        ("get k --r 2", "get k --r 2"),
        ("put k --cluster-like", "put k --cluster-like"),
    ],
)
def test_what_is_left(argv: str, left: str) -> None:
    assert take_options(argv.split(), Options()) == left.split()


def test_what_is_taken() -> None:
    options = Options()
    take_options(
        ["get", "k", "--json", "-q", "--raw", "--no-input", "-C", "c", "--via", "n2", "--timeout", "250ms"], options
    )
    assert (options.json, options.quiet, options.raw, options.no_input) == (True, True, True, True)
    assert (options.cluster, options.via, options.timeout_s) == ("c", "n2", 0.25)


def test_nothing_is_said_by_default() -> None:
    options = Options()
    take_options(["get", "k"], options)
    assert not (options.json or options.quiet or options.raw or options.no_input)
    assert (options.cluster, options.via, options.timeout_s) == (None, None, None)


@pytest.mark.parametrize(
    "argv", ["get k -C", "get k --via --json", "get k --cluster=", "-C -q get", "get --timeout 0s", "get --timeout x"]
)
def test_what_is_refused(argv: str) -> None:
    options = Options()
    with pytest.raises(Usage):
        take_options(argv.split(), options)


def test_json_is_known_even_when_the_rest_is_refused() -> None:
    options = Options()
    with pytest.raises(Usage):
        take_options(["-C", "--json"], options)
    assert options.json
