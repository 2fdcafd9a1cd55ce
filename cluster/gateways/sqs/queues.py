"""Actions of SQS on queues themselves: definitions, which a majority of the members decides, and what is in them."""

from typing import Any, Final

from msgspec.structs import replace

from cluster.gateways.sqs.attributes import COUNTS, attributes_of, options_of, wanted
from cluster.gateways.sqs.call import SqsCall
from cluster.gateways.sqs.errors import SqsError
from cluster.gateways.sqs.requests import (
    CreateQueue,
    GetQueueAttributes,
    GetQueueUrl,
    ListQueues,
    OfQueue,
    SetQueueAttributes,
    check_range,
)
from cluster.queues.figures import figures

LISTED_MAX: Final = 1000


def create_queue(call: SqsCall) -> None:
    """CreateQueue: one that has these attributes is no error."""
    request = call.read(CreateQueue)
    name = request.queue_name
    if name.endswith(".fifo"):
        raise SqsError("InvalidParameterValue", "queues keep no order: there are no FIFO queues")
    if request.tags:
        raise SqsError("UnsupportedOperation", "queues have no tags")
    options = options_of(request.attributes)
    there = call.host.queues().get(name)
    if there is not None:
        if replace(there, **options) != there:
            raise SqsError("QueueNameExists", f"queue {name} exists, with other attributes")
        call.reply({"QueueUrl": call.url_of(name)})
        return
    call.ask_node(
        "create-queue",
        {"name": name, "id": call.session.gateway.operation_id(), **options},
        lambda answer: call.reply({"QueueUrl": call.url_of(name)}),
    )


def get_queue_url(call: SqsCall) -> None:
    """GetQueueUrl."""
    call.reply({"QueueUrl": call.url_of(call.name_of(call.read(GetQueueUrl).queue_name))})


def list_queues(call: SqsCall) -> None:
    """ListQueues: in order, `NextToken` is the last name of the page."""
    request = call.read(ListQueues)
    most = request.max_results or LISTED_MAX
    check_range("MaxResults", most, 1, LISTED_MAX)
    after, prefix = request.next_token, request.queue_name_prefix
    names = [name for name in sorted(call.host.queues()) if name > after and name.startswith(prefix)]
    found: dict[str, object] = {"QueueUrls": [call.url_of(name) for name in names[:most]]}
    if len(names) > most and request.max_results:
        found["NextToken"] = names[most - 1]
    call.reply(found)


def list_dead_letter_source_queues(call: SqsCall) -> None:
    """ListDeadLetterSourceQueues."""
    name = call.name_of(call.read(OfQueue).queue_url)
    sources = [one for one, queue in sorted(call.host.queues().items()) if queue.dead_letter == name]
    call.reply({"queueUrls": [call.url_of(one) for one in sources]})


def delete_queue(call: SqsCall) -> None:
    """DeleteQueue."""
    name = call.name_of(call.read(OfQueue).queue_url)
    call.ask_node(
        "delete-queue", {"name": name, "id": call.session.gateway.operation_id()}, lambda answer: call.reply()
    )


def purge_queue(call: SqsCall) -> None:
    """PurgeQueue: what was sent before it is gone."""
    name = call.name_of(call.read(OfQueue).queue_url)
    call.ask_node("purge-queue", {"name": name}, lambda answer: call.reply())


def get_queue_attributes(call: SqsCall) -> None:
    """GetQueueAttributes: counts are asked of every node, if any is wanted."""
    request = call.read(GetQueueAttributes)
    name = call.name_of(request.queue_url)
    queue = call.host.queues()[name]
    fixed = attributes_of(name, queue, call.region)
    names = request.attribute_names

    def answer(found: dict[str, str]) -> None:
        some = wanted(names, fixed | found)
        call.reply({"Attributes": some} if some else {})

    def counted(answers: dict[str, Any]) -> None:
        said = figures(name, queue.shards, answers)
        leased = said["in_flight"]
        answer(dict(zip(COUNTS, (str(max(0, said["depth"] - leased)), str(leased), "0"), strict=True)))

    if "All" in names or any(one in COUNTS for one in names):
        call.ask_all("queues", {"name": name}, counted)
    else:
        answer({})


def set_queue_attributes(call: SqsCall) -> None:
    """SetQueueAttributes."""
    request = call.read(SetQueueAttributes)
    name, options = call.name_of(request.queue_url), options_of(request.attributes)
    arguments = {"name": name, "id": call.session.gateway.operation_id(), **options}
    call.ask_node("alter-queue", arguments, lambda answer: call.reply())


def list_queue_tags(call: SqsCall) -> None:
    """ListQueueTags: there are none."""
    call.name_of(call.read(OfQueue).queue_url)
    call.reply({"Tags": {}})
