"""The handshake, dialler and listener joined back to back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadMessage, HandshakeRefused
from cluster.wire.handshake import (
    LANE_CONTROL,
    LANE_FOREGROUND,
    ROLE_CLIENT,
    ROLE_NODE,
    Dialler,
    Listener,
    Party,
    refusal,
)

SECRET = b"s" * 32
N1 = Party("demo", ROLE_NODE, "n1", "n1-aa", 3)
N2 = Party("demo", ROLE_NODE, "n2", "n2-bb", 4)
CLIENT = Party("demo", ROLE_CLIENT, "cli", "", 0)


def dialler(me: Party = N1, secret: bytes = SECRET, lane: int = LANE_CONTROL, expect: str = "n2") -> Dialler:
    return Dialler(secret, me, lane, b"d" * 16, expect)


def listener(secret: bytes = SECRET, me: Party = N2) -> Listener:
    return Listener(secret, me, b"l" * 16)


def join(one: Dialler, two: Listener, cut: int = 1 << 20) -> None:
    """Carry bytes to and fro, at most `cut` at a time, until nobody has any."""
    to_two, to_one = one.start(), b""
    while to_two or to_one:
        piece, to_two = to_two[:cut], to_two[cut:]
        to_one += two.feed(piece) if piece else b""
        piece, to_one = to_one[:cut], to_one[cut:]
        to_two += one.feed(piece) if piece else b""


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
def test_both_learn_who_the_other_is(cut: int) -> None:
    one, two = dialler(), listener()
    join(one, two, cut)
    assert one.peer == N2
    assert two.peer == N1 and two.lane == LANE_CONTROL


def test_a_client_keeps_its_role() -> None:
    one, two = dialler(CLIENT, lane=LANE_FOREGROUND), listener()
    join(one, two)
    assert two.peer is not None and two.peer.role == ROLE_CLIENT


def test_frames_right_behind_the_proof_are_kept() -> None:
    one, two = dialler(), listener()
    proof = one.feed(two.feed(one.start()))
    two.feed(proof + b"frames")
    assert two.peer == N1 and two.rest == b"frames"


def test_the_dialler_refuses_a_listener_without_the_secret() -> None:
    one, two = dialler(), listener(secret=b"x" * 32)
    with pytest.raises(HandshakeRefused, match="does not know"):
        one.feed(two.feed(one.start()))
    assert one.peer is None


def test_the_listener_refuses_a_dialler_without_the_secret() -> None:
    one, two = dialler(secret=b"x" * 32), listener()
    challenge = two.feed(one.start())
    honest = dialler()
    honest.hello = one.hello
    impostor_proof = Dialler(b"x" * 32, N1, LANE_CONTROL, b"d" * 16)
    impostor_proof.hello = one.hello
    with pytest.raises(HandshakeRefused):
        impostor_proof.feed(challenge)  # it cannot even check the other side, and stops
    with pytest.raises(HandshakeRefused):
        two.feed(b"\x00\x00\x00\x24\x92\x03\xc4\x20" + b"p" * 32)
    assert two.peer is None


def test_a_proof_cannot_be_reflected() -> None:
    """The listener's own proof, sent back to it, does not open the door: the labels differ."""
    one, two = dialler(), listener()
    challenge = two.feed(one.start())
    reflected = challenge[-32:]
    with pytest.raises(HandshakeRefused):
        two.feed(b"\x00\x00\x00\x24\x92\x03\xc4\x20" + reflected)


def test_a_proof_is_not_accepted_for_another_nonce() -> None:
    one, first = dialler(), listener()
    proof = one.feed(first.feed(one.start()))
    again = Listener(SECRET, N2, b"m" * 16)
    again.feed(one.start())
    with pytest.raises(HandshakeRefused):
        again.feed(proof)


@pytest.mark.parametrize(
    ("me", "expect", "words"),
    [(Party("other", ROLE_NODE, "n1", "", 0), "n2", "another cluster"), (N1, "n3", "expected node n3")],
)
def test_the_wrong_cluster_or_node_is_named(me: Party, expect: str, words: str) -> None:
    one, two = dialler(me, expect=expect), listener()
    with pytest.raises(HandshakeRefused, match=words):
        join(one, two)


def test_a_refusal_reaches_the_dialler_with_its_reason() -> None:
    one = dialler()
    one.start()
    with pytest.raises(HandshakeRefused, match="because"):
        one.feed(refusal("because"))


@given(st.binary(min_size=1, max_size=200))
def test_garbage_never_opens_the_door(data: bytes) -> None:
    two = listener()
    try:
        two.feed(data)
    except (BadMessage, HandshakeRefused):
        pass
    assert two.peer is None


def test_an_oversized_message_is_refused_before_it_arrives() -> None:
    with pytest.raises(BadMessage, match="at most"):
        listener().feed(b"\x7f\xff\xff\xff")
