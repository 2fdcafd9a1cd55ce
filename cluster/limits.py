"""What is too large or too many: each limit is in docs/limits.md, and what is over it is refused with a typed, definite
error. Checked on both sides, by whoever is asked first; apart from `config`, which a one-shot client does not load.
"""

KEY_BYTES_MAX = 1024
KEY_CHARS = KEY_BYTES_MAX // 4
"""A key of so few characters is within its limit, whatever they are; a longer one is counted."""
VALUE_BYTES_MAX = 1024 * 1024
NAME_BYTES_MAX = 64
SUBJECT_BYTES_MAX = 256
HEADERS_MAX = 64
OPERATION_BYTES_MAX = 64
"""Of an operation id: it is kept with its value in every copy. The ids of our own clients have up to 38."""

SUBSCRIPTIONS_MAX = 1024
"""Of one connection."""
PATTERNS_MAX = 1024
"""Different patterns of all subscriptions at a node. It announces them whole, so this bounds what a change of one costs
each of the others; patterns of ordinary length come to some ten kilobytes."""
HEADER_BYTES_MAX = 4096
"""All headers of a message."""
SERVICES_MAX = 256
"""Services of a node, which it announces whole as well."""
WORKERS_MAX = 64
"""Of a node; each is a connection, and part of what the node announces."""
WORKER_CALLS_MAX = 4096
"""That one worker may take at a time."""
SERVICE_BYTES_MAX = 256 * 1024
"""The description of a service, as a worker registers it: that of 64 operations with large types."""
QUEUE_BATCH_MAX = 256
"""Messages or receipts of one call: what a shard keeps in one row, too."""
DEDUP_ID_BYTES_MAX = 128
BUCKETS_MAX = 256
"""Each entry of the chain carries them all; so many come to some ten kilobytes."""
QUEUE_RECEIVE_BYTES_MAX = 4 * 1024 * 1024
"""Of the messages that a receive gets; the last one may go beyond. One at least, however large."""
QUEUE_SHARD_BYTES_MAX = 256 * 1024 * 1024
"""Of all messages in a shard of a queue."""
FACT_BYTES_MAX = 512 * 1024
"""What a node announces under one kind: the patterns, or the services."""
assert PATTERNS_MAX * (SUBJECT_BYTES_MAX + NAME_BYTES_MAX + 16) <= FACT_BYTES_MAX

SIBLINGS_WARN = 5
SIBLINGS_MAX = 50
"""Distinct values of one key. Each put ships all of them, so that more make a key slow and not richer."""
CLOCK_ACTORS_MAX = 256
"""Entries of a key's clock: N owners, and one more each time that one of them lost data or a fallback coordinated.
Clocks are not pruned (a pruned entry lets what was replaced come back), so the limit is only far off: 8 KB."""
CLOCK_ACTORS_SPARE = 64
"""More of them for a delete, which is the way out of a full clock."""
ITEMS_MAX = 8192
"""Of a set. Each write reads, merges and ships all of them: with short items 400 KB, and some milliseconds."""
ITEM_BYTES_MAX = 1024
COUNTER_MAX = 2**63 - 1
"""Above 0 and below."""
UPDATE_ITEMS_MAX = 4096
"""Items that one message adds or removes."""
OBJECT_BYTES_MAX = 2 * VALUE_BYTES_MAX + 64 * 1024
"""A key with all its siblings and its clock, as one put may leave it: a conflict of the two largest values fits."""
REPLICAS_MAX = 7
"""The most that N may be: more copies cost each write more than they add to what survives."""
BATCH_BYTES_MAX = 1024 * 1024
"""A batch of copies over this is closed and another begun, so that the last copy begins below it."""
FRAME_BYTES_MAX = 16 * 1024 * 1024
PARTS_WINDOW_BYTES = 64 * 1024
"""What of one reply in parts may be under way. A node on the same machine is kept busy by a fraction of it."""
PART_BYTES_MAX = PARTS_WINDOW_BYTES // 2
"""Of one part: the next is on its way while the credit for this one comes back."""
MERGED_BYTES_MAX = FRAME_BYTES_MAX - BATCH_BYTES_MAX - 256 * 1024
"""A key as merging may leave it. Nothing is refused while the largest set of owners, each filling its copy to the limit
of a put without hearing of the others, comes together; it fits a frame behind the rest of a batch and its envelope."""

SIBLINGS_MERGED_MAX = REPLICAS_MAX * SIBLINGS_MAX
"""The same of the number of siblings."""
MERGED_BYTES_CHECKED = 10 * SIBLINGS_MERGED_MAX
"""A smaller object has fewer siblings: each takes more than ten bytes."""

assert REPLICAS_MAX * OBJECT_BYTES_MAX <= MERGED_BYTES_MAX
assert VALUE_BYTES_MAX + KEY_BYTES_MAX + 64 * 1024 <= OBJECT_BYTES_MAX
assert 2 * (QUEUE_RECEIVE_BYTES_MAX + VALUE_BYTES_MAX + HEADER_BYTES_MAX) < FRAME_BYTES_MAX
assert SIBLINGS_WARN < SIBLINGS_MAX < CLOCK_ACTORS_MAX

CLIENT_TIMEOUT_S = 5.0
"""How long the command line waits for an answer unless --timeout says otherwise."""
