"""The mutual proof that both sides hold the key of the dialler's role, before any other frame is read.

    dialler -> Hello(version, cluster, role, name, id, epoch, lane, nonce, boot, now)
    dialler <- Challenge(name, id, epoch, nonce, boot, now, proof)  proof = MAC(key, "listener", Hello, Challenge)
    dialler -> Proof(now, proof)                                    proof = MAC(key, "dialler", Hello, Challenge, now)

The key of a role is derived from the cluster's secret (see `cluster.wire.rights`), so a role is proven, not declared.
The dialler may send frames right behind its Proof. MAC is keyed BLAKE2b (RFC 7693 section 2.9, which takes the place
of HMAC). The labels differ, so neither side's proof can be reflected. Sans-IO: bytes and the monotonic time in, bytes
out; two of these joined back to back are the test.

It also begins each side's estimate of the other's clock, unless their boot ids say that it is the same one. A handshake
that took longer than EXCHANGE_S would make that estimate too late by as much: it is refused, and tried again (`again`).

The dialler is done when it has sent its proof, so frames may be behind a proof that the listener refuses. Nothing of
them was read, and the refusal is the first word from there (`refused_proof`).
"""

from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage, ClusterError, HandshakeRefused
from cluster.wire.clock import SenderClock
from cluster.wire.frames import split_lengths, with_length
from cluster.wire.rights import ROLE_CLIENT, ROLE_NODE, ROLES, role_key

VERSION = 3
MESSAGE_BYTES_MAX = 1024
NONCE_BYTES = 16
FIRST_BYTES = 16
"""Of what is no handshake, so many are said: whose protocol it is stands there."""
EXCHANGE_S = 0.25

LANE_CONTROL, LANE_FOREGROUND, LANE_BACKGROUND = 0, 1, 2


class Hello(Struct, array_like=True, frozen=True, tag=1):
    """Who dials, for which cluster, and what the connection is for."""

    version: int
    cluster: str
    role: str
    name: str
    id: str
    epoch: int
    lane: int
    nonce: bytes
    boot: str
    now: float


class Challenge(Struct, array_like=True, frozen=True, tag=2):
    """Who answers, and its proof."""

    name: str
    id: str
    epoch: int
    nonce: bytes
    boot: str
    now: float
    proof: bytes


class Proof(Struct, array_like=True, frozen=True, tag=3):
    """The dialler's proof."""

    now: float
    proof: bytes


class Refusal(Struct, array_like=True, frozen=True, tag=4):
    """Why the listener closes the connection. `again`: the next dial may succeed."""

    message: str
    again: bool = False


_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Hello | Challenge | Proof | Refusal).decode


class Party(Struct, frozen=True):
    """One side's identity, as told to the other. `boot` names the boot of its machine, empty when that is unknown."""

    cluster: str
    role: str
    name: str
    id: str
    epoch: int
    boot: str = ""


def _mac(key: bytes, label: bytes, hello: Hello, challenge: bytes) -> bytes:
    return blake2b(label + _encode(hello) + challenge, key=key, digest_size=32).digest()


def _challenge_bytes(challenge: Challenge) -> bytes:
    """All of it but the proof."""
    return _encode((challenge.name, challenge.id, challenge.epoch, challenge.nonce, challenge.boot, challenge.now))


def _clock(me: str, peer: str, at: float, took_s: float, now: float) -> SenderClock:
    """The clock of a peer that wrote at `at` what is read `now`, `took_s` after it was asked for. Raises
    HandshakeRefused. Processes in containers may share a boot and not a clock: what comes before it was sent says so.
    """
    clock = SenderClock(same=bool(me) and me == peer and at <= now)
    if not clock.same and took_s > EXCHANGE_S:
        message = f"the handshake took {took_s * 1000:.0f} ms, too long to compare the clocks"
        raise HandshakeRefused(message, again=True)
    clock.stamped(at, now)
    return clock


def _first_message(data: bytes) -> tuple[Hello | Challenge | Proof | Refusal | None, int]:
    """The message at the start of `data`, None until it is whole, and the position behind it. What follows a proof are
    frames, so nothing else is decoded."""
    try:
        for body, stop in split_lengths(data, MESSAGE_BYTES_MAX):
            return _decode(body), stop
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadMessage(f"not a handshake of dsectl: it begins with {data[:FIRST_BYTES].hex(' ')}") from None
    return None, 0


