"""A distributed system in small blocks, and the Python API to a running one: `cluster.connect("default")`.

Importing this package loads nothing: each name below is loaded when it is first asked for (PEP 562), so that a part
does not load the whole. docs/python-api.md shows the API. A type checker sees each name with its type, and a name that
is not here is an error.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster import errors as errors
    from cluster.client.aio import Client as Client
    from cluster.client.aio import connect as connect
    from cluster.client.aio_queues import AioWorkQueue as AioWorkQueue
    from cluster.client.aio_queues import Consumer as Consumer
    from cluster.client.aio_topics import Subscription as Subscription
    from cluster.client.blocking import BlockingCluster as BlockingCluster
    from cluster.client.blocking import connect_blocking as connect_blocking
    from cluster.client.cells import ChangeResult as ChangeResult
    from cluster.client.cells import CountResult as CountResult
    from cluster.client.cells import MembersResult as MembersResult
    from cluster.client.keyed import GetResult as GetResult
    from cluster.client.kv import KeysResult as KeysResult
    from cluster.client.kv import PutResult as PutResult
    from cluster.client.queues import Batch as Batch
    from cluster.client.queues import OutgoingMessage as OutgoingMessage
    from cluster.client.queues import QueueMessage as QueueMessage
    from cluster.client.queues import ReceiptResult as ReceiptResult
    from cluster.client.queues import SendResult as SendResult
    from cluster.client.queues import WorkQueue as WorkQueue
    from cluster.client.requests import CallResult as CallResult
    from cluster.client.topics import PublishResult as PublishResult
    from cluster.client.topics import QueuePublish as QueuePublish
    from cluster.client.topics import TopicMessage as TopicMessage
    from cluster.errors import AlreadyExists as AlreadyExists
    from cluster.errors import BadContext as BadContext
    from cluster.errors import BadMessage as BadMessage
    from cluster.errors import ClockFull as ClockFull
    from cluster.errors import ClusterError as ClusterError
    from cluster.errors import Damaged as Damaged
    from cluster.errors import DeadlinePassed as DeadlinePassed
    from cluster.errors import DependencyFailed as DependencyFailed
    from cluster.errors import Failed as Failed
    from cluster.errors import Forbidden as Forbidden
    from cluster.errors import HandshakeRefused as HandshakeRefused
    from cluster.errors import Inconclusive as Inconclusive
    from cluster.errors import LeaseLost as LeaseLost
    from cluster.errors import LimitReached as LimitReached
    from cluster.errors import Maybe as Maybe
    from cluster.errors import NoResponders as NoResponders
    from cluster.errors import NotFound as NotFound
    from cluster.errors import NotYet as NotYet
    from cluster.errors import OtherChain as OtherChain
    from cluster.errors import Overloaded as Overloaded
    from cluster.errors import QueueFull as QueueFull
    from cluster.errors import QuorumMissing as QuorumMissing
    from cluster.errors import ServiceError as ServiceError
    from cluster.errors import StaleLayout as StaleLayout
    from cluster.errors import StorageFull as StorageFull
    from cluster.errors import TooFewNodes as TooFewNodes
    from cluster.errors import TooFewOwners as TooFewOwners
    from cluster.errors import TooLarge as TooLarge
    from cluster.errors import TooManySiblings as TooManySiblings
    from cluster.errors import TransitionUnderWay as TransitionUnderWay
    from cluster.errors import UnknownCluster as UnknownCluster
    from cluster.errors import Unreachable as Unreachable
    from cluster.errors import Usage as Usage
    from cluster.errors import WrongClock as WrongClock
    from cluster.errors import WrongType as WrongType
    from cluster.requests.service import CallContext as CallContext
    from cluster.requests.service import operation as operation
    from cluster.requests.service import service as service

_WHERE = {
    "cluster.client.aio": ("Client", "connect"),
    "cluster.client.aio_queues": ("AioWorkQueue", "Consumer"),
    "cluster.client.aio_topics": ("Subscription",),
    "cluster.client.blocking": ("BlockingCluster", "connect_blocking"),
    "cluster.client.cells": ("ChangeResult", "CountResult", "MembersResult"),
    "cluster.client.keyed": ("GetResult",),
    "cluster.client.kv": ("KeysResult", "PutResult"),
    "cluster.client.queues": ("Batch", "OutgoingMessage", "QueueMessage", "ReceiptResult", "SendResult", "WorkQueue"),
    "cluster.client.requests": ("CallResult",),
    "cluster.client.topics": ("PublishResult", "QueuePublish", "TopicMessage"),
    "cluster.errors": (
        "AlreadyExists",
        "BadContext",
        "BadMessage",
        "ClockFull",
        "ClusterError",
        "Damaged",
        "DeadlinePassed",
        "DependencyFailed",
        "Failed",
        "Forbidden",
        "HandshakeRefused",
        "Inconclusive",
        "LeaseLost",
        "LimitReached",
        "Maybe",
        "NoResponders",
        "NotFound",
        "NotYet",
        "OtherChain",
        "Overloaded",
        "QueueFull",
        "QuorumMissing",
        "ServiceError",
        "StaleLayout",
        "StorageFull",
        "TooFewNodes",
        "TooFewOwners",
        "TooLarge",
        "TooManySiblings",
        "TransitionUnderWay",
        "UnknownCluster",
        "Unreachable",
        "Usage",
        "WrongClock",
        "WrongType",
    ),
    "cluster.requests.service": ("CallContext", "operation", "service"),
}
_PLACES = {name: module for module, names in _WHERE.items() for name in names}

if not TYPE_CHECKING:  # to a type checker all that is public above is, and no misspelt name has a type
    __all__ = sorted([*_PLACES, "errors"])

    def __getattr__(name: str) -> object:
        if name == "errors":
            return import_module("cluster.errors")
        if name not in _PLACES:
            raise AttributeError(f"module 'cluster' has no attribute {name!r}")
        value = getattr(import_module(_PLACES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
