"""The handshake, dialler and listener joined back to back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadMessage, HandshakeRefused
from cluster.wire.frames import with_length
from cluster.wire.handshake import (
    LANE_CONTROL,
    LANE_FOREGROUND,
    ROLE_CLIENT,
    ROLE_NODE,
    Dialler,
    HandshakeListener,
    Hello,
    Party,
    Proof,
    refusal,
    role_key,
)

SECRET = b"s" * 32
NOW = 1000.0
N1 = Party("demo", ROLE_NODE, "n1", "n1-aa", 3, "boot-a")
N2 = Party("demo", ROLE_NODE, "n2", "n2-bb", 4, "boot-b")
CLIENT = Party("demo", ROLE_CLIENT, "cli", "", 0, "boot-b")


def dialler(me: Party = N1, secret: bytes = SECRET, lane: int = LANE_CONTROL, expect: str = "n2") -> Dialler:
    return Dialler(role_key(secret, me.role), me, lane, b"d" * 16, expect)


def listener(secret: bytes = SECRET, me: Party = N2) -> HandshakeListener:
    return HandshakeListener(secret, me, b"l" * 16)


def join(one: Dialler, two: HandshakeListener, cut: int = 1 << 20) -> None:
    """Carry bytes to and fro, at most `cut` at a time, until nobody has any."""
    to_two, to_one = one.start(NOW), b""
    while to_two or to_one:
        piece, to_two = to_two[:cut], to_two[cut:]
        to_one += two.feed(piece, NOW) if piece else b""
        piece, to_one = to_one[:cut], to_one[cut:]
        to_two += one.feed(piece, NOW) if piece else b""


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
    proof = one.feed(two.feed(one.start(NOW), NOW), NOW)
    two.feed(proof + b"frames", NOW)
    assert two.peer == N1 and two.rest == b"frames"


def test_the_dialler_refuses_a_listener_without_the_secret() -> None:
    one, two = dialler(), listener(secret=b"x" * 32)
    with pytest.raises(HandshakeRefused, match="another secret"):
        one.feed(two.feed(one.start(NOW), NOW), NOW)
    assert one.peer is None


def test_the_listener_refuses_a_dialler_without_the_secret() -> None:
    one, two = dialler(secret=b"x" * 32), listener()
    challenge = two.feed(one.start(NOW), NOW)
    with pytest.raises(HandshakeRefused):
        one.feed(challenge, NOW)  # it cannot even check the other side, and stops
    with pytest.raises(HandshakeRefused):
        two.feed(with_length(msgspec.msgpack.encode(Proof(NOW, b"p" * 32))), NOW)
    assert two.peer is None


def test_a_proof_cannot_be_reflected() -> None:
    """The listener's own proof, sent back to it, does not open the door: the labels differ."""
    one, two = dialler(), listener()
    challenge = two.feed(one.start(NOW), NOW)
    reflected = challenge[-32:]
    with pytest.raises(HandshakeRefused):
        two.feed(with_length(msgspec.msgpack.encode(Proof(NOW, reflected))), NOW)


def test_a_proof_is_not_accepted_for_another_nonce() -> None:
    one, first = dialler(), listener()
    proof = one.feed(first.feed(one.start(NOW), NOW), NOW)
    again = HandshakeListener(SECRET, N2, b"m" * 16)
    again.feed(one.start(NOW), NOW)
    with pytest.raises(HandshakeRefused):
        again.feed(proof, NOW)


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
    one.start(NOW)
    with pytest.raises(HandshakeRefused, match="because"):
        one.feed(refusal(HandshakeRefused("because")), NOW)


@given(st.binary(min_size=1, max_size=200))
def test_garbage_never_opens_the_door(data: bytes) -> None:
    two = listener()
    try:
        two.feed(data, NOW)
    except (BadMessage, HandshakeRefused):
        pass
    assert two.peer is None


def test_what_is_no_handshake_is_shown() -> None:
    with pytest.raises(BadMessage, match=r"it begins with 00 00 00 02 92 06$"):
        listener().feed(with_length(b"\x92\x06"), NOW)


