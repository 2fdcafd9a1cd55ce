"""The queues that a node goes by."""

import pytest

from cluster.chain.entry import genesis, with_queue, without_queue
from cluster.chain.queue import Queue
from cluster.errors import NotFound
from cluster.layout import LayoutEntry, LayoutMember
from cluster.queues.defined import Defined


def layout() -> LayoutEntry:
    names = ("n1", "n2", "n3")
    members = tuple(LayoutMember(name, "a", "127.0.0.1", 7000 + place) for place, name in enumerate(names))
    return LayoutEntry(1, "test", members, 3, 2, 2)


def test_a_queue_is_deleted_once_an_entry_leaves_it_out_and_not_before_it_is_known() -> None:
    first = genesis(layout())
    created = with_queue(first, "jobs", Queue(1))
    defined = Defined(first)
    changes: list[int] = []
    defined.on_change.append(lambda: changes.append(defined.newest_slot))
    id = created.queues["jobs"].id
    assert not defined.is_deleted(id)
    defined.adopt(created)
    assert not defined.is_deleted(id) and defined.get("jobs").id == id and defined.name_of(id) == "jobs"
    defined.adopt(without_queue(created, "jobs"))
    assert defined.is_deleted(id) and defined.name_of(id) == ""
    with pytest.raises(NotFound):
        defined.get("jobs")
    assert changes == [2, 3]
