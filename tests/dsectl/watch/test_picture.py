"""The screen as text: every size is filled exactly, and says what matters."""

from dataclasses import replace

import msgspec
import pytest

from cluster.client.vitals import Moving, Vitals
from dsectl.ui.charts import ASCII, UNICODE, chart, glyphs_for, scale_top, spark
from dsectl.ui.screen import keys
from dsectl.ui.text import PLAIN, length, painted
from dsectl.ui.units import number, rate
from dsectl.watch.history import History
from dsectl.watch.picture import Choices, picture, plain_lines, press
from tests.dsectl.snapshot.snapshots import LOST, SLOW, event, snapshot, vitals

KILL = {"id": "f1", "kind": "kill", "target": "n3", "at": "2023-11-14T22:13:21.200Z", "active": True}
HEALED = {**KILL, "id": "f0", "kind": "partition", "target": "n1 | n2", "active": False,
          "ended": "2023-11-14T22:13:22.400Z"}  # fmt: skip


def crashed(nodes: int = 5, ticks: int = 8) -> History:
    """Four seconds of a cluster in which n3 was killed after one second."""
    history = History()
    names = [f"n{number}" for number in range(1, nodes + 1)]
    for tick in range(ticks):
        gone = tick >= 2
        sees = {name: "dead" if gone and name == "n3" else "alive" for name in names}
        told = {
            name: "stopped"
            if gone and name == "n3"
            else vitals(
                1.0 + tick / 2, 100 * tick, sees=sees, hints={"n3": 7} if gone and name == "n1" else {},
                receipts={"f1": {f"{name}->n3": 3}} if gone else {},
                events=[event("member.dead", name, 1.0, "suspected for 1.6 s", member="n3")] if tick == 3 else [],
                writes_failed=3 if tick == 3 else 0,
            )
            for name in names
        }  # fmt: skip
        faults = (HEALED, KILL) if gone else (HEALED,)
        history.add(snapshot(tick / 2, told, faults=faults, verdict="amber" if gone else "green"))
    return history


def text(history: History, columns: int, rows: int, choices: Choices | None = None) -> list[str]:
    return [painted(line, PLAIN) for line in picture(history, columns, rows, choices or Choices())]


def line_of(lines: list[str], node: str) -> str:
    """The line of a node in the table, behind a sign or none."""
    return next(line for line in lines if line.lstrip(" ✕◐>").split(" ")[0] == node)


@pytest.mark.parametrize("columns", [30, 40, 59, 60, 80, 81, 100, 120, 149, 150, 200, 317])
@pytest.mark.parametrize("rows", [8, 12, 16, 24, 35, 50, 90])
@pytest.mark.parametrize("nodes", [1, 5, 12, 50])
def test_every_size_is_filled_exactly(columns: int, rows: int, nodes: int) -> None:
    lines = picture(crashed(nodes, 5), columns, rows, Choices(focus="n1"))
    assert len(lines) == rows
    assert {length(line) for line in lines} == {columns}


def test_a_small_screen_says_what_matters() -> None:
    lines = text(crashed(), 80, 24)
    page = "\n".join(lines)
    assert "AMBER" in lines[0] and "7+ hints waiting" in lines[1] and "1 fault in force" in lines[1]
    row = line_of(lines, "n3")
    assert row.startswith("✕ n3    stopped") and row.rstrip().endswith("7"), "a sign says it, not colour alone"
    assert "●  ●  ✕  ●  ●" in line_of(lines, "n1") and line_of(lines, "n1").startswith("  ")
    assert "f1  kill" in page and "12 touched" in page and "n1->n3: 3 failed" in page
    assert "n1+3   member.dead" in page and "suspected for 1.6 s" in page
    assert "▼" in page and "▲" in page and lines[-1].startswith("q quit")


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 50)])
def test_queues_add_up_over_the_nodes_that_give_of_them(columns: int, rows: int) -> None:
    history = crashed()
    said = {"depth": 6, "in_flight": 2, "redelivered": 0, "dead": 0}
    one, two = vitals(9.0), vitals(9.0)
    told = {
        "n1": msgspec.structs.replace(one, queues={"jobs": said}),
        "n2": msgspec.structs.replace(two, queues={"jobs": {**said, "redelivered": 1}, "dead": {**said, "depth": 0}}),
    }
    history.add(snapshot(9.0, dict(told)))
    page = text(history, columns, rows)
    line = next(line for line in page if line.startswith("jobs "))
    assert line.split()[:4] == ["jobs", "12", "4", "in"] and "1 redelivered" in line and "dead" not in line
    assert any("QUEUES" in one for one in page)
    assert "jobs" in "\n".join(painted(one, PLAIN) for one in plain_lines(history, 100))


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (100, 24), (200, 50), (30, 10), (40, 12)])
def test_all_nodes_come_before_anything_else(columns: int, rows: int) -> None:
    history = crashed()
    others = tuple({**KILL, "id": f"f{number}", "target": "n2"} for number in range(2, 5))
    assert history.snapshot is not None
    history.add(replace(history.snapshot, faults=(HEALED, KILL, *others), at=9.0))
    lines = text(history, columns, rows)
    for name in ("n1", "n2", "n3", "n4", "n5"):
        assert line_of(lines, name)
    if rows >= 24:
        page = "\n".join(lines)
        assert "● alive" in page and "✕ dead" in page and "! failures" in page, "the legend"
        assert all(f"f{number} " in page for number in range(1, 5)), "and the faults"


