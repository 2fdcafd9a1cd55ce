"""Clients of the SQS gateway under seeds, while nodes are killed, stopped and cut off: what SQS says was sent is
received, and what it says was deleted is not received again once all is well."""

from random import Random
from typing import Any

from cluster.simulation.fleet import Fleet
from tests.gateways.sqs.simulated import URL, SimulatedSqs

TURNS = 8
JOBS = f"{URL}/jobs"


def test_what_was_sent_is_received_and_what_was_deleted_is_gone(seed: int) -> None:
    with Fleet(seed, 5, gateways=["sqs"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(seed)
        clients = [SimulatedSqs(fleet, name, name=f"c-{name}") for name in ("n1", "n2")]
        made = clients[0].ask("CreateQueue", QueueName="jobs", Attributes={"VisibilityTimeout": "2"})
        assert made == {"QueueUrl": JOBS}
        sent, deleted = set[str](), set[str]()

        def receive(client: SimulatedSqs, wait_s: int, *, all_well: bool = False) -> bool:
            """Take some and delete them; whether anything came."""
            taken: Any = client.ask("ReceiveMessage", QueueUrl=JOBS, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
            messages = taken.get("Messages", []) if isinstance(taken, dict) else []
            if all_well:  # else the giver may be one that did not hear of it
                assert not deleted & {message["Body"] for message in messages}
            for message in messages:
                if client.ask("DeleteMessage", QueueUrl=JOBS, ReceiptHandle=message["ReceiptHandle"]) == {}:
                    deleted.add(message["Body"])
            return bool(messages)

        for turn in range(TURNS):
            victim = random.choice(("n3", "n4", "n5"))
            how = random.choice(("kill", "pause", "partition"))
            if how == "partition":
                fleet.fault("partition", groups=[[victim], [name for name in fleet.names if name != victim]])
            else:
                getattr(fleet, how)(victim)
            for number, client in enumerate(clients):
                entries = [{"Id": str(one), "MessageBody": f"{turn}-{number}-{one}"} for one in range(4)]
                told = client.ask("SendMessageBatch", QueueUrl=JOBS, Entries=entries)
                if isinstance(told, dict):
                    sent |= {f"{turn}-{number}-{one['Id']}" for one in told.get("Successful", ())}
            receive(random.choice(clients), random.choice((0, 1)))
            if how == "pause":
                fleet.resume(victim)
            elif how == "kill":
                fleet.start(victim)
            fleet.heal()
            fleet.until(fleet.converged)
        fleet.until(fleet.settled, timeout=60.0)
        while receive(clients[0], 5, all_well=True):
            pass
        assert len(sent) > TURNS * 4 and sent <= deleted


def test_a_long_poll_wakes_at_another_node_and_ends_when_its_node_drains(seed: int) -> None:
    with Fleet(seed, 3, gateways=["sqs"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        waiting, sender = (SimulatedSqs(fleet, name, name=f"c-{name}") for name in ("n1", "n2"))
        waiting.ask("CreateQueue", QueueName="jobs")
        waiting.send("ReceiveMessage", QueueUrl=JOBS, WaitTimeSeconds=20)
        fleet.world.run_for(3.0)
        began = fleet.world.now
        sender.ask("SendMessage", QueueUrl=JOBS, MessageBody="come")
        assert [message["Body"] for message in waiting.take()["Messages"]] == ["come"]
        assert fleet.world.now - began < 1.0
        waiting.send("ReceiveMessage", QueueUrl=JOBS, WaitTimeSeconds=20)
        fleet.world.run_for(1.0)
        began = fleet.world.now
        fleet.wait(fleet.ask("n1", "drain", {}, 5.0), 10.0)
        assert waiting.take() == {} and fleet.world.now - began < 1.0
        fleet.until(lambda: waiting.ended)
