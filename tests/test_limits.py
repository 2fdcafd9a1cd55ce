"""The table of docs/limits.md is what the code has, and the limits fit each other."""

import re

from cluster.chain.queue import ALL_BINDINGS_MAX, BINDINGS_MAX, QUEUES_MAX, SHARDS_MAX
from cluster.config import NodeSettings
from cluster.emulator.spec import NODES_MAX
from cluster.errors import EXIT_CODES, REGISTRY
from cluster.kv.listing import LISTINGS_MAX
from cluster.kv.operations import MAYBES_MAX
from cluster.kv.reads import GOT_BYTES_MAX
from cluster.limits import (
    BATCH_BYTES_MAX,
    BUCKETS_MAX,
    CLOCK_ACTORS_MAX,
    CLOCK_ACTORS_SPARE,
    DEDUP_ID_BYTES_MAX,
    FRAME_BYTES_MAX,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    ITEM_BYTES_MAX,
    ITEMS_MAX,
    KEY_BYTES_MAX,
    MERGED_BYTES_MAX,
    NAME_BYTES_MAX,
    OBJECT_BYTES_MAX,
    OPERATION_BYTES_MAX,
    PARTS_WINDOW_BYTES,
    PATTERNS_MAX,
    QUEUE_BATCH_MAX,
    QUEUE_SHARD_BYTES_MAX,
    REPLICAS_MAX,
    SERVICE_BYTES_MAX,
    SERVICES_MAX,
    SIBLINGS_MAX,
    SIBLINGS_MERGED_MAX,
    SIBLINGS_WARN,
    SUBJECT_BYTES_MAX,
    SUBSCRIPTIONS_MAX,
    UPDATE_ITEMS_MAX,
    VALUE_BYTES_MAX,
    WORKER_CALLS_MAX,
    WORKERS_MAX,
)
from cluster.messaging.topics import ID_BYTES_MAX
from cluster.requests.gate import CONCURRENCY, WAITING_MAX
from cluster.transport.transport import UNPROVEN_MAX
from cluster.versions import CONTEXT_BYTES_MAX, DOTS_MAX
from dsectl.bulk.line import LINE_BYTES_MAX
from dsectl.load.plan import IN_FLIGHT_MAX, KEYS_MAX
from dsectl.reference import DOCS

PAGE = (DOCS / "limits.md").read_text(encoding="utf-8")
KIB, MIB = 1024, 1024 * 1024
SETTINGS = NodeSettings()


def size(number: int) -> str:
    """As the page writes it."""
    return f"{number // MIB} MiB" if number % MIB == 0 else f"{number // KIB} KiB" if number % KIB == 0 else f"{number}"


