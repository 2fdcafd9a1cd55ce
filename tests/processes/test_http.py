"""The HTTP gateway on real processes, with curl, http.client, and schemathesis, which sends what the description allows
and forbids. Tests skip what the machine lacks."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import json

from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Real, real, until

C = ("-C", "real")
PAGE = Path(__file__).parents[2] / "docs" / "http.md"
CONFIG = Path(__file__).with_name("schemathesis.toml")
VALID = """
[parameters]
"header.Request-Timeout" = "5"
"path.queue" = "jobs"
"query.wait" = 0.01
"""
"""What valid requests say: enough time, a queue that there is, and no waits of 20 s."""
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
DSECTL = f'#!/bin/sh\nexec "{sys.executable}" -m dsectl -C real "$@"\n'


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    with real(3, gateway="http") as running:
        yield running


SHOP = """
    from dataclasses import dataclass

    from msgspec import Struct

    from cluster.requests import operation, service


    @dataclass
    class SoldOut(Exception):
        item: str


    class Line(Struct):
        sku: str


    class Basket(Struct):
        items: list[Line]


    class Price(Struct):
        cents: int


    @service(name="shop")
    class Shop:
        @operation(readonly=True, errors=[SoldOut])
        def quote(self, request: Basket) -> Price:
            for line in request.items:
                if line.sku == "gone":
                    raise SoldOut(line.sku)
            return Price(100 * len(request.items))