def test_failures_are_their_own_figure_and_no_traffic() -> None:
    history = History()
    for tick in range(4):
        history.add(
            snapshot(tick / 2, {"n1": vitals(1.0 + tick / 2, 100 * tick, writes_failed=50 * tick), "n2": vitals()})
        )
    lines = text(history, 80, 24)
    assert "!100 failures/s" in lines[1] and "kv 100/s" in "\n".join(lines) and "failures 100/s" in "\n".join(lines)
    assert " 100  " in line_of(lines, "n1") and "!100" in line_of(lines, "n1")
    assert "!" not in line_of(lines, "n2")


def test_a_scale_forgets_a_burst() -> None:
    assert scale_top([None, 0.0]) == 0.0 and scale_top([]) == 0.0
    assert [scale_top([value]) for value in (0.7, 1.0, 1.1, 4.0, 70.0)] == [1.0, 1.0, 2.0, 5.0, 100.0]
    assert scale_top([1000.0, *[40.0] * 5]) == 1000.0
    assert scale_top([1000.0, *[40.0] * 50]) == 50.0


def test_a_wide_screen_puts_faults_and_hints_beside_the_events() -> None:
    lines = text(crashed(), 200, 50)
    [heading] = [line for line in lines if line.startswith("FAULTS")]
    assert "EVENTS" in heading
    assert any("7  kept by n1 7" in line for line in lines)
    assert any("NOTE" in line and "PUB/S" in line for line in lines)


def test_a_change_of_members_has_a_line_while_it_lasts() -> None:
    history = crashed()
    assert history.snapshot is not None and not any("copies" in line for line in text(history, 80, 24))
    moving = Moving("add n6", ["n6 does not run"], {"n6": 128, "n1": 8}, {"n6": 120})
    told: dict[str, Vitals | str] = {name: vitals(9.0) for name in history.snapshot.nodes}
    said = vitals(9.0, moved_bytes=9 * 2**20)  # in 4.5 s, of two looks
    history.add(snapshot(9.0, {**told, "n2": msgspec.structs.replace(said, layout=2, moving=moving)}))
    for lines in (text(history, 80, 24), [painted(line, PLAIN) for line in plain_lines(history, 80)]):
        assert lines[1].startswith("add n6  ██──────") and "16 of 136 copies moved, 1MiB/s  n6 8/128" in lines[1]
    assert text(history, 30, 12)[1].startswith("add n6  16 of 136 copies")
    assert line_of(text(history, 80, 24), "n5"), "and the nodes are all there"


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_columns_do_not_jump(columns: int) -> None:
    quiet, busy = History(), History()
    for tick in range(3):
        quiet.add(snapshot(tick / 2, {f"n{one}": vitals(1.0 + tick / 2) for one in range(1, 6)}))
        loud: dict[str, Vitals | str] = {
            f"n{one}": vitals(1.0 + tick / 2, 99_999 * tick, bucket=SLOW, hints={"n2": 99_999}) for one in range(1, 6)
        }
        busy.add(snapshot(tick / 2, loud))
    one, other = ([line for line in text(one, columns, 24) if "NODE" in line] for one in (quiet, busy))
    assert one == other