ROWS = {
    "key": (f"1 to {KEY_BYTES_MAX} bytes of UTF-8", "too-large"),
    "value": (size(VALUE_BYTES_MAX), "too-large"),
    "siblings of a key": (f"{SIBLINGS_MAX}; an event at {SIBLINGS_WARN}", "siblings"),
    "key with all its siblings and its clock": (size(OBJECT_BYTES_MAX), "siblings"),
    "items of a set": (str(ITEMS_MAX), "too-large"),
    "item of a set": (f"{ITEM_BYTES_MAX} bytes", "too-large"),
    "items added or removed at a time": (str(UPDATE_ITEMS_MAX), "too-large"),
    "counter": ("64 bits, with a sign", "usage"),
    "entries of a key's clock": (
        f"{CLOCK_ACTORS_MAX}; {CLOCK_ACTORS_MAX + CLOCK_ACTORS_SPARE} for a delete",
        "clock-full",
    ),
    "line of `kv import`": (size(LINE_BYTES_MAX), "too-large"),
    "operation id": (f"1 to {OPERATION_BYTES_MAX} bytes of printable ASCII", "too-large"),
    "context": (size(CONTEXT_BYTES_MAX), "bad-context"),
    "N, R and W": (f"1 to {REPLICAS_MAX}", "usage"),
    "buckets of a cluster": (f"{BUCKETS_MAX}, with names of 32 characters", "usage"),
    "queues of a cluster": (f"{QUEUES_MAX}, with names of 32 characters", "usage"),
    "shards of a queue": (f"{SHARDS_MAX}", "usage"),
    "patterns that a queue is bound to": (f"{BINDINGS_MAX}, of all queues {ALL_BINDINGS_MAX}", "usage"),
    "messages of a shard of a queue": (size(QUEUE_SHARD_BYTES_MAX), "queue-full"),
    "messages, or receipts, in a batch of a queue": (f"{QUEUE_BATCH_MAX}", "too-large"),
    "deduplication id": (f"1 to {DEDUP_ID_BYTES_MAX} bytes", "usage"),
    "subject of a message": (f"{SUBJECT_BYTES_MAX} bytes", "too-large"),
    "payload of a message (also in a queue), a request or a reply, or one of a stream": (
        size(VALUE_BYTES_MAX),
        "too-large",
    ),
    "bytes of a reply on their way to its reader": (f"{size(PARTS_WINDOW_BYTES)}; the handler waits", ""),
    "id of a message": (f"{ID_BYTES_MAX} bytes", "too-large"),
    "headers of a message": (f"{HEADERS_MAX}, of {size(HEADER_BYTES_MAX)} together", "too-large"),
    "patterns of a node's subscribers": (f"{PATTERNS_MAX}", "limit"),
    "subscriptions of a connection": (f"{SUBSCRIPTIONS_MAX}", "limit"),
    "services of a node": (f"{SERVICES_MAX}", "limit"),
    "workers of a node": (f"{WORKERS_MAX}", "limit"),
    "calls that a worker takes at a time": (f"{WORKER_CALLS_MAX}", "usage"),
    "description of a worker's service": (size(SERVICE_BYTES_MAX), "limit"),
    "calls of a service that run together on an endpoint": (f"{CONCURRENCY}, unless it says otherwise", ""),
    "calls that wait for it there": (f"{WAITING_MAX}", "overloaded"),
    "name of a service or an operation": (f"{NAME_BYTES_MAX} bytes", "usage"),
    "listings (`keys`) of a node at a time": (f"{LISTINGS_MAX}", "overloaded"),
    "hints of a node": (size(SETTINGS.replication.hint_bytes_max), "storage-full"),
    "queue of a connection": (size(SETTINGS.transport.queue_bytes_max), "overloaded"),
    "frame": (size(FRAME_BYTES_MAX), "bad-message"),
    "clients of a node": (f"{SETTINGS.transport.clients_max} connections", "unreachable"),
    "connections that have proven nothing yet": (
        f"{UNPROVEN_MAX} a node, {SETTINGS.transport.prove_timeout_s * 1000:.0f} ms each; one more ends the oldest",
        "",
    ),
    "nodes of a cluster": (f"{NODES_MAX}", "usage"),
    "keys of a load at its beginning": (f"{KEYS_MAX}", "usage"),
    "operations of a load under way": (f"{IN_FLIGHT_MAX}, unless `--clients` says less", ""),
}


def test_the_table_has_the_limits_of_the_code_with_error_and_exit_code() -> None:
    shown = re.findall(r"^\| (.+?) \| (.+?) \| (?:`(.+?)`)? ?\| ?(\d*) ?\|$", PAGE, re.MULTILINE)
    expected = [
        (what, limit, code, str(REGISTRY[code].exit_code) if code else "") for what, (limit, code) in ROWS.items()
    ]
    assert shown == expected
    assert all(REGISTRY[code].definite and REGISTRY[code].exit_code in EXIT_CODES for _, code in ROWS.values() if code)


def test_the_text_has_the_limits_of_the_code() -> None:
    assert f"up to {MERGED_BYTES_MAX / MIB:.4g} MiB" in PAGE
    assert f"and {SIBLINGS_MERGED_MAX} siblings" in PAGE
    assert f"last {MAYBES_MAX:,} writes that ended as `maybe`" in PAGE


def test_what_is_accepted_fits_what_carries_it() -> None:
    """A frame holds the rest of a batch, the largest object, key and envelope; an answer holds values and context."""
    envelope = 64 * KIB
    assert BATCH_BYTES_MAX + MERGED_BYTES_MAX + KEY_BYTES_MAX + envelope <= FRAME_BYTES_MAX
    assert GOT_BYTES_MAX >= MERGED_BYTES_MAX, "what is at rest can be read in one answer"
    assert GOT_BYTES_MAX + CONTEXT_BYTES_MAX + envelope <= FRAME_BYTES_MAX
    assert VALUE_BYTES_MAX + CONTEXT_BYTES_MAX + KEY_BYTES_MAX + envelope <= FRAME_BYTES_MAX
    assert SETTINGS.transport.queue_bytes_max >= FRAME_BYTES_MAX
    assert REPLICAS_MAX * OBJECT_BYTES_MAX <= MERGED_BYTES_MAX


def test_what_a_node_hands_out_is_a_context_that_it_takes() -> None:
    """A clock at its limit in each of the owners, and a dot for each sibling that they may bring together."""
    entry = NAME_BYTES_MAX + len("-5f3a9c1e.1234567.1234567") + 12
    clock = (CLOCK_ACTORS_MAX + CLOCK_ACTORS_SPARE) * REPLICAS_MAX
    assert (clock + SIBLINGS_MAX * REPLICAS_MAX + DOTS_MAX) * entry <= CONTEXT_BYTES_MAX
    assert 2 * CLOCK_ACTORS_MAX * entry <= OBJECT_BYTES_MAX - 2 * VALUE_BYTES_MAX
