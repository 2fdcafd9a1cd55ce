"""The file of faults: one generation after the other, whoever writes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.emulator.faultsfile import change_faults, clear_faults, read_faults
from cluster.errors import Damaged
from cluster.faults import Fault, FaultDocument, add_fault, heal

AT = "2025-05-01T12:00:00.000Z"
CUT = Fault(kind="partition", at=AT, groups=[["n1"], ["n2"]])


def test_changes_are_kept(tmp_path: Path) -> None:
    assert read_faults(tmp_path).faults == []
    after = change_faults(tmp_path, lambda document: add_fault(document, CUT))
    assert read_faults(tmp_path) == after
    assert change_faults(tmp_path, lambda document: document) == after


def test_commands_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: change_faults(tmp_path, lambda document: add_fault(document, CUT)), range(40)))
    document = read_faults(tmp_path)
    assert [fault.id for fault in document.faults] == [f"f{number}" for number in range(1, 41)]
    assert document.generation == 40


def test_up_begins_anew_and_ids_go_on(tmp_path: Path) -> None:
    change_faults(tmp_path, lambda document: add_fault(document, CUT))
    clear_faults(tmp_path)
    assert read_faults(tmp_path).faults == []
    again = change_faults(tmp_path, lambda document: add_fault(document, CUT))
    assert [fault.id for fault in again.faults] == ["f2"]
    assert again.generation == 3


@pytest.mark.parametrize(
    "change", [lambda document: heal(document, None, AT), lambda document: add_fault(document, CUT)]
)
def test_garbage_is_set_aside_by_the_next_change(
    tmp_path: Path, change: Callable[[FaultDocument], FaultDocument]
) -> None:
    before = change_faults(tmp_path, lambda document: add_fault(document, CUT))
    (tmp_path / "faults.json").write_text("garbage")
    with pytest.raises(Damaged, match=r"faults\.json"):
        read_faults(tmp_path)
    after = change_faults(tmp_path, change)
    assert after.generation > before.generation, "nodes that run must take it over"
    assert read_faults(tmp_path) == after
    assert (tmp_path / "faults.json.damaged").read_text() == "garbage"


def test_garbage_is_replaced_by_up(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text("garbage")
    clear_faults(tmp_path)
    assert read_faults(tmp_path).faults == []