class Dialler:
    """The dialling side, with the key of its role. Feed it what arrives; `peer` and `clock` are set once the listener
    has proven itself."""

    def __init__(self, key: bytes, me: Party, lane: int, nonce: bytes, expect: str = "") -> None:
        self.key = key
        self.me = me
        self.lane = lane
        self.nonce = nonce
        self.expect = expect
        self.hello: Hello | None = None
        self.peer: Party | None = None
        self.clock = SenderClock(same=False)
        self.rest = b""
        """Bytes behind the handshake: frames."""

    def start(self, now: float) -> bytes:
        """The first bytes to send."""
        me = self.me
        self.hello = Hello(VERSION, me.cluster, me.role, me.name, me.id, me.epoch, self.lane, self.nonce, me.boot, now)
        return with_length(_encode(self.hello))

    def feed(self, data: bytes, now: float) -> bytes:
        """Bytes to send in return. Raises HandshakeRefused or BadMessage."""
        self.rest += data
        message, stop = _first_message(self.rest)
        if message is None:
            return b""
        if isinstance(message, Refusal):
            raise _refused(message)
        if not isinstance(message, Challenge):
            raise BadMessage("a handshake out of order")
        self.rest = self.rest[stop:]
        return self._answer(message, now)

    def _answer(self, challenge: Challenge, now: float) -> bytes:
        hello = self.hello
        assert hello is not None, "start was not called"
        challenged = _challenge_bytes(challenge)
        if not compare_digest(challenge.proof, _mac(self.key, b"listener", hello, challenged)):
            raise HandshakeRefused("the node has another secret than this client")
        if self.expect and challenge.name != self.expect:
            raise HandshakeRefused(f"expected node {self.expect} at this address, found {challenge.name}")
        self.clock = _clock(hello.boot, challenge.boot, challenge.now, now - hello.now, now)
        self.peer = Party(hello.cluster, ROLE_NODE, challenge.name, challenge.id, challenge.epoch, challenge.boot)
        return with_length(_encode(Proof(now, _mac(self.key, b"dialler", hello, challenged + _encode(now)))))


class HandshakeListener:
    """The listening side, with the secret that all keys are derived from. `hello` is set once it came, `peer`, `lane`
    and `clock` once the dialler has proven itself. `admit` may refuse a party, with the reason, before it proves
    anything."""

    def __init__(
        self, secret: bytes, me: Party, nonce: bytes, admit: Callable[[Party], str] = lambda party: ""
    ) -> None:
        self.secret = secret
        self.me = me
        self.nonce = nonce
        self.admit = admit
        self.hello: Hello | None = None
        self.peer: Party | None = None
        self.clock = SenderClock(same=False)
        self._key = b""
        self._challenge = Challenge("", "", 0, b"", "", 0.0, b"")
        self.lane = LANE_FOREGROUND
        self.rest = b""

    def feed(self, data: bytes, now: float) -> bytes:
        """Bytes to send in return. Raises HandshakeRefused or BadMessage; see `refusal`."""
        self.rest += data
        message, stop = _first_message(self.rest)
        self.rest = self.rest[stop:]
        if isinstance(message, Hello) and self.hello is None:
            challenge = self._answer(message, now)
            if self.rest:  # a proof sent along with the hello cannot be right: it answers a nonce not yet sent
                raise BadMessage("a handshake out of order")
            return challenge
        if isinstance(message, Proof) and self.hello is not None:
            hello, challenged = self.hello, _challenge_bytes(self._challenge) + _encode(message.now)
            if not compare_digest(message.proof, _mac(self._key, b"dialler", hello, challenged)):
                other = f"the dialler has another secret than this cluster, or no key for a {hello.role}"
                raise HandshakeRefused(other)
            self.clock = _clock(self.me.boot, hello.boot, message.now, now - self._challenge.now, now)
            self.peer, self.lane = _party(hello), hello.lane
        elif message is not None:
            raise BadMessage("a handshake out of order")
        return b""

    def _answer(self, hello: Hello, now: float) -> bytes:
        if hello.version != VERSION:
            raise HandshakeRefused(f"protocol version {hello.version} is not {VERSION}")
        if hello.cluster != self.me.cluster:
            raise HandshakeRefused(f"this node belongs to another cluster than {hello.cluster!r}")
        if hello.role not in ROLES or not 0 <= hello.lane <= LANE_BACKGROUND or len(hello.nonce) != NONCE_BYTES:
            raise BadMessage("a handshake with invalid values")
        if reason := self.admit(_party(hello)):
            raise HandshakeRefused(reason)
        self.hello, me = hello, self.me
        self._key = role_key(self.secret, hello.role)
        challenge = Challenge(me.name, me.id, me.epoch, self.nonce, me.boot, now, b"")
        proof = _mac(self._key, b"listener", hello, _challenge_bytes(challenge))
        self._challenge = challenge = msgspec.structs.replace(challenge, proof=proof)
        return with_length(_encode(challenge))


def _party(hello: Hello) -> Party:
    return Party(hello.cluster, hello.role, hello.name, hello.id, hello.epoch, hello.boot)


def refusal(error: ClusterError) -> bytes:
    """The last words to a dialler that is refused."""
    return with_length(_encode(Refusal(error.message[:200], is_worth_another_dial(error))))


def is_worth_another_dial(error: ClusterError) -> bool:
    """Whether it was the handshake that failed, and nothing is wrong with either side."""
    return isinstance(error, HandshakeRefused) and bool(error.detail.get("again"))


def refused_proof(data: bytes) -> HandshakeRefused | bool:
    """What the first bytes behind a proof refuse; else whether they are frames. Too few of them tell nothing yet."""
    try:
        message, _ = _first_message(data)
    except BadMessage:
        return True
    return _refused(message) if isinstance(message, Refusal) else message is not None


def _refused(message: Refusal) -> HandshakeRefused:
    error = HandshakeRefused(message.message)
    if message.again:
        error.detail["again"] = True
    return error


__all__ = [
    "LANE_BACKGROUND",
    "LANE_CONTROL",
    "LANE_FOREGROUND",
    "NONCE_BYTES",
    "ROLE_CLIENT",
    "ROLE_NODE",
    "Dialler",
    "HandshakeListener",
    "Party",
    "is_worth_another_dial",
    "refusal",
    "refused_proof",
    "role_key",
]
