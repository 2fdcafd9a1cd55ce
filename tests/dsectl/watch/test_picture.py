"""The screen as text: every size is filled exactly, and says what matters."""

import pytest

from cluster.client.vitals import Vitals
from dsectl.ui.charts import ASCII, UNICODE, bar, chart, glyphs_for, spark
from dsectl.ui.screen import keys
from dsectl.ui.text import PLAIN, length, painted
from dsectl.ui.units import number, rate
from dsectl.watch.history import History
from dsectl.watch.picture import Desk, picture, plain_lines, press
from tests.dsectl.watch.sights import SLOW, event, sight, vitals

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
        history.add(sight(tick / 2, told, faults=faults, colour="amber" if gone else "green"))
    return history


def text(history: History, columns: int, rows: int, desk: Desk | None = None) -> list[str]:
    return [painted(line, PLAIN) for line in picture(history, columns, rows, desk or Desk())]


@pytest.mark.parametrize("columns", [40, 60, 80, 81, 100, 120, 149, 150, 200, 317])
@pytest.mark.parametrize("rows", [8, 12, 16, 24, 35, 50, 90])
@pytest.mark.parametrize("nodes", [1, 5, 12, 50])
def test_every_size_is_filled_exactly(columns: int, rows: int, nodes: int) -> None:
    lines = picture(crashed(nodes, 5), columns, rows, Desk(focus="n1"))
    assert len(lines) == rows
    assert {length(line) for line in lines} == {columns}


def test_a_small_screen_says_what_matters() -> None:
    lines = text(crashed(), 80, 24)
    page = "\n".join(lines)
    assert "AMBER" in lines[0] and "at least 7 hints waiting" in lines[1] and "1 fault in force" in lines[1]
    row = next(line for line in lines if line.startswith("n3"))
    assert "stopped" in row and row.rstrip().endswith("7")
    assert "●  ●  ✕  ●  ●" in next(line for line in lines if line.startswith("n1"))
    assert "f1  kill" in page and "12 touched" in page and "n1->n3: 3 failed" in page
    assert "n1+3   member.dead" in page and "suspected for 1.6 s" in page
    assert "▼" in page and "▲" in page and lines[-1].startswith("q quit")


def test_a_wide_screen_puts_faults_and_hints_beside_the_events() -> None:
    lines = text(crashed(), 200, 50)
    [heading] = [line for line in lines if line.startswith("FAULTS")]
    assert "EVENTS" in heading
    assert any("7  kept by n1 7" in line for line in lines)
    assert any("NOTE" in line and "PUB/S" in line for line in lines)


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_columns_do_not_jump(columns: int) -> None:
    quiet, busy = History(), History()
    for tick in range(3):
        quiet.add(sight(tick / 2, {f"n{one}": vitals(1.0 + tick / 2) for one in range(1, 6)}))
        loud: dict[str, Vitals | str] = {
            f"n{one}": vitals(1.0 + tick / 2, 99_999 * tick, bucket=SLOW, hints={"n2": 99_999}) for one in range(1, 6)
        }
        busy.add(sight(tick / 2, loud))
    first, second = (next(line for line in text(one, columns, 24) if line.startswith("NODE")) for one in (quiet, busy))
    assert first == second


def test_focus_shows_one_node_and_freezing_says_so() -> None:
    history = crashed()
    focused = "\n".join(text(history, 120, 35, Desk(focus="n3")))
    assert "EVENTS  of n3" in focused and "all, not only n3" in focused and "kv –" in focused
    assert "FROZEN" in text(history, 80, 24, Desk(frozen=True))[0]


def test_a_lost_cluster_and_one_not_yet_seen() -> None:
    assert text(History(), 80, 24)[0].startswith("looking")
    history = crashed()
    history.add(sight(9.0, lost="unknown cluster 'default'"))
    assert "LOST" in text(history, 80, 24)[0] and "unknown cluster 'default'" in text(history, 80, 24)[0]
    gone = History()
    gone.add(sight(0.0, {"n1": "stopped", "n2": "stopped"}, colour="red"))
    assert "hints unknown" in text(gone, 80, 24)[1]


def test_many_nodes_first_those_that_are_not_well() -> None:
    history = crashed(50)
    lines = text(history, 100, 24)
    assert any(line.startswith("n3 ") and "stopped" in line for line in lines)
    assert any("more nodes" in line for line in lines) and "SEEN BY" in "\n".join(lines)
    assert "0/49" in next(line for line in lines if line.startswith("n3 "))


def test_nothing_moves_the_cursor() -> None:
    history = History()
    history.add(
        sight(0.0, {"n1": vitals(events=[event("service.error", "n1", 0.0, "\x1b[2J\r\n boom", operation="a\x07")])})
    )
    assert all(line.isprintable() for line in text(history, 120, 35))


def test_a_page_that_does_not_move() -> None:
    lines = [painted(line, PLAIN).rstrip() for line in plain_lines(crashed(), 120)]
    assert "AMBER" in lines[0] and any(line.startswith("kv ") and "p99" in line for line in lines)
    assert not any("quit" in line for line in lines)


@pytest.mark.parametrize(
    "pressed,desk",
    [
        ("q", Desk(done=True)),
        (" ", Desk(frozen=True)),
        ("  ", Desk()),
        ("2", Desk(focus="n2")),
        ("22", Desk()),
        ("9", Desk()),
        ("jj", Desk(focus="n2")),
        ("k", Desk(focus="n3")),
        ("20", Desk()),
        ("x", Desk()),
        ("\x1b[B\x1b[B\x1b[A", Desk(focus="n1")),
        ("\x1bOB", Desk(focus="n1")),
        ("3\x1b", Desk()),
        ("\x1b[5~\x1b[1;5C", Desk(focus="n1")),
    ],
)
def test_keys(pressed: str, desk: Desk) -> None:
    found = Desk()
    for key in keys(pressed):
        found = press(found, key, ["n1", "n2", "n3"])
    assert found == desk


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
    assert spark([0, 4, 8], 8, ASCII).isascii() and bar(0.5, 4, ASCII) == "==  "
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
