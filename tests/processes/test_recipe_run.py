"""Recipes run on real clusters: every verdict, every exit code, and nothing left behind whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import msgspec
import pytest

from cluster.emulator.home import Home
from tests.dsectl.recipes.test_report import validated
from tests.dsectl.recipes.written import recipe_text
from tests.processes.commands import ask, dsectl, is_alive
from tests.processes.conftest import Eventually, processes_under
from tests.processes.terminal import Person

FRONT = "nodes: 3"
STORED = "put k 1\nexpect get k .value == '\"1\"'"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a recipe of some blocks; returns its path."""

    def written(*blocks: str, front: str = FRONT, name: str = "r.md") -> str:
        path = tmp_path / name
        path.write_text(recipe_text(*blocks, front=front))
        return str(path)

    return written


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`dsectl` as a process of its own, killed at the end if it still runs."""
    with subprocess.Popen([sys.executable, "-m", "dsectl", *words], stdout=-1, stderr=-1, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def clusters() -> list[str]:
    return [row["cluster"] for row in ask("ps")]


def test_a_recipe_that_passes(write: Any, home: Home) -> None:
    file = write(
        'put cart "book"\nexplain cart .owners[0] -> $victim\nkill $victim .at -> $killed\n'
        'within 10s: members .$victim.state == "dead"\nput cart "pen"\n'
        'restart $victim\nwithin 10s: get cart --only $victim .value == "pen"\n'
        "expect events --since $killed --kind write.lost .length == 0"
    )
    done = ask("recipe", "run", file)
    assert (done["verdict"], done["passed"], done["failed"], done["inconclusive"]) == ("passed", 1, 0, 0)
    assert clusters() == [] and not (home.folder / "kept").exists()


def test_steps_find_the_files_of_their_recipe(write: Any, home: Home) -> None:
    file = write('put k "@$files/one.py"\nexpect get k .value == "x = 1\\n"')
    with Path(file).open("a") as text:
        text.write("\n```python one.py\nx = 1\n```\n")
    ask("recipe", "run", file)
    assert clusters() == [] and list(home.folder.glob("**/one.py")) == []


def test_a_failure_tells_where_what_and_when(write: Any, home: Home, tmp_path: Path) -> None:
    file = write("put k 1\nwithin 1s: get k .value == 2", "get k")
    junit = tmp_path / "out.xml"
    done = ask("recipe", "run", file, "--junit", str(junit), code=1)
    failed, skipped = done["cases"]
    assert (failed["verdict"], failed["file"], failed["line"], failed["seen"]) == ("failed", file, 9, failed["seen"])
    assert failed["step"] == "within 1s: get k .value == 2" and '"1"' in failed["seen"] and failed["at_s"] >= 1
    assert skipped["verdict"] == "inconclusive" and "not run" in skipped["seen"]
    kept = Path(done["recipes"][0]["kept"])
    assert {path.name for path in kept.iterdir()} >= {"n1.log", "n2.log", "n3.log", "events.json", "faults.json"}
    assert msgspec.json.decode((kept / "members.json").read_bytes())["n1"]["n2"] == "alive"
    root = xml.fromstring(junit.read_text())
    assert (root.get("failures"), root.get("errors")) == ("1", "1")
    assert clusters() == []


TESTED_NOTHING = {
    "a limit that is reached in the last step": ("subscribe news.> --count 1", 1, "the timeout of 2s was reached"),
    "a load that the limit cuts short": ("load kv --rate 20 --for 60s", 1, "the timeout of 2s was reached"),
    "a job stopped before its count": (
        *("subscribe news.> --count 3 &job\npublish other.x hello\nstop job\n! get k", 1, "0 of 3 messages"),
    ),
    "a job that saw nothing": ("subscribe news.> &job\nstop job\n! get k", 3, "job ended with nothing"),
    "no test at all": ("put k 1", 3, "no `expect`"),
}


@pytest.mark.parametrize("steps,code,seen", TESTED_NOTHING.values(), ids=TESTED_NOTHING)
def test_what_did_not_test_is_not_green(write: Any, home: Home, steps: str, code: int, seen: str) -> None:
    done = ask("recipe", "run", write(steps, front=f"{FRONT}\ntimeout: 2s"), code=code)
    assert seen in done["cases"][0]["seen"]


def test_a_load_that_tested_nothing_says_why_and_its_account_is_kept(write: Any, home: Home) -> None:
    """Nothing is read, so a limit of reads has no sample; that is told, not the number of the exit code."""
    done = ask("recipe", "run", write("load kv --rate 20 --for 1s --mix write=100 --require 'read.p90<9s'"), code=3)
    (case,) = done["cases"]
    assert "read.p90<9s: there is no sample" in case["seen"]
    kept = msgspec.json.decode((Path(done["recipes"][0]["kept"]) / "report.json").read_bytes())
    assert kept["cases"][0]["account"]["verdict"] == "inconclusive" and case["account"]["ok"] > 0


def test_the_report_shows_what_each_fault_touched(write: Any, home: Home) -> None:
    done = dsectl("recipe", "run", write("kill n3 -> $kill\nwithin 10s: members --via n1 .n3.state != alive"))
    assert "f1 kill n3:" in done.out and "->n3: " in done.out.partition("affected (")[2]


def test_a_fault_that_touched_nothing_is_inconclusive(write: Any, home: Home) -> None:
    """Nobody sends between two dead nodes; a step that looks at the receipt judges by itself."""
    quiet = "kill n2 n3\nslow n2 n3 --delay 10ms\n"
    done = ask("recipe", "run", write(quiet), code=3)
    assert "slow n2 -> n3" in done["cases"][0]["seen"] and done["verdict"] == "inconclusive"
    dsectl("recipe", "run", write(quiet + "expect faults .[1].affected == 0"))


@pytest.mark.parametrize("step", ["gett k", "within 1s: put k v .acks == 2"])
def test_a_refused_file_starts_nothing(write: Any, home: Home, step: str) -> None:
    told = ask("recipe", "run", write(step), code=2)
    assert told["error"]["code"] == "usage" and told["problems"][0]["line"] == 8
    assert not (home.folder / "clusters").exists() or clusters() == []


def test_a_job_nobody_waits_for_is_refused_and_one_that_is_ends(write: Any, home: Home) -> None:
    dsectl("recipe", "run", write("subscribe a.* &listener"), code=2)
    file = write(
        "subscribe a.* --count 2 &listener\npublish a.b one\npublish a.c two\nwait listener\n"
        'expect listener .length == 2\nexpect listener .[0].payload == "one"'
    )
    dsectl("recipe", "run", file)


def test_a_recipe_out_of_time_fails(write: Any, home: Home) -> None:
    began = time.monotonic()
    done = ask("recipe", "run", write("within 60s: get k .value == 1", front=f"{FRONT}\ntimeout: 1s"), code=1)
    assert time.monotonic() - began < 15
    assert done["cases"][0]["verdict"] == "failed" and clusters() == []


def test_repeated_and_side_by_side(write: Any, home: Home) -> None:
    """Each run has a cluster of its own: the same key holds what its own run wrote."""
    file = write('!6 get k\nput k "mine"\nexpect get k .value == "mine"')
    done = ask("recipe", "run", file, "--repeat", "4", "--side-by-side", "2")
    (rate,) = done["repeated"]
    assert (done["verdict"], rate["runs"], rate["passed"]) == ("passed", 4, 4)
    assert len({one["cluster"] for one in done["recipes"]}) == 4
    assert rate["interval"][0] < 1.0 == rate["interval"][1]


def test_keep_leaves_the_cluster(write: Any, home: Home) -> None:
    done = ask("recipe", "run", write(STORED), "--keep")
    (name,) = clusters()
    assert name == done["recipes"][0]["cluster"]
    assert ask("get", "k", "-C", name)["value"] == "1"
    dsectl("rm", name, "--yes")


def test_on_a_cluster_that_stands(write: Any, home: Home) -> None:
    dsectl("up", "-n", "3", "-C", "mine")
    dsectl("recipe", "run", write(STORED), "-C", "mine")
    assert clusters() == ["mine"] and ask("get", "k", "-C", "mine")["value"] == "1"
    dsectl("recipe", "run", write(STORED), "-C", "nobody", code=4)
    kept = [ask("recipe", "run", write("! put k 1"), "-C", "mine", code=1)["recipes"][0]["kept"] for _ in range(2)]
    assert len(set(kept)) == 2 and all((Path(one) / "report.json").exists() for one in kept)


def test_red_turns_red_or_says_that_it_does_not(write: Any, home: Home) -> None:
    front = FRONT + '\nred: {replace: "put k 2", with: "%s"}'
    steps = "put k 1\nput k 2\nexpect get k .value == '\"2\"'"
    dsectl("recipe", "run", "--red", write(steps, front=front % "members"))
    done = dsectl("recipe", "run", "--red", write(steps, front=front % "put k '2'"), code=1)
    assert "ended passed" in done.out


ENDLESS = 'put k 1\nalways 60s: get k .value == "1"', "get k"


@pytest.mark.parametrize("number,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_takes_its_cluster_down(
    write: Any, home: Home, eventually: Eventually, number: signal.Signals, code: int
) -> None:
    report = home.folder.parent / "report.xml"
    with running("recipe", "run", write(*ENDLESS), "--junit", str(report), "--json") as process:
        eventually(lambda: processes_under(home.folder / "clusters"), "the cluster runs")
        eventually(lambda: clusters(), "the cluster is known")
        process.send_signal(number)
        told, _ = process.communicate(timeout=20)
        assert process.returncode == code
    done = msgspec.json.decode(told)
    assert done["interrupted"] and done["verdict"] == "inconclusive" and done["inconclusive"] == 2
    root = validated(xml.fromstring(report.read_text()))
    assert ["interrupted" in error.get("message", "") for error in root.iter("error")] == [True, True]
    assert clusters() == [] and not list((home.folder / "locks").glob("[!.]*"))
    eventually(lambda: not processes_under(home.folder), "all nodes ended")


@pytest.mark.parametrize("side_by_side", ["1", "2"])
def test_a_killed_runner_leaves_no_process(write: Any, home: Home, eventually: Eventually, side_by_side: str) -> None:
    with running("recipe", "run", write(*ENDLESS), "--repeat", "2", "--side-by-side", side_by_side) as process:
        eventually(lambda: len(clusters()) == int(side_by_side), "the clusters are known")
        eventually(lambda: len(processes_under(home.folder)) >= 3 * int(side_by_side), "the nodes run")
        nodes = processes_under(home.folder)
        process.kill()
    eventually(lambda: not any(is_alive(pid) for pid in nodes), "all nodes ended")
    assert clusters() == [], "the next command removes the files"


def test_an_interrupt_stops_all_that_run_side_by_side(write: Any, home: Home, eventually: Eventually) -> None:
    with running("recipe", "run", write(*ENDLESS), "--repeat", "4", "--side-by-side", "2") as process:
        eventually(lambda: len(clusters()) == 2, "two clusters are known")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert clusters() == []


def test_what_had_ended_is_in_the_report_of_an_interrupted_run(
    write: Any, home: Home, eventually: Eventually, tmp_path: Path
) -> None:
    quick, endless, report = write("! get k", name="quick.md"), write(*ENDLESS), tmp_path / "report.xml"
    report.write_text("an old one")
    with running("recipe", "run", quick, endless, quick, "--junit", str(report), "--tap") as process:
        eventually(lambda: [name for name in clusters() if name.startswith("r-")], "the second runs")
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=20)
    lines = told.splitlines()
    assert lines[1] == "1..4" and lines[2].startswith("ok 1") and lines[-1] == "# interrupted"
    suites = xml.fromstring(report.read_text()).findall("testsuite")
    assert [suite.get("errors") for suite in suites] == ["0", "2", "1"]
    assert suites[0].find(".//property[@name='interrupted']").get("value") == "false"  # type: ignore[union-attr]


def test_a_refused_run_leaves_no_old_report(write: Any, home: Home, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    for file, code in ((write("gett k"), 2), ("nowhere.md", 6)):
        report.write_text("an old one")
        dsectl("recipe", "run", file, "--junit", str(report), code=code)
        assert not report.exists()
    dsectl("recipe", "run", write("! get k"), "--junit", str(tmp_path), code=2)
    recipe = write("! get k")
    dsectl("recipe", "run", "quorum", "--junit", recipe, code=2)
    assert "! get k" in Path(recipe).read_text(), "the name of the report was forgotten, and the recipe is taken for it"


def test_control_characters_reach_no_terminal(write: Any, home: Home) -> None:
    file = write('put "\\u001b" v\n'.replace("\\u001b", "\x1b]0;evil\x07") + "expect keys .[0] == 'x'")
    done = dsectl("recipe", "run", file, code=1)
    assert "\x1b]0" not in done.out + done.err and "\x07" not in done.out + done.err


def test_a_lesson_is_gone_through_with_keys(home: Home, tmp_path: Path, eventually: Eventually) -> None:
    file = tmp_path / "lesson.md"
    text = recipe_text("put k 1", front=f"{FRONT}\ntimeout: 1s").replace(
        "## Case 1\n", "## Case 1\n\n```predict\nWhy?\n```\n"
    )
    file.write_text(text)
    person = Person("present", str(file))
    person.wait_for("your guess>")
    person.type("because\r")
    person.wait_for("    put k 1")
    person.wait_for("[Enter]")
    asked_at = time.monotonic()
    eventually(lambda: time.monotonic() > asked_at + 1.1, "a reader takes longer than the recipe may")
    person.type("\r")
    assert person.leave() == 0
    assert "you expected: because" in person.seen
    assert b"because" in (home.folder / "answers.jsonl").read_bytes()
    assert os.environ["DSECTL_HOME"] == str(home.folder)


@pytest.mark.parametrize("key,code", [("\x03", 130), ("\x04", 0), ("q\r", 0)])
def test_a_lesson_is_left_without_carrying_anything_out(
    write: Any, home: Home, eventually: Eventually, key: str, code: int
) -> None:
    person = Person("present", write("put k 1"))
    person.wait_for("q quits >")
    person.type("status\r")
    person.wait_for("as n")
    person.wait_for("q quits >", times=2)
    person.type(key)
    assert person.leave() == code
    assert "dsectl>" not in person.screen.text and "acks" not in person.screen.text
    assert clusters() == []


def test_a_lesson_without_input_does_not_wait(write: Any, home: Home) -> None:
    done = dsectl("present", write("put k 1"), "--no-input")
    assert "dsectl> put k 1" in done.out
