"""Clients of the HTTP gateway under seeds, while nodes are killed, stopped and cut off: what an answer says is so."""

from random import Random

from msgspec import json

from cluster.simulation.fleet import Fleet
from tests.gateways.http.simulated import SimulatedHttp

TURNS = 8
DONE = (200, 202)
SURELY_NOT = (429, 503)


def test_what_answers_say_is_so(seed: int) -> None:
    """Acknowledged writes are found, messages received, and what was definitely not done is nowhere."""
    with Fleet(seed, 5, gateways=["http", "sqs"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(seed)
        clients = [SimulatedHttp(fleet, name, name=f"c-{name}") for name in ("n1", "n2")]
        fleet.wait(fleet.ask("n1", "create-queue", {"name": "jobs", "id": "c", "visibility_s": 2.0}, 10.0), 15.0)
        written, refused = dict[str, str](), set[str]()
        sent, not_sent = set[str](), set[str]()
        statuses = dict[int, int]()
        for turn in range(TURNS):
            victim = random.choice(("n3", "n4", "n5"))
            how = random.choice(("kill", "pause", "partition"))
            if how == "partition":
                fleet.fault("partition", groups=[[victim], [name for name in fleet.names if name != victim]])
            else:
                getattr(fleet, how)(victim)
            for number, client in enumerate(clients):
                for one in range(4):
                    text = f"{turn}-{number}-{one}"
                    for method, target, yes, no in (
                        ("PUT", f"/kv/k{text}", lambda text: written.update({f"k{text}": text}), refused),
                        ("POST", "/queues/jobs", sent.add, not_sent),
                    ):
                        answer = client.ask(method, target, text.encode())
                        assert answer is not None, "the node at which the client is lives"
                        statuses[answer.status] = statuses.get(answer.status, 0) + 1
                        if answer.status in DONE:
                            yes(text)
                        elif answer.status in SURELY_NOT:
                            assert answer.json["definite"]
                            no.add(text)
                        else:
                            assert answer.status == 504, answer.data
                answer = client.ask("POST", "/services/echo/echo", b'{"text":"x"}')
                assert answer is not None and answer.status == 200, "what is readonly is tried elsewhere"
            if how == "pause":
                fleet.resume(victim)
            elif how == "kill":
                fleet.start(victim)
            fleet.heal()
            fleet.until(fleet.converged)
        fleet.until(fleet.settled, timeout=60.0)
        assert sum(statuses.get(status, 0) for status in DONE) > TURNS * 8, statuses
        for key, value in written.items():
            answer = clients[0].ask("GET", f"/kv/{key}?strict=true")
            assert answer is not None and (answer.status, answer.data.decode()) == (200, value), key
        for text in refused:
            answer = clients[0].ask("GET", f"/kv/k{text}?strict=true")
            assert answer is not None and answer.status == 404, text
        received = set[str]()
        while True:
            answer = clients[0].ask("GET", "/queues/jobs?wait=5&max=20")
            assert answer is not None and answer.status == 200
            if not answer.json["messages"]:
                break
            for message in answer.json["messages"]:
                received.add(message["body"])
                settled = clients[0].ask("DELETE", f"/receipts/{message['receipt']}")
                assert settled is not None and settled.status in DONE
        assert sent <= received and not received & (not_sent - sent)


def test_a_wait_ends_with_its_message_and_with_the_drain_of_its_node(seed: int) -> None:
    with Fleet(seed, 3, gateways=["http"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        waiting, sender = (SimulatedHttp(fleet, name, name=f"c-{name}") for name in ("n1", "n2"))
        fleet.wait(fleet.ask("n1", "create-queue", {"name": "jobs", "id": "c"}, 10.0), 15.0)
        waiting.send("GET", "/queues/jobs?wait=20")
        fleet.world.run_for(3.0)
        began = fleet.world.now
        sender.ask("POST", "/queues/jobs", b"come")
        answer = waiting.wait()
        assert answer is not None and [one["body"] for one in answer.json["messages"]] == ["come"]
        assert fleet.world.now - began < 1.0
        waiting.send("GET", "/queues/jobs?wait=20")
        fleet.world.run_for(1.0)
        fleet.wait(fleet.ask("n1", "drain", {}, 5.0), 10.0)
        answer = waiting.wait()
        assert answer is not None and answer.json["messages"] == [] and answer.headers["connection"] == "close"
        fleet.until(lambda: waiting.ended)


def test_services_of_other_nodes_are_described(seed: int) -> None:
    with Fleet(seed, 3, gateways=["http"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        answer = SimulatedHttp(fleet, "n2", name="c").ask("GET", "/openapi.json")
        assert answer is not None and answer.status == 200
        document = json.decode(answer.data)
        assert "/services/echo/echo" in document["paths"] and "x-services-not-described" not in document["info"]