def test_an_oversized_message_is_refused_before_it_arrives() -> None:
    with pytest.raises(BadMessage, match="at most"):
        listener().feed(b"\x7f\xff\xff\xff", NOW)


@pytest.mark.parametrize("declared", ["node", "worker", "gateway"])
def test_a_role_is_proven_not_declared(declared: str) -> None:
    """Who holds the key of clients only cannot be anything else, whatever its hello says."""
    me = Party("demo", declared, "n1", "n1-aa", 3, "boot-a")
    one, two = Dialler(role_key(SECRET, ROLE_CLIENT), me, LANE_CONTROL, b"d" * 16), listener()
    challenge = two.feed(one.start(NOW), NOW)
    with pytest.raises(HandshakeRefused):
        one.feed(challenge, NOW)
    with pytest.raises(HandshakeRefused):
        two.feed(with_length(msgspec.msgpack.encode(Proof(NOW, b"p" * 32))), NOW)
    assert two.peer is None


def test_a_party_that_is_not_admitted_is_refused_with_the_reason() -> None:
    two = HandshakeListener(SECRET, N2, b"l" * 16, lambda party: f"no room for {party.name}")
    with pytest.raises(HandshakeRefused, match="no room for cli"):
        join(dialler(CLIENT), two)


def test_a_hello_that_is_no_text_is_refused_quietly() -> None:
    hello = msgspec.msgpack.encode(Hello(2, "demo", ROLE_NODE, "NAME", "n1-aa", 3, 0, b"d" * 16, "boot", NOW))
    with pytest.raises(BadMessage):
        listener().feed(with_length(hello.replace(b"NAME", b"\xff\xfe\xfd\xfc")), NOW)


def test_one_boot_shares_its_clock_and_two_do_not() -> None:
    one, two = dialler(CLIENT), listener()  # the client runs on the machine of n2
    join(one, two)
    assert one.clock.same and two.clock.same and one.clock.local(7.0) == 7.0
    one, two = dialler(N1), listener()
    join(one, two)
    assert not one.clock.same and not two.clock.same
    unknown = Party("demo", ROLE_NODE, "n1", "n1-aa", 3)
    two = listener(me=Party("demo", ROLE_NODE, "n2", "n2-bb", 4))
    join(dialler(unknown), two)
    assert not two.clock.same, "a boot without a name is equal to no other"


def test_the_clocks_of_two_machines_are_compared_in_the_handshake() -> None:
    one, two = dialler(N1), listener()
    hello = one.start(10.0)
    challenge = two.feed(hello, 5000.0)
    proof = one.feed(challenge, 10.002)
    two.feed(proof, 5000.003)
    assert one.clock.local(5000.0) == pytest.approx(10.002)
    assert two.clock.local(10.002) == pytest.approx(5000.003)


def test_a_handshake_too_slow_to_compare_clocks_is_refused_on_either_side() -> None:
    one, two = dialler(N1), listener()
    challenge = two.feed(one.start(10.0), 5000.0)
    with pytest.raises(HandshakeRefused, match="too long"):
        one.feed(challenge, 10.3)
    one, two = dialler(N1), listener()
    proof = one.feed(two.feed(one.start(10.0), 5000.0), 10.1)
    with pytest.raises(HandshakeRefused, match="too long"):
        two.feed(proof, 5000.4)
    one, two = dialler(CLIENT), listener()
    two.feed(one.feed(two.feed(one.start(10.0), 12.0), 14.0), 16.0)
    assert two.peer == CLIENT, "with one clock there is nothing to compare"


def test_one_boot_with_two_clocks_is_taken_for_two_machines() -> None:
    """Containers may have clocks of their own: what was sent in the future says so."""
    one, two = dialler(CLIENT), listener()
    two.feed(one.feed(two.feed(one.start(500.0), 100.0), 500.1), 100.1)
    assert not two.clock.same
    assert two.clock.local(500.1) == pytest.approx(100.1)
