"""The mutual proof that both sides know the cluster's secret, before any other frame is read.

    dialler -> Hello(version, cluster, role, name, id, epoch, lane, nonce)
    dialler <- Challenge(name, id, epoch, nonce, proof)     proof = MAC(secret, "listener", Hello, nonces)
    dialler -> Answer(proof)                                proof = MAC(secret, "dialler", Hello, nonces)

The dialler may send frames right behind its Answer. MAC is keyed BLAKE2b (RFC 7693 section 2.9, which takes the place
of HMAC). The labels differ, so neither side's proof can be reflected. Sans-IO: bytes in, bytes out; two of these
joined back to back are the test.
"""

from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage, HandshakeRefused
from cluster.wire.frames import split_lengths, with_length

VERSION = 1
MESSAGE_BYTES_MAX = 1024
NONCE_BYTES = 16

LANE_CONTROL, LANE_FOREGROUND, LANE_BACKGROUND = 0, 1, 2
ROLE_NODE, ROLE_CLIENT = "node", "client"


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


class Challenge(Struct, array_like=True, frozen=True, tag=2):
    """Who answers, and its proof."""

    name: str
    id: str
    epoch: int
    nonce: bytes
    proof: bytes


class Proof(Struct, array_like=True, frozen=True, tag=3):
    """The dialler's proof."""

    proof: bytes


class Refusal(Struct, array_like=True, frozen=True, tag=4):
    """Why the listener closes the connection."""

    message: str


_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Hello | Challenge | Proof | Refusal).decode


@dataclass(frozen=True)
class Party:
    """One side's identity, as told to the other."""

    cluster: str
    role: str
    name: str
    id: str
    epoch: int


def _mac(secret: bytes, label: bytes, hello: Hello, nonce: bytes) -> bytes:
    return blake2b(label + _encode(hello) + nonce, key=secret[:64], digest_size=32).digest()


def _messages(data: bytes) -> list[tuple[Hello | Challenge | Proof | Refusal, int]]:
    try:
        return [(_decode(body), stop) for body, stop in split_lengths(data, MESSAGE_BYTES_MAX)]
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise BadMessage("not a handshake of dsectl") from None


class Dialler:
    """The dialling side. Feed it what arrives; `peer` is set once the listener has proven itself."""

    def __init__(self, secret: bytes, me: Party, lane: int, nonce: bytes, expect: str = "") -> None:
        self.secret = secret
        self.hello = Hello(VERSION, me.cluster, me.role, me.name, me.id, me.epoch, lane, nonce)
        self.expect = expect
        self.peer: Party | None = None
        self.rest = b""
        """Bytes behind the handshake: frames."""

    def start(self) -> bytes:
        """The first bytes to send."""
        return with_length(_encode(self.hello))

    def feed(self, data: bytes) -> bytes:
        """Bytes to send in return. Raises HandshakeRefused or BadMessage."""
        self.rest += data
        for message, stop in _messages(self.rest):
            if isinstance(message, Refusal):
                raise HandshakeRefused(message.message)
            if not isinstance(message, Challenge):
                raise BadMessage("a handshake out of order")
            self.rest = self.rest[stop:]
            return self._answer(message)
        return b""

    def _answer(self, challenge: Challenge) -> bytes:
        nonces = challenge.nonce + _encode((challenge.name, challenge.id, challenge.epoch))
        if not compare_digest(challenge.proof, _mac(self.secret, b"listener", self.hello, nonces)):
            raise HandshakeRefused("the node does not know this cluster's secret")
        if self.expect and challenge.name != self.expect:
            raise HandshakeRefused(f"expected node {self.expect} at this address, found {challenge.name}")
        self.peer = Party(self.hello.cluster, ROLE_NODE, challenge.name, challenge.id, challenge.epoch)
        return with_length(_encode(Proof(_mac(self.secret, b"dialler", self.hello, nonces))))


class Listener:
    """The listening side. `peer` and `lane` are set once the dialler has proven itself."""

    def __init__(self, secret: bytes, me: Party, nonce: bytes) -> None:
        self.secret = secret
        self.me = me
        self.nonce = nonce
        self.hello: Hello | None = None
        self.peer: Party | None = None
        self.lane = LANE_FOREGROUND
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Bytes to send in return. Raises HandshakeRefused or BadMessage; see `refusal`."""
        self.rest += data
        out = b""
        taken = 0
        for message, stop in _messages(self.rest) if self.hello is None else self._proofs():
            taken = stop
            out += self._take(message)
            if self.peer is not None:
                break
            if self.hello is message:
                break
        self.rest = self.rest[taken:]
        if out and self.rest:  # a proof sent along with the hello cannot be right: it answers a nonce not yet sent
            raise BadMessage("a handshake out of order")
        return out

    def _proofs(self) -> list[tuple[Hello | Challenge | Proof | Refusal, int]]:
        """The first message only: what follows the proof are frames."""
        for body, stop in split_lengths(self.rest, MESSAGE_BYTES_MAX):
            try:
                return [(_decode(body), stop)]
            except (msgspec.DecodeError, msgspec.ValidationError):
                raise BadMessage("not a handshake of dsectl") from None
        return []

    def _take(self, message: Hello | Challenge | Proof | Refusal) -> bytes:
        if isinstance(message, Hello) and self.hello is None:
            return self._challenge(message)
        if isinstance(message, Proof) and self.hello is not None:
            self._check(message, self.hello)
            return b""
        raise BadMessage("a handshake out of order")

    def _nonces(self) -> bytes:
        return self.nonce + _encode((self.me.name, self.me.id, self.me.epoch))

    def _challenge(self, hello: Hello) -> bytes:
        if hello.version != VERSION:
            raise HandshakeRefused(f"protocol version {hello.version} is not {VERSION}")
        if hello.cluster != self.me.cluster:
            raise HandshakeRefused(f"this node belongs to another cluster than {hello.cluster!r}")
        if (
            hello.role not in (ROLE_NODE, ROLE_CLIENT)
            or not 0 <= hello.lane <= LANE_BACKGROUND
            or len(hello.nonce) != NONCE_BYTES
        ):
            raise BadMessage("a handshake with values that cannot be")
        self.hello = hello
        proof = _mac(self.secret, b"listener", hello, self._nonces())
        return with_length(_encode(Challenge(self.me.name, self.me.id, self.me.epoch, self.nonce, proof)))

    def _check(self, message: Proof, hello: Hello) -> None:
        if not compare_digest(message.proof, _mac(self.secret, b"dialler", hello, self._nonces())):
            raise HandshakeRefused("the dialler does not know this cluster's secret")
        self.peer = Party(hello.cluster, hello.role, hello.name, hello.id, hello.epoch)
        self.lane = hello.lane


def refusal(message: str) -> bytes:
    """The last words to a dialler that is refused."""
    return with_length(_encode(Refusal(message[:200])))
