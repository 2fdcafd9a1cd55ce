"""Commands about the connection itself: who it is, which protocol it speaks, and that it lives."""

from cluster.gateways.redis.pubsub import end_subscriptions
from cluster.gateways.redis.resp import RESP2, RESP3, Simple
from cluster.gateways.redis.session import RedisCall, RedisSession, syntax_error
from cluster.gateways.redis.table import CommandTable

CONNECTION = CommandTable("connection")
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
NAME_BYTES_MAX = 64
VERSION = "7.0.0"
"""Of Redis: clients ask for it to know which commands there may be. INFO names dsectl beside it."""


@CONNECTION.add("ping", -1, "Whether the node answers.", flags="fast in_subscribed", any_time=True)
def ping(call: RedisCall) -> None:
    """PING [message]."""
    session, words = call.session, call.words
    if len(words) > 2:
        call.fail("ERR wrong number of arguments for 'ping' command")
    elif session.subscribed and session.protocol == RESP2:
        call.reply(["pong", words[1] if len(words) == 2 else b""])
    else:
        call.reply(words[1] if len(words) == 2 else Simple("PONG"))


@CONNECTION.add("echo", 2, "Its argument.", flags="fast", any_time=True)
def echo(call: RedisCall) -> None:
    """ECHO message."""
    call.reply(call.words[1])


@CONNECTION.add("auth", -2, "Gives the password that `dsectl env` prints; any user name will do.", flags="fast no_auth")
def auth(call: RedisCall) -> None:
    """AUTH [username] password."""
    if len(call.words) > 3:
        raise syntax_error()
    elif call.session.gateway.check_password(call.words[-1]):
        call.session.prove()
        call.ok()
    else:
        call.fail(WRONGPASS)


@CONNECTION.add("hello", -1, "Chooses RESP2 or RESP3, and may give the password.", flags="fast no_auth")
def hello(call: RedisCall) -> None:
    """HELLO [protover [AUTH username password] [SETNAME clientname]]."""
    session, words = call.session, call.words
    protocol, name, password = session.protocol, session.name, None
    if len(words) > 1:
        if words[1] not in (b"2", b"3"):
            call.fail("NOPROTO unsupported protocol version")
            return
        protocol = int(words[1])
    rest = words[2:]
    while rest:
        option = rest[0].lower()
        if option == b"auth" and len(rest) > 2:
            password, rest = rest[2], rest[3:]
        elif option == b"setname" and len(rest) > 1:
            name, rest = rest[1].decode(errors="backslashreplace"), rest[2:]
        else:
            call.fail(f"ERR Syntax error in HELLO option '{rest[0].decode(errors='backslashreplace')}'")
            return
    if password is not None:
        if not session.gateway.check_password(password):
            call.fail(WRONGPASS)
            return
        session.prove()
    if not session.proven:
        call.fail("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> "
                  "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
                  "version at the same time")  # fmt: skip
        return
    session.protocol, session.name = protocol, name[:NAME_BYTES_MAX]
    call.reply(
        {
            "server": "redis",
            "version": VERSION,
            "proto": protocol,
            "id": session.number,
            "mode": "standalone",
            "role": "master",
            "modules": [],
        }
    )


@CONNECTION.add("select", 2, "Chooses the database.", flags="fast", limits="There is one, 0.")
def select(call: RedisCall) -> None:
    """SELECT index."""
    if call.words[1] == b"0":
        call.ok()
    else:
        call.fail("ERR DB index is out of range: there is one database, 0; name parts of keys keep programs apart")


@CONNECTION.add("quit", -1, "Closes the connection after the replies.", flags="fast no_auth in_subscribed")
def quit_(call: RedisCall) -> None:
    """QUIT."""
    call.session.close()
    call.ok()


@CONNECTION.add(
    "reset", 1, "Makes the connection as new: subscriptions end, the password is asked for.", flags="fast in_subscribed"
)
def reset(call: RedisCall) -> None:
    """RESET."""
    end_subscriptions(call.session)
    call.session.reset()
    call.reply(Simple("RESET"))


@CONNECTION.add("client|id", 2, "The number of this connection at its node.", any_time=True)
def client_id(call: RedisCall) -> None:
    """CLIENT ID."""
    call.reply(call.session.number)


