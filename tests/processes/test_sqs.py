"""The SQS gateway on real processes, with the clients that people use: boto3, and a Celery worker as it is. Tests skip
what the machine lacks."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Real, real, until

boto3 = pytest.importorskip("boto3")
C = ("-C", "real")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with real(3, gateway="sqs") as running:
        for name, value in running.files.gateway_variables.items():
            monkeypatch.setenv(name, value)
        yield running


def client(running: Real, at: str = "", **options: Any) -> Any:
    """A client of one node, or of the address that all share."""
    if at:
        options["endpoint_url"] = f"http://{running.files.gateways['sqs'][at]}"
    return boto3.session.Session().client("sqs", **options)  # the default one keeps the keys of the test before


def bodies(received: dict[str, Any]) -> list[str]:
    return [message["Body"] for message in received.get("Messages", ())]


def test_boto3_works_unchanged(three: Real) -> None:
    sqs = client(three)
    wanted = {"VisibilityTimeout": "30", "ReceiveMessageWaitTimeSeconds": "1"}
    url = sqs.create_queue(QueueName="jobs", Attributes=wanted)["QueueUrl"]
    assert sqs.get_queue_url(QueueName="jobs")["QueueUrl"] == url and sqs.list_queues()["QueueUrls"] == [url]
    attributes = {
        "kind": {"DataType": "String", "StringValue": "new"},
        "number": {"DataType": "Number", "StringValue": "7"},
        "blob": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sqs.send_message(QueueUrl=url, MessageBody="hello €", MessageAttributes=attributes)
    found = sqs.receive_message(
        QueueUrl=url, WaitTimeSeconds=5, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )["Messages"][0]
    assert (found["MessageId"], found["Body"]) == (sent["MessageId"], "hello €")
    assert found["MessageAttributes"] == attributes and found["Attributes"]["ApproximateReceiveCount"] == "1"
    assert found["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "1" and wanted.items() <= counts.items()
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"], VisibilityTimeout=0)
    [again] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, AttributeNames=["All"])["Messages"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    with pytest.raises(sqs.exceptions.MessageNotInflight):
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"], VisibilityTimeout=9)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.send_message(QueueUrl=url, MessageBody="x")


def test_batches_and_any_node(three: Real) -> None:
    one, other = client(three, "n1"), client(three, "n3")
    url = one.create_queue(QueueName="jobs")["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(10)]
    assert len(one.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
    there = other.get_queue_url(QueueName="jobs")["QueueUrl"]
    seen: dict[str, str] = {}
    while len(seen) < 10:
        found = other.receive_message(QueueUrl=there, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
        seen |= {message["Body"]: message["ReceiptHandle"] for message in found}
    done = [{"Id": body, "ReceiptHandle": receipt} for body, receipt in seen.items()]
    told = one.delete_message_batch(QueueUrl=url, Entries=done)
    assert sorted(entry["Id"] for entry in told["Successful"]) == sorted(seen) and "Failed" not in told
    assert ask("queue", "show", "jobs", *C)["depth"] == 0


def test_a_long_poll_wakes_when_a_message_comes(three: Real) -> None:
    sqs, other = client(three, "n1"), client(three, "n2")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    found: list[str] = []

    def wait() -> None:
        found.extend(bodies(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)))

    waiting = threading.Thread(target=wait)
    waiting.start()
    nodes = list(three.files.nodes)
    until(lambda: sum(ask("status", *C)["nodes"][node]["gateways"]["sqs"]["clients"] for node in nodes) > 0)
    other.send_message(QueueUrl=other.get_queue_url(QueueName="jobs")["QueueUrl"], MessageBody="come")
    waiting.join(15)
    assert found == ["come"]


def test_what_was_delivered_too_often_goes_to_the_dead_letter_queue(three: Real) -> None:
    sqs = client(three)
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    policy = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"2"}}'
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    deliveries = 0
    while not (buried := bodies(sqs.receive_message(QueueUrl=dead))):
        deliveries += len(bodies(sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=1)))
        assert deliveries <= 4
    assert buried == ["poison"] and deliveries >= 2


def test_who_has_another_secret_or_comes_from_a_web_page_is_refused(three: Real) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(three, aws_access_key_id="me", aws_secret_access_key="wrong").list_queues()
    sqs = client(three)
    sqs.meta.events.register("before-sign", lambda request, **_: request.headers.add_header("Origin", "https://a.b"))
    with pytest.raises(ClientError, match="403"):
        sqs.list_queues()


def test_the_shared_address_survives_the_death_of_a_node(three: Real) -> None:
    sqs = client(three)
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sent = [sqs.send_message(QueueUrl=url, MessageBody=f"a{number}")["MessageId"] for number in range(20)]
    three.kill("n1")
    sent += [sqs.send_message(QueueUrl=url, MessageBody=f"b{number}")["MessageId"] for number in range(20)]
    seen = set[str]()

    def drained() -> bool:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
            seen.add(message["MessageId"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return seen == set(sent)

    until(drained, 60.0)


TASKS = """
    import os
    from celery import Celery

    app = Celery("tasks", broker="sqs://")
    app.conf.broker_transport_options = {"wait_time_seconds": 2}

    @app.task
    def note(number):
        with open(os.environ["NOTES"], "a") as file:
            file.write(f"{number}\\n")
"""


def test_a_celery_worker_works_unchanged(three: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("celery")
    pytest.importorskip("pycurl")
    (tmp_path / "tasks.py").write_text(textwrap.dedent(TASKS), encoding="utf-8")
    notes = tmp_path / "notes"
    environment = {**os.environ, "NOTES": str(notes)}

    def python(*words: str, **options: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=environment, **options)

    def send(first: int) -> None:
        code = f"import tasks\nfor n in range({first}, {first + 10}): tasks.note.delay(n)"
        assert python("-c", code).wait(60) == 0

    with (tmp_path / "worker.log").open("wb") as log:
        worker = python("-m", "celery", "-A", "tasks", "worker", "-c", "1", "-l", "info", stdout=log, stderr=log)
        try:
            send(0)
            until(lambda: notes.exists() and len(set(notes.read_text().split())) == 10, 60.0)
            three.kill("n2")
            send(10)
            until(lambda: len(set(notes.read_text().split())) == 20, 60.0)
            assert "celery" in dsectl("queue", "list", *C).out
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0
        except BaseException:
            sys.stderr.write((tmp_path / "worker.log").read_text(encoding="utf-8")[-8000:])
            raise
        finally:
            worker.kill()
            worker.wait()
