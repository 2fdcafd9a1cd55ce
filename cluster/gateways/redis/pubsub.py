"""PUBLISH and SUBSCRIBE onto topics: a channel is a subject, so that programs of Redis and of dsectl meet.

A channel therefore is what a subject is: tokens between dots, without blanks, `*` and `>`. Redis' patterns know no
tokens; a subscription takes the topic pattern that holds all that a pattern can mean (its tokens up to the first
wildcard, then `>`), and passes on what matches. At most once, as in Redis; a subscription is confirmed once all live
nodes know of it, so what is published after the confirmation, anywhere, arrives.
"""

from cluster.errors import ClusterError, Usage
from cluster.gateways.redis.glob import compile_glob, is_literal, literal_prefix
from cluster.gateways.redis.resp import Push, Reply, encode
from cluster.gateways.redis.session import ChannelSubscription, RedisCall, RedisSession, syntax_error
from cluster.gateways.redis.table import CommandTable
from cluster.messaging.subject import REST, split_subject
from cluster.messaging.subject import is_literal as is_subject
from cluster.wire.topics import Publish, Published, Subscribe, Subscribed, Unsubscribe

PUBSUB = CommandTable("pubsub")
CHANNEL = "A channel is a subject: tokens between dots, without blanks or wildcards."


def channel_of(word: bytes) -> str:
    """A channel as the subject that it is. Raises Usage."""
    try:
        channel = word.decode()
    except UnicodeDecodeError:
        raise Usage(f"a channel is UTF-8 text here, not {word[:64]!r}") from None
    try:
        split_subject(channel)
    except Usage as error:
        raise Usage(f"a channel is a topic's subject here: {error.message}") from None
    return channel


def topic_pattern(glob: str) -> str:
    """The narrowest pattern of topics that has all that a pattern of Redis means. Raises Usage."""
    if is_literal(glob):
        return channel_of(glob.encode())
    tokens = literal_prefix(glob).split(".")[:-1]
    if tokens:
        channel_of(".".join(tokens).encode())
    return ".".join([*tokens, REST])


@PUBSUB.add("publish", 3, "Sends a message to a channel.", flags="pubsub fast", limits=CHANNEL)
def publish(call: RedisCall) -> None:
    """PUBLISH channel message: how many subscriptions it was sent towards."""

    def published(answer: Published) -> None:
        call.reply(answer.subscribers)

    call.ask(Publish(channel_of(call.words[1]), call.words[2]), published)


@PUBSUB.add("subscribe", -2, "Listens to channels.", flags="pubsub in_subscribed", limits=CHANNEL)
def subscribe(call: RedisCall) -> None:
    """SUBSCRIBE channel…."""
    wanted = [ChannelSubscription(name, name) for name in map(channel_of, call.words[1:])]
    _subscribe(call, "subscribe", call.session.channels, wanted)


@PUBSUB.add(
    "psubscribe", -2, "Listens to all channels that match patterns.", flags="pubsub in_subscribed",
    limits="The node gets all subjects below the tokens before the first wildcard, and passes on what matches.",
)  # fmt: skip
def psubscribe(call: RedisCall) -> None:
    """PSUBSCRIBE pattern…."""
    globs = [word.decode(errors="backslashreplace") for word in call.words[1:]]
    wanted = [ChannelSubscription(glob, topic_pattern(glob), compile_glob(glob)) for glob in globs]
    _subscribe(call, "psubscribe", call.session.patterns, wanted)


@PUBSUB.add("unsubscribe", -1, "Listens no more to channels, or to any.", flags="pubsub in_subscribed")
def unsubscribe(call: RedisCall) -> None:
    """UNSUBSCRIBE [channel…]."""
    _unsubscribe(call, "unsubscribe", call.session.channels)


@PUBSUB.add("punsubscribe", -1, "Listens no more to patterns, or to any.", flags="pubsub in_subscribed")
def punsubscribe(call: RedisCall) -> None:
    """PUNSUBSCRIBE [pattern…]."""
    _unsubscribe(call, "punsubscribe", call.session.patterns)


@PUBSUB.add("pubsub|channels", -2, "Channels that somebody listens to, at any node.", flags="pubsub")
def pubsub_channels(call: RedisCall) -> None:
    """PUBSUB CHANNELS [pattern]."""
    if len(call.words) > 3:
        raise syntax_error()
    meant = compile_glob(call.words[2].decode(errors="replace")) if len(call.words) == 3 else None
    found = [name for name in call.session.gateway.host.topics.patterns() if is_subject(name)]
    call.reply([name for name in found if meant is None or meant.fullmatch(name)])


@PUBSUB.add("pubsub|numsub", -2, "How many listen to channels, at all nodes.", flags="pubsub")
def pubsub_numsub(call: RedisCall) -> None:
    """PUBSUB NUMSUB [channel…]."""
    patterns = call.session.gateway.host.topics.patterns()
    found: list[Reply] = []
    for word in call.words[2:]:
        found += [word, patterns.get(word.decode(errors="replace"), 0)]
    call.reply(found)


@PUBSUB.add(
    "pubsub|numpat", 2, "How many patterns clients listen to.", flags="pubsub", limits="Of the node that is asked."
)
def pubsub_numpat(call: RedisCall) -> None:
    """PUBSUB NUMPAT."""
    call.reply(len({glob for session in call.session.gateway.sessions for glob in session.patterns}))


def end_subscriptions(session: RedisSession) -> None:
    """It listens to nothing any more."""
    for names in (session.channels, session.patterns):
        for listening in list(names.values()):
            _end(session, names, listening)


def _subscribe(
    call: RedisCall, what: str, names: dict[str, ChannelSubscription], wanted: list[ChannelSubscription]
) -> None:
    """Subscribe to what is new, and confirm all once all nodes know: each name with how many there are by then. If one
    cannot be, none is."""
    session = call.session
    confirmations, new = [], list[ChannelSubscription]()
    for listening in wanted:
        if listening.name not in names:
            session.numbers += 1
            listening.number = session.numbers
            names[listening.name] = session.by_number[listening.number] = listening
            new.append(listening)
        confirmations.append(Push([what, listening.name, session.subscribed]))
    waiting = len(new)
    refused: ClusterError | None = None

    def answered(outcome: Subscribed | ClusterError) -> None:
        nonlocal waiting, refused
        waiting -= 1
        if isinstance(outcome, ClusterError):
            refused = outcome
        if waiting > 0:
            return
        if refused is None:
            call.done(b"".join(encode(one, session.protocol) for one in confirmations))
            return
        for listening in new:
            _end(session, names, listening)
        call.fail(refused)

    if not new:
        answered(Subscribed(0))
    for listening in new:
        session.gateway.ask(session, Subscribe(listening.number, listening.topics), answered)


def _unsubscribe(call: RedisCall, what: str, names: dict[str, ChannelSubscription]) -> None:
    session = call.session
    confirmations = []
    for name in [word.decode(errors="backslashreplace") for word in call.words[1:]] or list(names):
        if name in names:
            _end(session, names, names[name])
        confirmations.append(Push([what, name, session.subscribed]))
    if not confirmations:
        confirmations.append(Push([what, None, session.subscribed]))
    call.done(b"".join(encode(one, session.protocol) for one in confirmations))


def _end(session: RedisSession, names: dict[str, ChannelSubscription], listening: ChannelSubscription) -> None:
    del names[listening.name], session.by_number[listening.number]
    session.gateway.ask(session, Unsubscribe(listening.number), lambda outcome: None)