@CONNECTION.add("client|getname", 2, "The name of this connection.")
def client_getname(call: RedisCall) -> None:
    """CLIENT GETNAME."""
    call.reply(call.session.name or None)


@CONNECTION.add("client|setname", 3, "Names this connection, for CLIENT LIST.")
def client_setname(call: RedisCall) -> None:
    """CLIENT SETNAME name."""
    name = call.words[2]
    if any(not 33 <= char <= 126 for char in name) or len(name) > NAME_BYTES_MAX:
        call.fail(f"ERR Client names are at most {NAME_BYTES_MAX} printable characters without spaces")
        return
    call.session.name = name.decode()
    call.ok()


@CONNECTION.add("client|setinfo", 4, "What library the client is, for CLIENT LIST.")
def client_setinfo(call: RedisCall) -> None:
    """CLIENT SETINFO LIB-NAME | LIB-VER value."""
    what, value = call.words[2].lower().decode(errors="replace"), call.words[3]
    if what not in ("lib-name", "lib-ver"):
        call.fail(f"ERR Unrecognized option '{what}'")
    elif any(not 33 <= char <= 126 for char in value) or len(value) > NAME_BYTES_MAX:
        call.fail(f"ERR {what} cannot contain spaces, newlines or special characters.")
    else:
        call.session.library[what] = value.decode()
        call.ok()


@CONNECTION.add("client|info", 2, "A line about this connection.")
def client_info(call: RedisCall) -> None:
    """CLIENT INFO."""
    call.reply(describe(call.session) + "\n")


@CONNECTION.add("client|list", -2, "A line about each connection.", limits="Of the node that is asked.")
def client_list(call: RedisCall) -> None:
    """CLIENT LIST [TYPE type] [ID id…]."""
    sessions, options = list(call.session.gateway.sessions), call.words[2:]
    if options and options[0].lower() == b"id" and len(options) > 1:
        if not all(word.isdigit() for word in options[1:]):
            call.fail("ERR Invalid client ID")
            return
        wanted = {int(word) for word in options[1:]}
        sessions = [session for session in sessions if session.number in wanted]
    elif options and options[0].lower() == b"type" and len(options) == 2:
        listening = {b"normal": False, b"pubsub": True}.get(options[1].lower())
        sessions = [session for session in sessions if listening is not None and bool(session.subscribed) == listening]
    elif options:
        raise syntax_error()
    call.reply("".join(describe(session) + "\n" for session in sessions))


@CONNECTION.add("client|reply", 3, "Whether replies are sent.", limits="They are: ON alone.")
def client_reply(call: RedisCall) -> None:
    """CLIENT REPLY ON."""
    if call.words[2].lower() == b"on":
        call.ok()
    else:
        call.fail("ERR CLIENT REPLY OFF and SKIP are not offered: a write whose reply is not read may be a MAYBE")


@CONNECTION.add("client|no-evict", 3, "Accepted: clients are not evicted for memory.")
@CONNECTION.add("client|no-touch", 3, "Accepted: nothing is evicted by use.")
def client_no(call: RedisCall) -> None:
    """CLIENT NO-EVICT | NO-TOUCH ON | OFF."""
    if call.words[2].lower() not in (b"on", b"off"):
        raise syntax_error()
    call.ok()


def describe(session: RedisSession) -> str:
    """A line of CLIENT LIST."""
    fields: dict[str, object] = {
        "id": session.number,
        "addr": "{}:{}".format(*session.peer),
        "laddr": f"{session.gateway.host.address}:{session.gateway.ports.port}",
        "fd": 0,
        "name": session.name,
        "age": int(session.gateway.host.clock.now() - session.began),
        "idle": 0,
        "flags": "P" if session.subscribed else "N",
        "db": 0,
        "sub": len(session.channels),
        "psub": len(session.patterns),
        "multi": -1,
        "cmd": session.last_command or "NULL",
        "user": "default",
        "resp": session.protocol if session.protocol == RESP3 else RESP2,
        "lib-name": session.library.get("lib-name", ""),
        "lib-ver": session.library.get("lib-ver", ""),
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())