def test_focus_shows_one_node_and_freezing_says_so() -> None:
    history = crashed()
    focused = "\n".join(text(history, 120, 35, Choices(focus="n3")))
    assert "EVENTS  of n3" in focused and "all, not only n3" in focused and "kv –" in focused
    assert "FROZEN" in text(history, 80, 24, Choices(frozen=True))[0]


def test_a_lost_cluster_and_one_not_yet_seen() -> None:
    assert text(History(), 80, 24)[0].startswith("looking")
    history = crashed()
    history.add(snapshot(9.0, lost=LOST))
    assert "LOST" in text(history, 80, 24)[0] and "unknown cluster 'default'" in text(history, 80, 24)[0]
    gone = History()
    gone.add(snapshot(0.0, {"n1": "stopped", "n2": "stopped"}, verdict="red"))
    assert "hints unknown" in text(gone, 80, 24)[1]


def test_many_nodes_first_those_that_are_not_well() -> None:
    history = crashed(50)
    lines = text(history, 100, 24)
    assert "stopped" in line_of(lines, "n3")
    assert any("more nodes" in line for line in lines) and "SEEN BY" in "\n".join(lines)
    assert "0/49" in line_of(lines, "n3")


def test_nothing_moves_the_cursor() -> None:
    history = History()
    history.add(
        snapshot(0.0, {"n1": vitals(events=[event("service.error", "n1", 0.0, "\x1b[2J\r\n boom", operation="a\x07")])})
    )
    assert all(line.isprintable() for line in text(history, 120, 35))


def test_a_page_that_does_not_move() -> None:
    lines = [painted(line, PLAIN).rstrip() for line in plain_lines(crashed(), 120)]
    assert "AMBER" in lines[0] and any(line.startswith("kv ") and "p99" in line for line in lines)
    assert not any("quit" in line for line in lines)


@pytest.mark.parametrize(
    "pressed,choices",
    [
        ("q", Choices(done=True)),
        (" ", Choices(frozen=True)),
        ("  ", Choices()),
        ("2", Choices(focus="n2")),
        ("22", Choices()),
        ("9", Choices()),
        ("jj", Choices(focus="n2")),
        ("k", Choices(focus="n3")),
        ("20", Choices()),
        ("x", Choices()),
        ("\x1b[B\x1b[B\x1b[A", Choices(focus="n1")),
        ("\x1bOB", Choices(focus="n1")),
        ("3\x1b", Choices()),
        ("\x1b[5~\x1b[1;5C", Choices(focus="n1")),
    ],
)
def test_keys(pressed: str, choices: Choices) -> None:
    found = Choices()
    for key in keys(pressed):
        found = press(found, key, ["n1", "n2", "n3"])
    assert found == choices


@pytest.mark.parametrize(
    "values,rows,expected",
    [
        ([None, 0.0, 1.0, 8.0], 1, [" ▁▁█"]),
        ([0.0, 4.0, 8.0], 2, ["  █", "▁██"]),
        ([0.0, 6.0, 8.0], 2, [" ▄█", "▁██"]),
        ([0.0, 0.0], 1, ["▁▁"]),
        ([], 2, ["", ""]),
    ],
)
def test_charts(values: list[float | None], rows: int, expected: list[str]) -> None:
    assert chart(values, rows, max((value or 0 for value in values), default=0), UNICODE) == expected


def test_signs_for_every_terminal() -> None:
    assert glyphs_for("utf-8") is UNICODE and glyphs_for("ascii") is ASCII and glyphs_for(None) is ASCII
    assert glyphs_for("no such thing") is ASCII
    assert spark([0, 4, 8], 8, ASCII).isascii()
    assert len(set(ASCII.states.values())) == len(ASCII.states)


@pytest.mark.parametrize(
    "value,expected",
    [
        (None, "–"),
        (0, "0"),
        (0.01, "0"),
        (3.21, "3.2"),
        (12.4, "12"),
        (9_994, "9994"),
        (12_345, "12.3k"),
        (4.1e6, "4.1M"),
    ],
)
def test_rates_are_short(value: float | None, expected: str) -> None:
    assert rate(value) == expected


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0, 9_999, 12_300)] == ["0", "9999", "12.3k"]
