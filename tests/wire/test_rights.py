"""Who may send what: every message has its place in the table, and clients have none of the peers'."""

from typing import get_args

import pytest

from cluster.wire.frames import Body
from cluster.wire.kv import Get, Put
from cluster.wire.requests import Call
from cluster.wire.rights import MAY_SEND, NODES_ONLY, ROLES, forbidden, role_key

ANSWERS_AND_PUSHES = {
    "QueueSent",
    "QueueReceived",
    "QueueAnswered",
    "ShardTaken",
    "ShardPurged",
    "ShardSeen",
    *("Promise", "AcceptAnswer", "Compared", "LeavesFound"),
    *(
        "PutDone",
        "Updated",
        "Got",
        "KeysFound",
        "ClockRead",
        "Adopted",
        "Replicated",
        "Attested",
        "Scanned",
        "Surveyed",
        "Offered",
        "Published",
        "Message",
        "Subscribed",
        "TopicReply",
    ),
    *("CallDone", "Registered", "Unregistered", "AdminAnswer", "PushPullReply", "StreamPong", "Told"),
}
FOR_CLIENTS = {
    "QueueSend",
    "QueueReceive",
    "QueueAck",
    "QueueReturn",
    "QueueExtend",
    "Put",
    "Update",
    "Get",
    "Keys",
    "Call",
    "Draining",
    "Publish",
    "Subscribe",
    "Unsubscribe",
    "TopicRequest",
    "AdminQuery",
}


@pytest.mark.parametrize("body", get_args(Body), ids=lambda body: body.__name__)
def test_every_message_is_in_the_table_or_is_an_answer(body: type) -> None:
    assert (body in MAY_SEND) != (body.__name__ in ANSWERS_AND_PUSHES)


def test_a_client_may_send_operations_and_nothing_of_the_peers() -> None:
    assert {body.__name__ for body, roles in MAY_SEND.items() if "client" in roles} == FOR_CLIENTS
    assert {body.__name__ for body, roles in MAY_SEND.items() if "gateway" in roles} == FOR_CLIENTS - {
        "AdminQuery",
        "Draining",
    }
    assert {body.__name__ for body, roles in MAY_SEND.items() if "worker" in roles} == {
        "Call",
        "Register",
        "Unregister",
    }


def test_a_refusal_names_role_and_message() -> None:
    for body, roles in MAY_SEND.items():
        for role in ROLES:
            error = forbidden(body, role)
            assert (error is None) == (role in roles)
            assert error is None or (body.__name__ in error.message and role in error.message and error.definite)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (Put("k", b"v", "op"), False),
        (Put("k", b"v", "op", hops=1), True),
        (Get("k"), False),
        (Get("k", hops=2), True),
        (Call("s", "o", b"{}"), False),
        (Call("s", "o", b"{}", routed=True), True),
    ],
)
def test_what_only_nodes_may_say_of_a_message(body: Put | Get | Call, says: bool) -> None:
    field, _ = NODES_ONLY[type(body)]
    assert bool(field(body)) == says


def test_each_role_has_a_key_of_its_own() -> None:
    keys = {role_key(secret, role) for secret in (b"s" * 32, b"t" * 32) for role in ROLES}
    assert len(keys) == 2 * len(ROLES) and all(len(key) == 32 for key in keys)
