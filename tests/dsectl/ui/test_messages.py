"""What `explain --message` makes of the answers of all nodes."""

from typing import Any

import pytest

from dsectl.commands.explain import merge_message
from dsectl.ui.messages import message_lines
from dsectl.ui.text import PLAIN

AT = "2023-11-14T22:13:2{}.000Z"


def answer(
    state: str, lease: dict[str, Any] | None = None, steps: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    held = None
    if state == "live":
        held = {
            "accepted_at": AT.format(0), "visible_at": AT.format(0), "expires_at": AT.format(9), "body": b"resize",
            "bytes": 6, "headers": {}, "dedup_id": "order-1", "lease": lease,
        }  # fmt: skip
    return {
        "id": "q3-1-n1-aa.1.0-7", "queue": "jobs", "shard": 1, "partition": 9, "owners": ["n1", "n2", "n3"],
        "fallbacks": ["n4"], "accepted_by": "n1", "state": state, "votes": True, "held": held, "steps": steps or [],
    }  # fmt: skip


def lines(*answers: dict[str, Any]) -> str:
    found = merge_message({f"n{number}": one for number, one in enumerate(answers, 1)}, [])
    return "\n".join(message_lines(found, PLAIN, 200))


def lease(attempt: int, left_s: float, giver: str = "n1") -> dict[str, Any]:
    return {"attempt": attempt, "left_s": left_s, "giver": giver}


def test_steps_of_all_nodes_are_in_order_and_say_who_did_them() -> None:
    one = answer("live", lease(2, 3.0), [{"at": AT.format(1), "step": "leased", "to": "worker", "attempt": 1}])
    other = answer("live", None, [{"at": AT.format(0), "step": "accepted", "outcome": "ok"}])
    page = lines(one, other)
    assert page.index("accepted  ") < page.index("leased    ") and "to worker, attempt 1" in page
    assert "leased by n1 for the 2nd time, 3s left" in page
    assert "body     resize" in page and "dedup id order-1" in page


def test_a_lease_after_another_says_why() -> None:
    steps = [
        {"at": AT.format(n), "step": step, "to": ""}
        for n, step in enumerate(["leased", "leased", "returned", "leased"])
    ]
    found = merge_message({"n1": answer("live", lease(3, 1.0), steps)}, [])
    assert [one.get("why") for one in found["steps"]] == [None, "its lease ended", None, "it was returned"]
    assert "leased    why its lease ended" in lines(answer("live", None, steps))


def test_the_latest_lease_counts() -> None:
    found = merge_message({"n1": answer("live", lease(1, 9.0)), "n2": answer("live", lease(3, 1.0, "n2"))}, [])
    assert found["lease"] == lease(3, 1.0, "n2")


def test_done_at_one_is_done() -> None:
    found = merge_message({"n1": answer("live", lease(1, 0.0)), "n2": answer("done")}, ["n3"])
    assert found["state"] == "done" and found["nodes"]["n1"]["state"] == "live" and found["silent"] == ["n3"]
    assert "done: it is not delivered again" in lines(answer("live"), answer("done"))


@pytest.mark.parametrize("nth", ["1st", "2nd", "3rd", "4th", "11th", "13th", "21st", "111th", "123rd"])
def test_deliveries_are_numbered_as_people_do(nth: str) -> None:
    assert f"for the {nth} time" in lines(answer("live", lease(int(nth[:-2]), 3.0)))


def test_what_nobody_has_is_said_so_and_owners_that_do_not_answer() -> None:
    page = lines(answer("none"))
    assert "no node that answers has it" in page and page.count("no answer") == 2
    assert "no node remembers a step" in page


def test_between_leases_it_waits() -> None:
    assert "waiting for its first delivery" in lines(answer("live"))
    assert "waiting: it was delivered 2 times" in lines(answer("live", lease(2, 0.0)))
