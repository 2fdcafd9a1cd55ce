"""Stands in for nats-server in nats-py's own tests: takes its arguments, and hands each connection to a gateway.

The tests start a program of their own for each server, with a port, and with a user or a token or none. This one checks
that, gives the gateway its password instead, and hides the other nodes (to the tests they would be strangers). What is
asked at the port for HTTP is asked of the gateway at `$SYS`, and counted from the start of this program. Two variables
say where the gateways are: NATS_GATEWAYS, addresses between commas, and NATS_PASSWORD.
"""

import argparse
import asyncio
import json
import os
from typing import Any

GATEWAYS, PASSWORD = os.environ["NATS_GATEWAYS"].split(","), os.environ["NATS_PASSWORD"]
COUNTS = ("in_msgs", "in_bytes", "out_msgs", "out_bytes", "total_connections")


class StandIn:
    """One server."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.host, _, port = GATEWAYS[options.port % len(GATEWAYS)].partition(":")
        self.port = int(port)
        self.ports: set[int] = set()
        """Where its connections to the gateway come from."""
        self.before: dict[str, int] = {}
        self.asked = 0
        """How often it asked the node itself, which the node counts as messages from a client."""

    async def run(self) -> None:
        """Serve until killed."""
        varz = await self.ask("VARZ")
        self.before = {name: varz[name] for name in COUNTS}
        await asyncio.start_server(self.serve_http, "127.0.0.1", self.options.http_port)
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.options.port)
        await server.serve_forever()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        from_gateway, to_gateway = await asyncio.open_connection(self.host, self.port)
        mine = to_gateway.get_extra_info("sockname")[1]
        self.ports.add(mine)
        try:
            info = json.loads((await from_gateway.readline())[5:])
            info |= {"auth_required": bool(self.options.user or self.options.auth), "port": self.options.port}
            info.pop("connect_urls")
            writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
            line = await reader.readline()
            if line.startswith(b"CONNECT "):
                given = json.loads(line[8:])
                user, password, token = given.pop("user", None), given.pop("pass", None), given.pop("auth_token", None)
                wanted = self.options
                if (wanted.user and (user, password) != (wanted.user, wanted.password)) or (
                    wanted.auth and token != wanted.auth
                ):
                    writer.write(b"-ERR 'Authorization Violation'\r\n")
                    return
                line = b"CONNECT " + json.dumps({**given, "auth_token": PASSWORD}).encode() + b"\r\n"
            to_gateway.write(line)
            await asyncio.wait(
                [asyncio.create_task(copy(reader, to_gateway)), asyncio.create_task(copy(from_gateway, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self.ports.discard(mine)
            for stream in (writer, to_gateway):
                stream.close()

    async def serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """GET /varz or /connz."""
        path = (await reader.readline()).split()[1].decode().split("?")[0]
        found = await self.ask(path.strip("/").upper())
        for name in COUNTS:
            if name in found:
                found[name] -= self.before.get(name, 0)
        if "in_msgs" in found:
            found["in_msgs"] -= self.asked - 1  # the first is among those before, the last is counted only now
        if "connections" in found and isinstance(found["connections"], list):
            found["connections"] = [one for one in found["connections"] if one["port"] in self.ports]
            found["num_connections"] = len(found["connections"])
        body = json.dumps(found).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def ask(self, what: str) -> Any:
        """What the node says of itself."""
        self.asked += 1
        reader, writer = await asyncio.open_connection(self.host, self.port)
        inbox, subject = "_INBOX.stand-in", f"$SYS.REQ.SERVER.PING.{what}"
        hello = json.dumps({"auth_token": PASSWORD, "headers": True, "no_responders": True})
        writer.write(f"CONNECT {hello}\r\nSUB {inbox} 1\r\nPUB {subject} {inbox} 0\r\n\r\n".encode())
        while not (line := await reader.readline()).startswith(b"MSG "):
            assert line.startswith(b"INFO "), line
        found = json.loads(await reader.readexactly(int(line.split()[-1])))["data"]
        writer.close()
        return found


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything, until either ends."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass


def main() -> None:
    """As nats-server is started."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", dest="port", type=int)
    parser.add_argument("-m", dest="http_port", type=int)
    parser.add_argument("--user", default="")
    parser.add_argument("--pass", dest="password", default="")
    parser.add_argument("--auth", default="")
    asyncio.run(StandIn(parser.parse_known_args()[0]).run())


if __name__ == "__main__":
    main()