"""


class Client:
    """Requests to one node, or to the address that all share, on a connection that is kept while it lasts."""

    def __init__(self, running: Real, at: str = "any") -> None:
        self.at = running.files.gateways["http"][at]
        self.headers = {"Authorization": f"Bearer {running.files.gateway_password}"}
        self.connection = HTTPConnection(self.at, timeout=30.0)

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body. Raises HTTPException or OSError when the connection ends."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.connection.request(method, target, body, self.headers | named)
            response = self.connection.getresponse()
            return response.status, response.read()
        except (HTTPException, OSError):
            self.connection.close()
            raise

    def json(self, method: str, target: str, body: bytes | None = None) -> Any:
        """The body of an answer that is no error."""
        status, data = self.ask(method, target, body)
        assert status < 300, data
        return json.decode(data)


class Dial:
    """Makes clients, and closes their connections."""

    def __init__(self, running: Real) -> None:
        self.running = running
        self.made: list[Client] = []

    def __call__(self, at: str = "any") -> Client:
        self.made.append(Client(self.running, at))
        return self.made[-1]


@pytest.fixture
def dial(three: Real) -> Iterator[Dial]:
    dialling = Dial(three)
    yield dialling
    for client in dialling.made:
        client.connection.close()


def clients_at(node: str) -> int:
    """Connections at one node."""
    count: int = ask("status", *C)["nodes"][node]["gateways"]["http"]["clients"]
    return count


def test_what_the_page_shows_happens(three: Real, tmp_path: Path) -> None:
    """`...` stands for anything. The first line makes the cluster, which is there."""
    if not shutil.which("curl"):
        pytest.skip("no curl")
    script = tmp_path / "bin" / "dsectl"
    script.parent.mkdir()
    script.write_text(DSECTL)
    script.chmod(0o755)
    environment = os.environ | {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"}
    [transcript] = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    first, setting, *steps = re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]
    assert first == "dsectl up --gateway http\n" and len(steps) > 5
    for step in steps:
        command, _, shown = step.partition("\n")
        done = subprocess.run(
            ["bash", "-c", f"{setting}\n{command.replace('curl ', 'curl -sS ', 1)}"], env=environment, timeout=60,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        pattern = ".*".join(re.escape(part) for part in shown.strip().split("..."))
        assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), (command, done)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_schemathesis_finds_nothing_wrong(three: Real, tmp_path: Path, mode: str) -> None:
    """All its checks and phases. `flaky.set` and `echo.count` are left out: they are as slow as they are told to be."""
    if not SCHEMATHESIS.exists():
        pytest.skip("no schemathesis")
    dsectl("queue", "create", "jobs", *C)
    config = tmp_path / CONFIG.name
    config.write_text(CONFIG.read_text() + (VALID if mode == "positive" else ""))
    url = urlsplit(three.files.gateway_variables["DSECTL_HTTP_URL"])
    done = subprocess.run(
        [
            str(SCHEMATHESIS), "--config-file", str(config), "run", f"http://{url.hostname}:{url.port}/openapi.json",
            "-H", f"Authorization: Bearer {url.password}", "--max-examples", "10", "--seed", "1", "--no-color",
            "--generation-database", "none", "--exclude-operation-id", "flaky.set",
            "--exclude-operation-id", "echo.count", "--warnings", "off", "--mode", mode,
        ],
        timeout=300, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    phases = re.findall(r"✅  (Coverage|Fuzzing|Stateful)", done.stdout)
    assert phases == ["Coverage", "Fuzzing", "Stateful"] and "No issues found" in done.stdout, done.stdout


def test_the_document_is_valid_and_of_every_node_alike(three: Real, dial: Dial) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    documents = [dial(node).json("GET", "/openapi.json") for node in three.files.nodes]
    validator.validate(documents[0])
    for document in documents:
        document.pop("servers")
        assert document == documents[0]
    assert "/services/echo/whoami" in documents[0]["paths"]


def test_the_largest_value_and_message_pass(three: Real, dial: Dial) -> None:
    dsectl("queue", "create", "jobs", *C)
    client, large = dial(), bytes(range(256)) * 4096
    assert client.ask("PUT", "/kv/large", large)[0] == 200 and client.ask("GET", "/kv/large") == (200, large)
    assert client.ask("PUT", "/kv/large", large + b"x")[0] == 413
    text = b"x" * len(large)
    assert client.ask("POST", "/queues/jobs", text)[0] == 200
    assert client.json("GET", "/queues/jobs?wait=5")["messages"][0]["body"].encode() == text
    half = json.encode({"text": "x" * (len(large) // 2)})
    assert client.json("POST", "/services/echo/echo", half) == json.decode(half)


def test_what_was_acknowledged_survives_the_death_of_a_node(three: Real, dial: Dial) -> None:
    """Writers on the address that all share, each with a new connection when its node dies; the rest lives on."""
    dsectl("queue", "create", "jobs", "--visibility", "2s", *C)
    written, sent = dict[str, bytes](), set[bytes]()
    statuses, ends = dict[int, int](), [0]
    over = threading.Event()

    def write(writer: int) -> None:
        client, number = dial(), 0
        while not over.is_set():
            number += 1
            text = f"{writer}-{number}".encode()
            for method, target in (("PUT", f"/kv/{text.decode()}?blind=true"), ("POST", "/queues/jobs")):
                try:
                    status, _ = client.ask(method, target, text)
                except (HTTPException, OSError):
                    ends[0] += 1  # unknown
                    continue
                statuses[status] = statuses.get(status, 0) + 1
                if status in (200, 202) and method == "PUT":
                    written[text.decode()] = text
                elif status in (200, 202):
                    sent.add(text)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    try:
        until(lambda: len(written) > 100)
        three.kill("n2")
        before = len(written)
        until(lambda: len(written) > before + 100)
        three.start("n2")
        until(lambda: len(written) > before + 200)
    finally:
        over.set()
        for writer in writers:
            writer.join(60)
    assert set(statuses) <= {200, 202, 429, 503, 504}, statuses
    client = dial("n1")
    for key, value in written.items():
        assert client.ask("GET", f"/kv/{key}?strict=true") == (200, value), key
    received = set[bytes]()

    def drained() -> bool:
        for message in client.json("GET", "/queues/jobs?max=100&wait=1")["messages"]:
            received.add(message["body"].encode())
            assert client.ask("DELETE", f"/receipts/{message['receipt']}")[0] in (200, 202)
        return sent <= received

    until(drained, 60.0)


def test_calls_of_what_is_readonly_survive_the_death_of_another_node(three: Real, dial: Dial) -> None:
    client = dial("n1")
    nodes = set[str]()
    for number in range(600):
        if number == 200:
            three.kill("n3")
        reply = client.json("POST", "/services/echo/whoami")
        nodes.add(reply["node"])
    assert nodes == {"n1", "n2", "n3"}


def test_errors_that_a_service_declares_and_arguments_that_are_wrong(three: Real, dial: Dial) -> None:
    client = dial("n1")
    client.headers["Dsectl-Only"] = "n2"
    client.json("POST", "/services/flaky/set", b'{"failure_rate":1}')
    status, data = client.ask("POST", "/services/flaky/work")
    problem = json.decode(data)
    assert (status, problem["error"], problem["fields"]["message"]) == (422, "Unlucky", problem["detail"])
    document = client.json("GET", "/openapi.json")
    described = document["paths"]["/services/flaky/work"]["post"]["responses"]["422"]
    assert "Unlucky" in json.encode(described).decode()
    status, data = client.ask("POST", "/services/echo/echo", b'{"text":7}')
    assert (status, json.decode(data)["path"]) == (400, "$.text")
    status, data = client.ask("POST", "/services/echo/echo", b'{"text":')
    assert (status, json.decode(data)["path"]) == (400, "$")


def test_a_service_of_ones_own_is_called_and_described_through_every_node(
    three: Real, dial: Dial, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP), encoding="utf-8")
    dsectl("serve", f"{tmp_path / 'shop.py'}:Shop", "--on", "n2", *C)
    for node in three.files.nodes:
        client = dial(node)
        assert client.json("POST", "/services/shop/quote", b'{"items":[{"sku":"a"}]}') == {"cents": 100}
        status, data = client.ask("POST", "/services/shop/quote", b'{"items":[{"sku":"gone"}]}')
        assert (status, json.decode(data)["fields"]["item"]) == (422, "gone")
        status, data = client.ask("POST", "/services/shop/quote", b'{"items":[{"sku":"a"},{}]}')
        assert (status, json.decode(data)["path"]) == (400, "$.items[1].sku")
        document = client.json("GET", "/openapi.json")
        assert "/services/shop/quote" in document["paths"] and "shop.Basket" in document["components"]["schemas"]


def test_rows_come_one_by_one_and_a_broken_stream_is_seen(three: Real, dial: Dial) -> None:
    client = dial("n1")
    accept = client.headers | {"Accept": "application/jsonl", "Request-Timeout": "60"}

    def count(last: int, **headers: str) -> Any:
        body = json.encode({"from": 1, "to": last, "every_ms": 100})
        client.connection.request("POST", "/services/echo/count", body, accept | headers)
        response = client.connection.getresponse()
        assert response.status == 200 and response.headers["Content-Type"] == "application/jsonl"
        return response

    rows = count(3)
    assert [json.decode(line)["number"] for line in rows] == [1, 2, 3]
    with count(600, **{"Dsectl-Only": "n2"}) as rows:
        assert json.decode(rows.readline())["number"] == 1  # long before the last
        three.kill("n2")
        with pytest.raises(IncompleteRead):
            rows.read()


def test_a_message_is_not_leased_for_a_client_that_has_gone(three: Real, dial: Dial) -> None:
    dsectl("queue", "create", "jobs", *C)
    gone = dial("n1")
    gone.connection.request("GET", "/queues/jobs?wait=20", headers=gone.headers)
    until(lambda: clients_at("n1") == 1)
    gone.connection.close()
    until(lambda: clients_at("n1") == 0)
    other = dial("n2")
    other.json("POST", "/queues/jobs", b"work")
    assert [message["body"] for message in other.json("GET", "/queues/jobs?wait=10")["messages"]] == ["work"]


def test_a_node_that_drains_lets_go_of_its_connections(three: Real, dial: Dial) -> None:
    at_one, shared = dial("n1"), dial()
    assert at_one.json("GET", "/health")["node"] == "n1"
    assert clients_at("n1") >= 1
    dsectl("drain", "n1", *C)
    until(lambda: clients_at("n1") == 0)
    with pytest.raises((HTTPException, OSError)):
        at_one.connection.auto_open = 0  # else it would dial again
        at_one.ask("GET", "/health")
    with pytest.raises(ConnectionRefusedError):
        dial("n1").ask("GET", "/health")
    assert shared.json("POST", "/services/echo/echo", b'{"text":"x"}') == {"text": "x"}


def test_who_has_no_password_keeps_nobody_out(three: Real, dial: Dial) -> None:
    """Connections that send a part of a request, byte by byte or not at all, end when others come."""
    host, port = three.files.gateways["http"]["n1"].split(":")
    kept = dial("n1")
    assert kept.json("GET", "/services")["services"]
    slow = [socket.create_connection((host, int(port))) for _ in range(200)]
    try:
        for one in slow:
            try:
                one.sendall(b"PUT /kv/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1048576\r\n\r\n" + b"x" * 1000)
            except OSError:
                pass  # it was the oldest already
        assert kept.json("GET", "/services")["services"]
        assert dial("n1").json("GET", "/services")["services"]
        until(lambda: clients_at("n1") <= 70)
    finally:
        for one in slow:
            one.close()
    wrong = dial("n1").connection
    for given in ("Bearer x", f"Basic {b64encode(b'me:x').decode()}"):
        wrong.request("GET", "/kv/k", headers={"Authorization": given})
        response = wrong.getresponse()
        assert (response.status, json.decode(response.read())["code"]) == (401, "unauthorized")


def test_a_stopped_node_is_an_unknown_outcome_in_time(three: Real, dial: Dial) -> None:
    """Its client waits as long as the request says, and the answer of another node is definite or not, but there."""
    pid = ask("status", *C)["nodes"]["n2"]["pid"]
    client = dial("n1")
    os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(20):
            status, data = client.ask("PUT", f"/kv/k{number}", b"x", Request_Timeout="2")
            assert status in (200, 202) or (status == 504 and json.decode(data)["definite"] is False), data
            assert client.ask("POST", "/services/echo/whoami", Request_Timeout="2")[0] == 200
    finally:
        os.kill(pid, signal.SIGCONT)
