"""What is known to be wrong with steps before anything runs."""

import pytest

from dsectl.script.check import Checker, Problem


def problems(*lines: str) -> list[Problem]:
    checker = Checker()
    for number, line in enumerate(lines, 1):
        checker.line(number, line)
    checker.end()
    return checker.problems


GOOD = [
    ["put cart book", "get cart .value -> $v", "expect get cart .value == $v"],
    ["explain cart .owners[0] -> $n", "kill $n", "within 5s: members .$n.state == dead", "restart $n"],
    ["slow n1 n2 --delay 50ms --loss 10%", "heal"],
    ["status .verdict -> $d", "slow n1 n2 --delay $d"],
    ["subscribe orders.* --count 2 &listener", "publish orders.eu a", "wait listener", "expect listener .length == 2"],
    ["subscribe orders.* &listener", "within 2s: listener .length >= 1", "stop listener"],
    ["! get", "!6 get nothing"][1:],
    ["put -- -5 x", "put k -- -5"],
    ["put k '-'"],
    ["recipe"][1:],
]


@pytest.mark.parametrize("lines", GOOD)
def test_nothing_is_wrong(lines: list[str]) -> None:
    assert problems(*lines) == []


WRONG = [
    ("frobnicate x", "unknown command"),
    ("gett cart", "unknown command"),
    ("get", "missing KEY"),
    ("get cart --frob", "unknown option"),
    ("get cart --r many", "invalid --r"),
    ("slow n1 n2 --delay 5x", "invalid duration"),
    ("subscribe x --wait soon", "invalid duration"),
    ("up -n 3", "has a cluster of its own"),
    ("rm default --yes", "has a cluster of its own"),
    ("shell", "it is for people"),
    ("recipe run x", "it is for people"),
    ("get cart -C other", "-C has no place"),
    ("get $cart", "$cart has no value"),
    ("expect get k .value == $nothing", "$nothing has no value"),
    ("within 1s: put k v .outcome == ok", "must not be polled"),
    ("within 1s: request echo.echo .reply == x", "must not be polled"),
    ("within 1s: events -f .length == 1", "does not end"),
    ("within 1s: logs n1 --follow .length == 1", "logs with --follow does not end"),
    ("within 1s: watch .verdict == green", "it is for people"),
    ("expect get k .value matches '('", "invalid regular expression"),
    ("wait traffic", "unknown job traffic"),
    ("get k &get", "is a command"),
    ("get a; get b", "; does not end a step"),
    ("get a && get b", "&& does not belong here"),
    ("keys > file", "> does not belong here"),
    ("get k .value == book", "a test begins with expect"),
    ("explain cart .owners", "unexpected argument"),
    ("put k -", "no standard input"),
    ("'get' k", "cannot be quoted"),
    ("!0 get k", "invalid exit code 0"),
    ("! wait x", "begins a line"),
    ("status | jq .", "does not belong"),
]


@pytest.mark.parametrize(("line", "reason"), WRONG)
def test_what_is_wrong_is_told_with_its_line(line: str, reason: str) -> None:
    (found,) = problems("put first step", line)
    assert found.line == 2 and reason in found.message and not found.warning


def test_a_job_that_nobody_waits_for() -> None:
    (found,) = problems("subscribe x &listener", "put a b")
    assert (found.line, found.message) == (1, "the job listener is never waited for")


def test_a_job_that_is_started_twice() -> None:
    (found,) = problems("subscribe x &listener", "subscribe y &listener", "stop listener")
    assert found.line == 2 and "may still run" in found.message


def test_a_job_may_be_started_again_when_it_was_waited_for() -> None:
    assert problems("subscribe x &j", "stop j", "subscribe y &j", "stop j") == []


def test_sleep_is_a_warning() -> None:
    (found,) = problems("sleep 1s")
    assert found.warning


def test_a_variable_is_known_from_its_line_on() -> None:
    (found,) = problems("get $k", "status .verdict -> $k")
    assert found.line == 1 and "$k" in found.message
